"""`python -m tasktide`."""

from tasktide.cli.app import main

if __name__ == "__main__":
    main()
