"""The program from the outside: starting, stopping, refusing, and the operator's commands."""

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from support.processes import Program, run, run_as, verified
from support.server import Person, receive
from tasktide import __version__

pytestmark = pytest.mark.acceptance

NOBODY = 65_534


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_whatever_is_going_on(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "stuck.py").write_text(
        "import asyncio, time\nfrom tasktide import Context, handler\n\n\n"
        '@handler("thread", timeout_s=1)\ndef thread(payload: object, context: Context) -> None:\n'
        "    time.sleep(600)\n\n\n"
        '@handler("deaf")\nasync def deaf(payload: object, context: Context) -> None:\n'
        "    while True:\n        try:\n            await asyncio.sleep(600)\n"
        "        except asyncio.CancelledError:\n            pass\n"
    )
    with Program(tmp_path / "data", "up", "--app", "stuck") as program:
        ann = program.person("ann")
        for handler in ("thread", "deaf"):
            ann.submit(handler=handler, title="x")
        sleeping = ann.submit(handler="sleep", payload={"seconds": 600})["id"]
        answers: list[int] = []
        polls = [
            threading.Thread(
                target=lambda: answers.append(
                    ann.client(ann.token).get(f"/tasks/{sleeping}/result", params={"wait": 30}).status_code
                )
            )
            for _ in range(3)
        ]
        for poll in polls:
            poll.start()
        with ann.listen() as live, ann.client(ann.token).stream("GET", "/events") as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith("retry")
            while ann.task(sleeping)["status"] != "in_progress":
                time.sleep(0.01)
            began = time.monotonic()
            assert program.stop(number) == 0
            assert time.monotonic() - began < 10
            assert list(lines) is not None
            with contextlib.suppress(ConnectionClosed):
                while True:
                    receive(live)
            assert live.close_code in {1012, 1013}, "service restart, or try again later: whichever word is first"
        for poll in polls:
            poll.join(10)
        assert answers == [202] * 3
        program.start()
        task = ann.task(sleeping)
        assert (task["status"] in {"pending", "in_progress"}, task["attempts"] <= 1) == (True, True)
        program.kill()
    assert not any("Traceback" in line for line in program.output), "".join(program.output)


def test_a_second_server_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with Program(tmp_path / "data") as program:
        second = run(tmp_path / "data", "up", PORT="0")
        assert second.returncode == 3
        assert second.stderr.count("\n") == 1
        assert f"is in use by the process {program.process.pid}" in second.stderr
        assert "TASKTIDE_DATA_DIR" in second.stderr
        assert program.stop() == 0


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = run(tmp_path / "data", "up", PORT=port)
    assert (refused.returncode, refused.stderr.count("\n")) == (3, 1)
    assert f"127.0.0.1:{port}" in refused.stderr


@pytest.mark.parametrize("command", ["up", "migrate"])
def test_data_that_cannot_be_used_is_one_line(tmp_path: Path, command: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tasktide.db").write_bytes(b"this is no database" * 100)
    refused = run(tmp_path / "data", command, PORT="0")
    assert (refused.returncode, refused.stderr.count("\n")) == (3, 1), refused.stderr
    newer = tmp_path / "newer"
    newer.mkdir()
    with sqlite3.connect(newer / "tasktide.db") as connection:
        connection.execute("PRAGMA user_version = 9999")
    connection.close()
    refused = run(newer, command, PORT="0")
    assert (refused.returncode, "newer Tasktide" in refused.stderr) == (3, True)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can be somebody else")
@pytest.mark.parametrize("command", ["doctor", "verify", "up"])
def test_somebody_elses_data_is_one_line(tmp_path: Path, command: str) -> None:
    data = tmp_path / "data"
    assert run(data, "migrate").returncode == 0
    refused = run_as(NOBODY, data, command, HOME="/", PORT="0")
    assert refused.returncode in {1, 3}
    assert "Traceback" not in refused.stderr
    assert str(data) in refused.stderr + refused.stdout


def test_a_host_that_is_not_here_is_named(tmp_path: Path) -> None:
    refused = run(tmp_path / "data", "up", "--host", "203.0.113.1", "--port", "0")
    assert (refused.returncode, "Set HOST to another" in refused.stderr) == (3, True)


def test_all_wrong_settings_are_named_at_once(tmp_path: Path) -> None:
    wrong = {"PORT": "x", "JWT_SECRET": "short", "RATE_LIMITING": "maybe", "RATE_ANONYMOUS": "3", "CORS_ORIGINS": "x"}
    for command in (["up"], ["config", "check"]):
        refused = run(tmp_path / "data", *command, **wrong)
        assert refused.returncode == 2
        assert all(name in refused.stderr for name in wrong), refused.stderr
        assert "short" not in refused.stderr, "a secret is not shown, not even a bad one"
    assert run(tmp_path / "data", "config", "check").returncode == 0


def test_settings_come_from_a_file_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LIMIT_TITLE=7\nLIMIT_LABELS=3\n")
    shown = json.loads(run(tmp_path / "data", "config", "show", "--json", LIMIT_LABELS="4", JWT_SECRET="s" * 32).stdout)
    values = {one["name"]: one["value"] for one in shown}
    assert (values["LIMIT_TITLE"], values["LIMIT_LABELS"], values["JWT_SECRET"]) == ("7", "4", "(set)")
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    assert run(tmp_path / "data", "config", "check").returncode == 2


def test_the_secret_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    with Program(tmp_path / "data") as program:
        ann = program.person("ann")
        secret = tmp_path / "data" / "jwt.secret"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        before = secret.read_text()
        program.kill()
        program.start()
        assert secret.read_text() == before
        with httpx.Client(
            base_url=program.address, headers={"authorization": f"Bearer {ann.token}"}, timeout=30
        ) as client:
            assert client.get("/auth/me").status_code == 200, "a sign-in outlives the process"
        assert program.stop() == 0
    assert not any(before.strip() in line for line in program.output)


def test_a_backup_under_load_is_whole_and_goes_on_where_it_was_taken(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    with Program(data) as program:
        ann, bob = program.person("ann"), program.person("bob")
        stop, accepted = threading.Event(), list[int]()

        def submit() -> None:
            while not stop.is_set():
                batch = [{"title": f"t{n}", "performer_id": bob.id} for n in range(200)]
                accepted.extend(ann.http.post("/tasks/batch", json=batch).json()["ids"])

        thread = threading.Thread(target=submit)
        thread.start()
        try:
            while len(accepted) < 1_000:
                time.sleep(0.01)
            before = list(accepted)
            done = run(data, "backup", str(copy))
        finally:
            stop.set()
            thread.join()
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("Copied ")
        assert {stat.S_IMODE(one.stat().st_mode) for one in copy.iterdir()} == {0o600}
        again = run(data, "backup", str(copy))
        assert (again.returncode, "is not empty" in again.stderr) == (3, True)
        assert program.stop() == 0
    with Program(copy) as program, httpx.Client(base_url=program.address, timeout=30) as client:
        client.headers["authorization"] = f"Bearer {ann.token}"  # the accounts and the secret came along
        assert client.get(f"/tasks/{before[-1]}").json()["performer_id"] == bob.id
        # What is new gets ids that nothing had, and is not taken for what was handled after the copy.
        before += [client.post("/tasks", json={"title": f"new {n}"}).json()["id"] for n in range(20)]
        assert min(before[-20:]) > max(accepted), "nor has, in the original, since"
        assert client.get(f"/tasks/{before[-1]}").json()["title"] == "new 19"
        assert program.stop() == 0
    record = tmp_path / "record"
    record.write_text("".join(f"{one}\n" for one in before))
    assert verified(copy, record)["tasks"] >= len(before)
    _refuses_what_does_not_go_together(data, copy)
    nothing = run(tmp_path / "none", "backup", str(tmp_path / "other"))
    assert (nothing.returncode, "There is no tasktide.db" in nothing.stderr) == (3, True)
    assert not (tmp_path / "other").exists()
    inside = run(data, "backup", str(data / "inner"))
    assert (inside.returncode, "is in the data folder itself" in inside.stderr) == (3, True)
    assert run(tmp_path / "none", "admin", "notanemail").returncode == 2
    assert not (tmp_path / "none").exists(), "a wrong address makes no data"
    assert "is no folder" in run(record, "admin", "ann@example.org").stderr


def _refuses_what_does_not_go_together(data: Path, older: Path) -> None:
    main = (data / "tasktide.db").read_bytes()
    (data / "tasktide.db").write_bytes((older / "tasktide.db").read_bytes())
    (older / "tasktide.db").write_bytes(main)
    torn = run(older, "up", PORT="0")
    assert (torn.returncode, "is of an earlier moment than submissions.db" in torn.stderr) == (3, True), torn.stderr
    (older / "tasktide.db").unlink()
    lost = run(older, "up", PORT="0")
    assert (lost.returncode, "tasktide.db is missing" in lost.stderr) == (3, True), lost.stderr
    assert not (older / "tasktide.db").exists()
    (older / "submissions.db").rename(older / "submissions.db.partial")
    half = run(older, "up", PORT="0")
    assert (half.returncode, "half of a copy" in half.stderr) == (3, True), half.stderr


def test_nobody_else_on_the_machine_reads_the_files(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    with Program(data) as program:
        program.person("ann").submit(title="t")
        assert {one.name: stat.S_IMODE(one.stat().st_mode) & 0o077 for one in data.glob("*.db*")} == dict.fromkeys(
            (f"{name}.db{end}" for name in ("tasktide", "submissions") for end in ("", "-wal", "-shm")), 0
        )
        assert program.stop() == 0
    (data / "tasktide.db").chmod(0o644)
    with Program(data) as program:
        assert stat.S_IMODE((data / "tasktide.db").stat().st_mode) == 0o600
        assert program.stop() == 0


def test_a_token_for_those_who_have_the_machine(tmp_path: Path) -> None:
    with Program(tmp_path / "data") as program:
        ann = program.person("ann")
        made = run(tmp_path / "data", "token", ann.email)
        assert made.returncode == 0, made.stderr
        headers = {"authorization": f"Bearer {made.stdout.strip()}"}
        assert httpx.get(f"{program.address}/auth/me", headers=headers, timeout=30).json()["email"] == ann.email
        nobody = run(tmp_path / "data", "token", "nobody@example.org")
        assert (nobody.returncode, nobody.stderr.count("\n")) == (1, 1)


def test_dead_letters_are_listed_shown_replayed_and_dropped(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Program(data) as program:
        ann = program.person("ann")
        for number in range(3):
            _append(data, "task.ingested", b"poison %d" % number)
        _wait_for_letters(ann, 3)
        listed = [json.loads(line) for line in run(data, "letters", "list", "--json").stdout.splitlines()]
        assert [letter["pipeline"] for letter in listed] == ["ingest"] * 3
        first, second, third = (str(letter["id"]) for letter in listed)
        shown = run(data, "letters", "show", first).stdout
        assert "value: poison 0" in shown
        letter = ann.http.get(f"/letters/{first}")
        assert letter.json()["value"] == "poison 0"
        tag = {"if-none-match": letter.headers["etag"]}
        assert ann.http.get(f"/letters/{first}", headers=tag).status_code == 304
        assert ann.submit(title="a neighbour goes through")["id"]
        dropped = run(data, "letters", "drop", second, "99999")
        assert (dropped.returncode, dropped.stdout, dropped.stderr) == (
            1,
            f"Dropped {second}.\n",
            "There is no dead letter 99999.\n",
        )
        assert run(data, "letters", "replay", third).returncode == 0
        again = _wait_for_letters(ann, 2)
        assert [letter["value"] for letter in again] == ["poison 0", "poison 2"]
        assert again[1]["id"] not in {letter["id"] for letter in listed}, "replayed, and parked anew"
        assert program.stop() == 0
    assert "poison" in run(data, "letters", "show", first).stdout, "without a server too"
    assert run(data, "letters", "show", "1180591620717411303424").returncode == 2
    assert verified(data)["tasks"] == 1, "who dropped or replayed a letter knew what they did"


def _wait_for_letters(admin: Person, count: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found: list[dict[str, Any]] = admin.http.get("/letters").json()["items"]
        if len(found) == count:
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def _append(data: Path, topic: str, value: bytes) -> None:
    """A record that no program of ours would write."""
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom tasktide.adapters.sqlite.database import Database\n"
        "from tasktide.adapters.sqlite.log import SqliteLog\nfrom tasktide.adapters.system.clock import SystemClock\n"
        "from tasktide.ports.log import Record\n\n\nasync def main() -> None:\n"
        "    base = Database(Path(sys.argv[1]) / 'submissions.db')\n"
        "    await SqliteLog(base, SystemClock()).append([Record(sys.argv[2], 'k', sys.argv[3].encode())])\n"
        "    await base.close()\n\n\nasyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", script, str(data), topic, value.decode()], check=True, timeout=60)


def test_handlers_of_ones_own_and_modules_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "from tasktide import Context, handler\n\n\n"
        '@handler("greet")\nasync def greet(payload: dict, context: Context) -> str:\n'
        "    return f\"Hello {payload['name']}, attempt {context.attempt}\"\n"
    )
    (tmp_path / "quits.py").write_text("import sys\nsys.exit(5)\n")
    (tmp_path / "empty.py").write_text("")
    with Program(tmp_path / "data", "up", "--app", "shop") as program:
        ann = program.person("ann")
        job = ann.submit(handler="greet", payload={"name": "Bob"})
        assert ann.finished(job["id"])["result"] == "Hello Bob, attempt 1"
        assert program.stop() == 0
    for name, wrong in (("nameless", '@handler("")\ndef f'), ("lazy", '@handler("lazy")\nasync def f')):
        (tmp_path / f"{name}.py").write_text(f"from tasktide import handler\n{wrong}(payload, context):\n    yield 1\n")
    for module in ("quits", "empty", "missing", "nameless", "lazy", "shop.py"):
        refused = run(tmp_path / "data", "up", "--app", module, PORT="0")
        assert (refused.returncode, refused.stderr.count("\n")) == (3, 1), refused.stderr
        assert module in refused.stderr


def test_roles_and_the_small_commands(tmp_path: Path) -> None:
    assert run(tmp_path / "data", "version").stdout.strip() == __version__
    unknown = run(tmp_path / "data", "run", "cook")
    assert (unknown.returncode, "cook" in unknown.stderr) == (2, True)
    assert run(tmp_path / "data", "migrate").stdout == "Applied 1, 2, 3, 4, 5, 6, 7, 8, 9.\n"
    assert run(tmp_path / "data", "migrate").stdout == "The schema is up to date.\n"
    with Program(tmp_path / "data", "run", "gateway", "ingest") as program:
        ann = program.person("ann")
        job = ann.submit(payload="x")
        assert ann.task(job["id"])["status"] == "pending", "nobody runs jobs here"
        assert program.stop() == 0
    with Program(tmp_path / "data") as program:
        ann.move(program.address)
        assert ann.finished(job["id"])["result"] == "x (len=1)"
        ann.close()


def test_a_slow_listener_is_told_so_and_a_fast_one_hears_everything(tmp_path: Path) -> None:
    with Program(tmp_path / "data", SOCKET_SEND_TIMEOUT="1") as program:
        ann = program.person("ann")
        count = 6_000
        body = [{"user_ids": [ann.id], "message": f"{number} " + "x" * 1_900} for number in range(count)]
        host, port = program.address.removeprefix("http://").split(":")
        small = socket.socket()
        # A listener that takes little off the wire: the buffers between must not be able to hold everything.
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        small.connect((host, int(port)))
        where = f"ws://{host}:{port}/tasks/notifications"
        options: dict[str, Any] = {"max_queue": 1, "compression": None, "ping_interval": None, "close_timeout": 1}
        with connect(where, sock=small, **options) as slow, ann.listen() as fast:
            slow.send(json.dumps({"type": "authenticate", "token": ann.token}))
            assert receive(slow)["type"] == "authenticated"
            for first in range(0, count, 500):
                assert ann.http.post("/notifications/batch", json=body[first : first + 500]).status_code == 202
            heard = [receive(fast) for _ in range(count)]
            assert [int(one["message"].split()[0]) for one in heard] == list(range(count))
            time.sleep(2)  # the slow one is given a second to take a frame
            late = []
            with contextlib.suppress(ConnectionClosed):
                while True:
                    late.append(receive(slow))
            assert slow.close_code == 4429
        assert 0 < len(late) < count
        with ann.listen(after=late[-1]["id"]) as again:
            rest = [receive(again)["id"] for _ in range(count - len(late))]
        assert [one["id"] for one in late] + rest == [one["id"] for one in heard]
