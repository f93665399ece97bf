"""The proof finds what is wrong, and nothing else."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from support.processes import Program, run

pytestmark = pytest.mark.acceptance

Damage = Callable[[sqlite3.Connection], object]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a server that has stored tasks, jobs, edits, deletions and messages."""
    folder = tmp_path_factory.mktemp("verify") / "data"
    with Program(folder) as program:
        ann, bob = program.person("ann"), program.person("bob")
        for number in range(30):
            ann.submit(title=f"t{number}", performer_id=bob.id, labels=["a"])
        jobs = [ann.submit(payload=f"p{number}")["id"] for number in range(5)]
        ann.http.post("/notifications", json={"user_ids": [bob.id], "message": "hello"})
        ann.http.patch("/tasks/3", json={"title": "new", "status": "done"})
        ann.http.delete("/tasks/4")
        for job in jobs:
            assert ann.finished(job)["status"] == "done"
        made = ann.http.post("/tasks/batch", json=[{"title": f"b{n}", "performer_id": bob.id} for n in range(3)])
        assert made.json()["ids"] == [36, 37, 38]
        ann.http.delete("/tasks/38")
        bob.inbox(37)
        ann.inbox(5)
        program.stop()
    return folder


def damaged(kept: Path, tmp_path: Path, name: str, damage: Damage) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for file in kept.glob("*.db"):
        source, copy = sqlite3.connect(file), sqlite3.connect(folder / file.name)
        source.backup(copy)
        source.close()
        copy.close()
    connection = sqlite3.connect(folder / name, isolation_level=None)
    damage(connection)
    connection.close()
    return folder


def verified(folder: Path, *arguments: str) -> tuple[int, dict[str, int], list[str]]:
    done = run(folder, "verify", "--json", *arguments)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    return done.returncode, found["faults"], [f"{one['fault']} {one['subject']}" for one in found["found"]]


def test_what_is_whole_is_clean(kept: Path, tmp_path: Path) -> None:
    assert verified(damaged(kept, tmp_path, "tasktide.db", lambda _: None)) == (0, {}, [])
    shown = run(kept, "verify")
    assert shown.returncode == 0
    assert "Looked at 36 tasks" in shown.stdout
    assert "Nothing is missing, doubled or out of order." in shown.stdout


def statement(*sql: str) -> Damage:
    def damage(connection: sqlite3.Connection) -> None:
        for one in sql:
            connection.execute(one)

    return damage


SWAP = (
    "UPDATE notifications SET id = -5 WHERE id = 5",
    "UPDATE notifications SET id = 5 WHERE id = 6",
    "UPDATE notifications SET id = 6 WHERE id = -5",
)
COPY = (
    "INSERT INTO notifications SELECT 1000, user_id, event_id, kind, task_id, message, created_at, read_at "
    "FROM notifications WHERE id = 5"
)
FORGED = (
    "INSERT INTO notifications SELECT 1000, user_id, '7.2', kind, task_id, message, created_at, read_at "
    "FROM notifications WHERE id = 5"
)


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (statement("DELETE FROM tasks WHERE id = 7"), "missing task 7"),
        (statement("DELETE FROM tasks WHERE id = 7", "DELETE FROM task_history WHERE task_id = 7"), "missing task 7"),
        (statement("DELETE FROM task_history WHERE task_id = 3 AND version = 1"), "missing task 3"),
        (statement("DELETE FROM task_history WHERE task_id = 3 AND version = 2"), "missing task 3"),
        (statement("DELETE FROM notifications WHERE id = 5"), "missing user 2"),
        (statement("DROP INDEX notifications_by_event", COPY), "doubled user 2"),
        (statement(FORGED), "doubled user 2"),
        (statement(*SWAP), "disordered user 2"),
        (statement("UPDATE tasks SET status = 'done' WHERE id = 9"), "damaged task 9"),
        (statement("UPDATE tasks SET doc = json_set(doc, '$.title', 'x') WHERE id = 3"), "damaged task 3"),
        (statement("DELETE FROM task_tombstones"), "missing task 4"),
        (statement("DELETE FROM tasks WHERE id = 37"), "missing task 37"),
        (statement("DELETE FROM tasks WHERE id = 37", "DELETE FROM task_history WHERE task_id = 37"),
         "missing task 37"),
        (statement("DELETE FROM task_tombstones"), "missing task 38"),
        (statement("UPDATE tasks SET doc = '{' WHERE id = 9"), "damaged task 9"),
        (statement("UPDATE tasks SET doc = json_set(doc, '$.description', 'x') WHERE id = 9"), "damaged task 9"),
        (statement("UPDATE tasks SET performer_id = 1 WHERE id = 9"), "damaged task 9"),
        (statement("UPDATE tasks SET created_at = '2020' WHERE id = 9"), "damaged task 9"),
        (statement("UPDATE task_history SET event = '{' WHERE task_id = 3"), "damaged task 3"),
        (statement("UPDATE notifications SET message = 'x' WHERE id = 5"), "damaged user 2"),
        (statement("DELETE FROM log_batches WHERE topic = 'task.events' AND last_offset ="
                   " (SELECT max(last_offset) FROM log_batches WHERE topic = 'task.events')"), "missing topic task"),
        (statement("DELETE FROM log_batches WHERE topic = 'notification.events' AND last_offset ="
                   " (SELECT min(last_offset) FROM log_batches WHERE topic = 'notification.events' AND last_offset >"
                   " (SELECT min(last_offset) FROM log_batches WHERE topic = 'notification.events'))"),
         "missing topic notification"),
        (statement("UPDATE log_groups SET committed = committed - 2 WHERE topic = 'notification.events'",
                   "DELETE FROM log_batches WHERE topic = 'notification.events' AND last_offset ="
                   " (SELECT max(last_offset) FROM log_batches WHERE topic = 'notification.events')"),
         "missing "),
    ],
)  # fmt: skip
def test_planted_damage_is_found(kept: Path, tmp_path: Path, damage: Damage, finding: str) -> None:
    code, faults, found = verified(damaged(kept, tmp_path, "tasktide.db", damage))
    assert code == 1
    assert finding.split(maxsplit=1)[0] in faults
    assert any(one.startswith(finding) for one in found), found


def test_swapped_events_of_one_task_are_found(kept: Path, tmp_path: Path) -> None:
    def swap(connection: sqlite3.Connection) -> None:
        rows = connection.execute(
            "SELECT rowid, body FROM log_batches "
            "WHERE topic = 'task.events' AND instr(body, '\"3.') ORDER BY last_offset"
        ).fetchall()
        first, last = rows[0], rows[-1]
        assert first[0] != last[0]
        for one, other in ((first, last), (last, first)):
            size = connection.execute("SELECT records FROM log_batches WHERE rowid = ?", (one[0],)).fetchone()
            connection.execute(
                "UPDATE log_batches SET body = ?, records = ? WHERE rowid = ?", (other[1], size[0], one[0])
            )

    code, faults, _ = verified(damaged(kept, tmp_path, "tasktide.db", swap))
    assert code == 1
    assert "disordered" in faults


def test_what_a_client_saw_accepted_is_looked_for(kept: Path, tmp_path: Path) -> None:
    ids = tmp_path / "ids"
    ids.write_text("1\n2\n4\n99999\n")
    code, faults, found = verified(kept, "--accepted", str(ids))
    assert (code, faults, found) == (1, {"missing": 1}, ["missing task 99999"])
    ids.write_text("one\n")
    assert run(kept, "verify", "--accepted", str(ids)).returncode == 2


def test_without_data_it_says_where_it_looked(tmp_path: Path) -> None:
    done = run(tmp_path / "nothing", "verify")
    assert done.returncode == 3
    assert "There is no data in" in done.stderr
