"""What somebody meets first: the admin's account, a demo, a doctor, a load."""

import json
import os
import re
import socket
import sqlite3
from collections import Counter
from pathlib import Path

import httpx
import pytest

from support.processes import Driver, Program, all_of, free_port, run

pytestmark = pytest.mark.acceptance


def sign_in(address: str, email: str, password: str) -> httpx.Client:
    answer = httpx.post(f"{address}/auth/login", json={"email": email, "password": password}, timeout=30)
    assert answer.status_code == 200, answer.text
    return httpx.Client(base_url=address, headers={"authorization": f"Bearer {answer.json()['token']}"}, timeout=30)


def test_an_admin_is_one_command_away_beside_a_server_and_without(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made = run(data, "admin", "me@example.org")
    assert made.returncode == 0, made.stderr
    with Program(data) as program:
        for email, out in (
            ("me@example.org", made.stdout),
            ("you@example.org", run(data, "admin", "you@example.org").stdout),
        ):
            password = re.search(r"password: (\S+)", out)
            assert password
            with sign_in(program.address, email, password[1]) as client:
                assert client.get("/auth/me").json()["role"] == "admin"
        member = program.person("mia")
        again = run(data, "admin", member.email)
        password = re.search(r"password: (\S+)", again.stdout)
        assert password
        with sign_in(program.address, member.email, password[1]) as client:
            assert client.get("/auth/me").json() | {"role": "admin"} == client.get("/auth/me").json()
        wrong = run(data, "admin", "nonsense")
        assert (wrong.returncode, wrong.stderr) == (2, "email must be an email address\n")


@pytest.mark.parametrize("way", ["up", "seed", "beside"])
def test_a_demo_looks_lived_in(tmp_path: Path, way: str) -> None:
    data = tmp_path / "data"
    if way == "seed":
        planted = json.loads(run(data, "seed", "--json").stdout)
    with Program(data, *(("up", "--demo") if way == "up" else ("up",))) as program:
        if way == "beside":
            planted = json.loads(run(data, "seed", "--json").stdout)
        if way == "up":
            shown = "".join(program.output)
            password = re.search(r"password (\S+),", shown)
            assert password
            planted = {"emails": re.findall(r"\S+@example.org", shown), "password": password[1]}
        assert len(planted["emails"]) == 4
        with sign_in(program.address, planted["emails"][0], planted["password"]) as ada:
            for _ in range(100):
                tasks = all_of(ada, "/tasks")
                states = Counter(str(task["status"]) for task in tasks)
                if states["failed"] >= 4 and any(task["attempts"] and task["status"] == "pending" for task in tasks):
                    break
            assert len(tasks) == 50
            assert set(states) == {"pending", "in_progress", "done", "failed", "cancelled"}
            assert any(task["due_at"] for task in tasks)
            assert any(task["observer_ids"] for task in tasks)
            assert any(task["result"] for task in tasks)
            assert ada.get("/notifications").json()["unread_count"] > 5
            assert ada.get("/auth/me").json()["role"] == "admin"
        refused = run(data, "seed")
        assert (refused.returncode, "empty data folder" in refused.stderr) == (1, True)
        assert program.stop() == 0
    assert run(data, "verify").returncode == 0


def test_the_doctor_names_what_is_wrong_and_what_mends_it(tmp_path: Path) -> None:
    data, port = tmp_path / "data", str(free_port())

    def checks(**environment: str) -> tuple[int, dict[str, tuple[str, str]]]:
        done = run(data, "doctor", "--json", **({"PORT": port} | environment))
        found = json.loads(done.stdout)
        return done.returncode, {check["name"]: (check["status"], check["fix"]) for check in found}

    assert checks() == (
        0,
        dict.fromkeys(("version", "settings", "sqlite", "clock", "data folder", "disk", "data", "port"), ("ok", "")),
    )
    with Program(data, PORT=port) as program:
        code, found = checks()
        assert (code, found["port"][0], found["data"][0]) == (0, "ok", "ok")
        program.person("ann").submit(title="x")
        assert program.stop() == 0
    (data / "jwt.secret").chmod(0o644)
    with socket.create_server(("127.0.0.1", 0)) as other:
        code, found = checks(PORT=str(other.getsockname()[1]))
    assert code == 1
    assert found["port"] == ("fail", "set PORT to another, or stop who listens there")
    assert found["signing secret"][1].startswith("chmod 600")
    for file in data.glob("tasktide.db*"):
        body = bytearray(file.read_bytes())
        body[4096 * 3 : 4096 * 20] = os.urandom(len(body[4096 * 3 : 4096 * 20]))
        file.write_bytes(body)
    code, found = checks()
    assert (code, found["data"][0]) == (1, "fail")
    assert "backup" in found["data"][1]


@pytest.mark.parametrize("kind", ["tasks", "jobs", "notifications", "reads"])
def test_a_load_reports_what_went_through(tmp_path: Path, kind: str) -> None:
    data, port = tmp_path / "data", free_port()
    with Program(data, PORT=str(port), RATE_LIMITING="on"):
        batch = () if kind in {"reads", "jobs"} else ("--batch", "20")
        with Driver(
            data,
            port,
            "--kind",
            kind,
            "--seconds",
            "2",
            "--rate",
            "300",
            "--connections",
            "4",
            "--sockets",
            "6",
            *batch,
        ) as driver:
            report = driver.report()
        assert report["errors"] == {}
        assert report["accepted"] > 0
        assert report["settle_s"] is not None
        assert report["delivered"] == report["expected"] == (0 if kind == "reads" else report["accepted"])
        assert report["accept_ms"]["p50"] > 0
        shown = run(data, "load", "--seconds", "0.5", "--kind", kind, PORT=str(port))
        assert shown.returncode == 0, shown.stderr
        assert "accepted" in shown.stdout


def test_a_load_says_in_one_line_why_it_cannot(tmp_path: Path) -> None:
    port = str(free_port())
    nobody = run(tmp_path / "data", "load", "--seconds", "1", PORT=port)
    assert (nobody.returncode, nobody.stderr) == (3, f"There is no answer from http://localhost:{port}.\n")
    with Program(tmp_path / "data", PORT=port):
        other = run(tmp_path / "data", "load", "--seconds", "1", "--token", "1:x", "--token", "2:y", PORT=port)
        assert (other.returncode, other.stderr.count("\n")) == (3, 1)
        assert run(tmp_path / "data", "load", "--sockets", "1", PORT=port).returncode == 2
        for wrong in (("--token", "x"), ("--token", "²:y"), ("--url", "ftp://x"), ("--url", "http://x:99999"),
                      ("--url", "http://[::1"), ("--record", "/nonexistent/x")):  # fmt: skip
            done = run(tmp_path / "data", "load", "--seconds", "1", *wrong, PORT=port)
            assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        elsewhere = run(tmp_path / "other", "load", "--seconds", "1", PORT=port)
        assert (elsewhere.returncode, elsewhere.stderr.count("\n")) == (3, 1)
        assert not (tmp_path / "other").exists(), "what only reads makes no folder"


def test_data_of_the_version_before_is_taken_over(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Program(data) as program:
        ids = [program.person("ann").submit(title="kept")["id"]]
        assert program.stop() == 0
    # Before, submissions were kept in the main file: put one there that nobody has read.
    main, submissions = sqlite3.connect(data / "tasktide.db"), sqlite3.connect(data / "submissions.db")
    for table in ("log_topics", "log_batches", "log_groups"):
        for row in submissions.execute(f"SELECT * FROM {table}").fetchall():  # noqa: S608
            main.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)  # noqa: S608
    main.execute("UPDATE log_groups SET committed = 0 WHERE topic = 'task.ingested'")
    main.execute("DELETE FROM tasks")
    main.execute("DELETE FROM task_history")
    main.commit()
    main.close()
    submissions.close()
    for file in data.glob("submissions.db*"):
        file.unlink()
    with Program(data) as program:
        email = "ann@example.org"
        token = run(data, "token", email).stdout.strip()
        answer = httpx.get(
            f"{program.address}/tasks/{ids[0]}", headers={"authorization": f"Bearer {token}"}, timeout=30
        )
        assert answer.json()["title"] == "kept"
        assert program.stop() == 0
    left = sqlite3.connect(data / "tasktide.db")
    assert left.execute("SELECT count(*) FROM log_batches WHERE topic = 'task.ingested'").fetchone() == (0,)
    left.close()
    for file in data.glob("submissions.db*"):
        file.unlink()
    for command in ("up", "verify", "token"):
        refused = run(data, *([command, email] if command == "token" else [command]))
        assert refused.returncode == 3
        assert "is missing" in refused.stderr, refused.stderr
