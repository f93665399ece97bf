"""What the writer promises to the stores: group commit, isolation of failures, and a full disk as an answer."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support import make
from support.clock import FakeClock
from support.engines import open_base
from tasktide.adapters.sqlite import database
from tasktide.adapters.sqlite.database import Database, Transaction
from tasktide.adapters.sqlite.tasks import SqliteTasks
from tasktide.domain.errors import Unavailable
from tasktide.domain.paging import TaskQuery


@pytest.fixture
async def base(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(tmp_path / "t.db")
    await opened.run(lambda tx: tx.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)"))
    yield opened
    await opened.close()


def insert(number: int) -> Any:
    return lambda tx: tx.execute("INSERT INTO t (n) VALUES (?)", (number,)).rowcount


async def numbers(base: Database) -> list[int]:
    return [n for (n,) in await base.read(lambda tx: tx.execute("SELECT n FROM t ORDER BY n").fetchall())]


async def test_a_work_that_fails_changes_nothing_and_leaves_the_others_alone(base: Database) -> None:
    def half(transaction: Transaction) -> None:
        insert(100)(transaction)
        insert(1)(transaction)

    works = [insert(1), half, insert(2), insert(1), insert(3)]
    results = await asyncio.gather(*(base.run(work) for work in works), return_exceptions=True)
    assert [type(result) for result in results] == [int, sqlite3.IntegrityError, int, sqlite3.IntegrityError, int]
    assert await numbers(base) == [1, 2, 3]


async def test_works_run_in_the_order_of_their_calls_and_calls_back_after_the_commit(base: Database) -> None:
    heard: list[int] = []

    def work(number: int) -> Any:
        def one(transaction: Transaction) -> int:
            insert(number)(transaction)
            transaction.after_commit(lambda: heard.append(number))
            return number

        return one

    assert await asyncio.gather(*(base.run(work(n)) for n in range(50))) == list(range(50))
    assert heard == list(range(50))


async def test_works_that_wait_for_a_busy_file_wait_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.5)
    base = Database(tmp_path / "t.db")
    await base.run(lambda tx: tx.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)"))
    with contextlib.closing(sqlite3.connect(tmp_path / "t.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        results = await asyncio.gather(*(base.run(insert(n)) for n in range(20)), return_exceptions=True)
        waited_s = time.monotonic() - began
    assert {type(result) for result in results} == {Unavailable}
    assert waited_s < 5, "each by itself would have waited half a second"
    await base.run(insert(1))
    assert await numbers(base) == [1]
    await base.close()


async def test_a_caller_that_leaves_does_not_undo_its_work(base: Database) -> None:
    leaving = asyncio.create_task(base.run(insert(1)))
    await asyncio.sleep(0)
    leaving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await leaving
    await base.run(insert(2))
    assert await numbers(base) == [1, 2]


async def test_closing_finishes_what_was_submitted(tmp_path: Path) -> None:
    base = Database(tmp_path / "t.db")
    await base.run(lambda tx: tx.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)"))
    pending = [asyncio.create_task(base.run(insert(n))) for n in range(20)]
    await asyncio.sleep(0)
    await base.close()
    await base.close()
    assert await asyncio.gather(*pending) == [1] * 20
    with pytest.raises(Unavailable):
        await base.run(insert(99))


async def test_too_many_waiting_writes_are_refused(base: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WAITING", 5)
    results = await asyncio.gather(*(base.run(insert(n)) for n in range(10)), return_exceptions=True)
    assert sum(isinstance(result, Unavailable) for result in results) == 5
    await base.run(insert(100))


async def test_a_search_that_takes_too_long_is_ended(base: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "QUERY_TIMEOUT_S", 0.05)
    forever = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c"
    with pytest.raises(Unavailable):
        await base.search(lambda tx: tx.value(forever))
    assert await base.search(lambda tx: tx.value("SELECT 1")) == 1


async def test_searches_hold_up_no_short_read_and_are_bounded(base: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "SEARCHES", 3)
    done: list[str] = []

    async def search() -> None:
        await base.search(lambda _: time.sleep(0.05))
        done.append("search")

    searches = [asyncio.create_task(search()) for _ in range(4)]
    await asyncio.sleep(0)
    await base.read(lambda tx: tx.value("SELECT 1"))
    done.append("read")
    results = await asyncio.gather(*searches, return_exceptions=True)
    assert sum(isinstance(result, Unavailable) for result in results) == 1
    assert done[0] == "read"


async def test_a_full_disk_is_an_answer_and_passes(tmp_path: Path) -> None:
    clock = FakeClock()
    async with open_base("sqlite-file", tmp_path, clock) as (base, log):
        store = SqliteTasks(base, log, clock)
        pages = await base.run(lambda tx: int(tx.value("PRAGMA page_count")))
        await base.run(lambda tx: tx.value(f"PRAGMA max_page_count = {pages + 40}"))
        stored: list[int] = []
        number = 0
        full: Unavailable | None = None
        while full is None:
            number += 1
            try:
                await store.insert([make.entry(make.task(number, description="x" * 5_000))])
                stored.append(number)
            except Unavailable as error:
                full = error
        assert full.retry_after_s > 0
        assert stored
        assert [task.id for task in await store.find(TaskQuery(limit=1_000, descending=False))] == stored
        await base.run(lambda tx: tx.value("PRAGMA max_page_count = 100000"))
        await store.insert([make.entry(make.task(number))])
        found = await store.find(TaskQuery(limit=1_000, descending=False))
        assert [task.id for task in found] == [*stored, number]
