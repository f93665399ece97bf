"""Texts that are shipped inside the package: named SQL and Lua, and numbered migrations."""

from functools import cache
from importlib.resources import files


@cache
def statements(package: str, noun: str) -> dict[str, str]:
    """The statements of a package's `sql/<noun>.sql`: each under a line `-- name: ...` that says what it is for."""
    return {
        name: "\n".join(line for line in section.splitlines() if not line.lstrip().startswith("--")).strip()
        for name, section in sections(package, noun).items()
    }


def sections(package: str, noun: str) -> dict[str, str]:
    """The same with the comments above the statements."""
    named = (section.partition("\n") for section in text(package, "sql", f"{noun}.sql").split("-- name: ")[1:])
    return {name.strip(): body for name, _, body in named}


def migrations(package: str, folder: str) -> list[tuple[int, str]]:
    """The numbered scripts in a folder of a package: number and text, ascending."""
    scripts = [entry for entry in files(package).joinpath(folder).iterdir() if entry.name.endswith(".sql")]
    return sorted((int(entry.name[:4]), entry.read_text(encoding="utf-8")) for entry in scripts)


@cache
def text(package: str, *path: str) -> str:
    """One file of a package."""
    return files(package).joinpath(*path).read_text(encoding="utf-8")
