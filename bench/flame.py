"""`make profile`: a flame graph of the server under one scenario."""

import argparse
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from bench.processes import Server
from bench.run import drive
from bench.scenarios import scenarios

PY_SPY = str(Path(sys.executable).parent / "py-spy")
WARM_S = 3
RECORD_S = 10


def main() -> None:
    """Record, and say where the picture is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", choices=[one.name for one in scenarios(1)])
    parser.add_argument("--out", type=Path, default=Path("profile.svg"))
    chosen = parser.parse_args()
    [scenario] = [one for one in scenarios(1) if one.name == chosen.scenario]
    with tempfile.TemporaryDirectory(prefix="tasktide-profile-") as folder, Server(Path(folder) / "data") as server:
        seconds = WARM_S + RECORD_S + 2
        arguments = (server.port, server.folder, scenario.arguments, seconds)
        load = threading.Thread(target=drive, args=arguments)
        load.start()
        threading.Event().wait(WARM_S)
        pid = str(server.process.pid)
        record = [PY_SPY, "record", "--gil", "--nonblocking", "-r", "500", "-d", str(RECORD_S), "-o", str(chosen.out)]
        subprocess.run([*record, "--pid", pid], check=True)
        load.join()
    sys.stdout.write(f"{chosen.out.resolve()}\n")


if __name__ == "__main__":
    main()
