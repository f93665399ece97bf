"""One process with one engine moved out at a time: the same behaviour, and the same proof."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cluster import fresh_engines
from support.processes import Program, run, verified
from support.receiver import receiving
from support.waiting import eventually

pytestmark = pytest.mark.acceptance

SETS = {
    "database": ("DATABASE_URL",),
    "shards": ("DATABASE_URL", "DB_SHARD_URLS"),
    "kafka": ("KAFKA_BROKERS", "KAFKA_PREFIX"),
    "redis": ("REDIS_URL",),
    "rabbitmq": ("RABBITMQ_URL",),
    "all": ("DATABASE_URL", "DB_SHARD_URLS", "KAFKA_BROKERS", "KAFKA_PREFIX", "REDIS_URL", "RABBITMQ_URL"),
}


@pytest.fixture(params=SETS)
def engines(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    with fresh_engines() as fresh:
        yield {name: fresh[name] for name in SETS[request.param]}


def test_one_engine_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engines: dict[str, str]) -> None:
    for name, value in engines.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("JOB_LEASE", "5")
    data = tmp_path / "data"
    with receiving() as receiver, Program(data, WEBHOOK_NETWORKS="127.0.0.0/8") as program:
        ann, bob = program.person("ann"), program.person("bob")
        secret = ann.http.put("/notifications/webhook", json={"url": receiver.url}).json()["secret"]
        ann.http.put("/notifications/preferences", json={"webhook": {"task.completed": True, "task.assigned": True}})
        ids = [ann.submit(title=f"t{n}", performer_id=bob.id)["id"] for n in range(20)]
        batch = ann.http.post("/tasks/batch", json=[{"title": f"b{n}", "performer_id": bob.id} for n in range(200)])
        program.kill()  # accepted, and hardly begun
        program.start()
        assert len(bob.inbox(220)) == 220
        job = ann.submit(payload="abc")
        assert ann.finished(job["id"])["result"] == "cba (len=3)"
        changed = bob.http.patch(f"/tasks/{ids[0]}", json={"status": "done", "performer_id": ann.id})
        assert changed.status_code == 200, changed.text
        told = ann.inbox(2)
        assert {one["kind"] for one in told} == {"task.completed", "task.assigned"}
        eventually(lambda: len(receiver.received) >= len(told))
        assert [body["data"]["id"] for body in receiver.verified(secret)] == [one["id"] for one in told]
        assert ann.http.get("/readyz").json()["status"] == "ok"
        listed = ann.http.get("/tasks", params={"limit": 200, "status": "done"}).json()["items"]
        assert {one["id"] for one in listed} == {ids[0], job["id"]}
        assert program.stop() == 0
    record = tmp_path / "record"
    record.write_text("".join(f"{one}\n" for one in (*ids, *batch.json()["ids"])))
    assert verified(data, record)["tasks"] == 221


def test_settings_that_do_not_go_together_are_refused_by_name(tmp_path: Path) -> None:
    alone = run(tmp_path / "data", "up", DB_SHARD_URLS="postgresql://u:hunter2@127.0.0.1:9/x")
    assert (alone.returncode, "DATABASE_URL" in alone.stderr, "hunter2" in alone.stderr) == (3, True, False)
    apart = run(tmp_path / "data", "run", "ingest", DATABASE_URL="postgresql://u:hunter2@127.0.0.1:9/x")
    assert apart.returncode == 3
    assert "KAFKA_BROKERS and REDIS_URL" in apart.stderr
    for value in ("mysql://u:hunter2@h/x", "postgresql://u:hunter/2@h:x/y", "postgresql://u:p\N{ACCOUNT OF}w@h"):
        wrong = run(tmp_path / "data", "up", DATABASE_URL=value)
        assert (wrong.returncode, "DATABASE_URL" in wrong.stderr) == (2, True)
        assert "hunter" not in wrong.stderr
        assert "w@h" not in wrong.stderr
