"""The tour in the README, word for word."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from support.processes import Program

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]


def tour() -> str:
    """The shell blocks of the tour, one after the other, as somebody would type them."""
    text = (ROOT / "README.md").read_text()
    section = text.split("## A two-minute tour")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))


def test_the_tour_works_word_for_word(tmp_path: Path) -> None:
    with Program(tmp_path / "data", RATE_LIMITING="on") as program:
        script = tour().replace("localhost:3000", program.address.removeprefix("http://"))
        environment = os.environ | {"TASKTIDE_DATA_DIR": str(tmp_path / "data")}
        command = ["bash", "-eu", "-c", script]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        assert '"status":4' not in done.stdout, done.stdout
    for part in (
        '"role":"admin"',
        '"role":"member"',
        '"title":"Water the plants"',
        '{"accepted":10000,"ids":[2,',
        '"message":"“Water the plants” is yours to do"',
        '"status":"done"',
        '"type":"task.completed"',
        '"kind":"task.completed"',
        '"result":"!dlrow olleH (len=12)"',
        "idempotent-replayed: true",
        '"totalTasks":1',
        '"engines":{"sqlite":{"status":"ok"',
    ):
        assert part in done.stdout, (part, done.stdout)


def test_the_handler_in_the_readme_works(tmp_path: Path) -> None:
    [source] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "shop.py").write_text(source)
    with Program(tmp_path / "data", "up", "--app", "shop") as program:
        ann = program.person("ann")
        job = ann.submit(handler="invoice", payload={"order": 7})
        assert ann.finished(job["id"])["result"] == {"number": 7, "attempt": 1}
