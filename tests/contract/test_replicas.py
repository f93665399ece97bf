"""Read replicas: a real one, that follows a shard of the stack by streaming."""

import asyncio
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import asyncpg
import pytest

from support import make, stack
from support.engines import Engine, open_engine
from support.processes import free_port
from tasktide.adapters.postgres.database import Database
from tasktide.adapters.postgres.moves import Moves
from tasktide.adapters.postgres.shards import ShardMissing, open_shards
from tasktide.adapters.postgres.tasks import PostgresTasks
from tasktide.domain.ids import UserId
from tasktide.domain.paging import TaskFilter, TaskQuery

BIN = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path())


@pytest.fixture
def replica() -> Iterator[str]:
    """The address of a server that follows the stack's first one, without the name of a database."""
    address = stack.variables()["DATABASE_URL"].rpartition("/")[0]
    folder, port = Path(mkdtemp(prefix="tasktide-replica-")), free_port()
    user = pwd.getpwnam("postgres") if os.getuid() == 0 else None
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)

    def run(program: str, *arguments: str) -> None:
        who = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid}
        subprocess.run([BIN / program, *arguments], check=True, cwd=folder, timeout=120,
                       stdout=subprocess.DEVNULL, **who)  # type: ignore[call-overload]  # fmt: skip

    data = str(folder / "data")
    run("pg_basebackup", "--dbname", f"{address}/postgres", "--pgdata", data, "--write-recovery-conf", "-c", "fast")
    run("pg_ctl", "-D", data, "-o", f"-p {port}", "-l", str(folder / "log"), "-w", "start")
    yield f"{address.rpartition(':')[0]}:{port}"
    run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    shutil.rmtree(folder)


async def test_lists_are_read_from_a_replica_and_from_the_shard_while_it_is_away(tmp_path: Path, replica: str) -> None:
    async with open_engine("postgres", tmp_path) as engine:
        base, first = engine.users._database, engine.outboxes[0]  # type: ignore[attr-defined]
        name = first._url.rpartition("/")[2]
        following = Database(f"{replica}/{name}", 2)
        shards = await open_shards(base, engine.outboxes, [following])
        store = PostgresTasks(shards, engine.clock, Moves(shards, engine.clock))
        await store.insert([make.entry(make.task(n, performer_id=UserId(n))) for n in range(1, 31)])
        await _caught_up(engine, following)
        here = sum(shards.holding(n) == 0 for n in range(1, 31))
        # What the replica alone does not have shows who is asked.
        admin = await asyncpg.connect(f"{replica}/{name}")
        await admin.execute("SELECT pg_wal_replay_pause()")
        await first.execute("DELETE FROM tasks")
        assert await store.count(TaskFilter()) == len(await store.find(TaskQuery(limit=100))) == 30
        assert 0 < here < 30
        await admin.execute("SELECT pg_wal_replay_resume()")
        await admin.close()
        following._url = "postgresql://tasktide@127.0.0.1:9/nowhere"
        await following.close()
        assert await store.count(TaskFilter()) == 30 - here, "the shard itself answers while its replica is away"
        stranger = Database(stack.variables()["DATABASE_URL"], 1)
        with pytest.raises(ShardMissing, match="DB_REPLICA_URLS"):
            await open_shards(base, engine.outboxes, [stranger])
        await stranger.close()


async def _caught_up(engine: Engine, following: Database) -> None:
    wanted = await engine.outboxes[0].value("SELECT count(*) FROM tasks")
    async with asyncio.timeout(20):
        while await following.value("SELECT count(*) FROM tasks") != wanted:
            await asyncio.sleep(0.05)
