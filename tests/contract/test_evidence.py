"""What the proof is told of an embedded store whose log is elsewhere."""

import contextlib
from pathlib import Path

import pytest

from support import make
from tasktide.adapters.sqlite import migrate
from tasktide.adapters.sqlite.database import Database, connect
from tasktide.adapters.sqlite.evidence import evidence
from tasktide.adapters.sqlite.log import SqliteLog
from tasktide.adapters.sqlite.tasks import SqliteTasks
from tasktide.adapters.system.clock import SystemClock


@pytest.mark.parametrize("is_outbox", [False, True])
async def test_what_is_on_its_way_to_a_log_elsewhere_is_told(tmp_path: Path, is_outbox: bool) -> None:
    """Otherwise a plan that the relay has not carried yet would be called missing."""
    files = tmp_path / "main.db", tmp_path / "submissions.db"
    for file, scripts in zip(files, (migrate.MAIN, migrate.SUBMISSIONS), strict=True):
        with contextlib.closing(connect(str(file))) as connection:
            migrate.migrate(connection, scripts)
    database = Database(files[0])
    log = SqliteLog(database, SystemClock())
    await SqliteTasks(database, log, SystemClock()).insert([make.entry(make.task(1, performer_id=2))])
    await database.close()
    with evidence(*files, is_outbox=is_outbox) as found:
        assert await found.outgoing() == (2 if is_outbox else 0), "the event, and the plan of it"
