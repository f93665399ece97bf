"""The outbox of a shard: nothing is taken twice once it is done, nothing is left behind, nothing waits unseen."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from support.engines import scratch_database
from support.stack import variables
from tasktide.adapters.postgres import migrate
from tasktide.adapters.postgres import outbox as postgres_outbox
from tasktide.adapters.postgres.database import Database
from tasktide.adapters.postgres.outbox import PostgresOutbox, packed
from tasktide.ports.log import Record


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    url = variables()["DB_SHARD_URLS"].split(",")[0]
    opened = await scratch_database(url + "_test_outbox")
    try:
        await migrate.migrate(opened, migrate.SHARD)
        await opened.execute("DELETE FROM outbox")
        yield opened
    finally:
        await opened.close()


async def say(database: Database, *keys: str) -> None:
    """A row for all of them, as one transaction leaves it."""
    body = packed([Record("topic", key, b"{}") for key in keys])
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO outbox (records, body) VALUES ($1, $2)", len(keys), body)
        await connection.execute("SELECT pg_notify('outbox', '')")


async def left(database: Database) -> int:
    return int(await database.value("SELECT count(*) FROM outbox"))


async def drain(outbox: PostgresOutbox, limit: int = 10, wait_s: float = 0.05) -> list[str]:
    keys: list[str] = []
    while found := await outbox.take(limit, wait_s):
        keys += [one.key for one in found.records]
        await outbox.done(found)
    return keys


async def test_a_look_gives_no_more_bytes_than_may_be_held(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_outbox, "MOST_BYTES", 30)
    outbox = PostgresOutbox(database, "shard")
    for key in ("a", "b", "c" * 50, "d", "e"):
        await say(database, key)
    looks = []
    while found := await outbox.take(10, 0.05):
        looks.append([one.key[0] for one in found.records])
        await outbox.done(found)
    assert looks == [["a", "b", "c"], ["d", "e"]]
    assert await left(database) == 0
    await outbox.release()


async def test_each_record_is_given_once_and_none_is_left(database: Database) -> None:
    outbox = PostgresOutbox(database, "shard")
    await say(database, "a", "b")
    first = await outbox.take(10, 1)
    assert first is not None
    await say(database, "c")  # before the first is done: the next look follows at once, and removes both
    await outbox.done(first)
    assert [*(one.key for one in first.records), *await drain(outbox)] == ["a", "b", "c"]
    assert await left(database) == 0
    await outbox.release()


async def test_more_than_one_look_gives_are_taken_without_a_wait(database: Database) -> None:
    outbox = PostgresOutbox(database, "shard")
    for number in range(25):
        await say(database, str(number))
    began = time.monotonic()
    found: list[str] = []
    while len(found) < 25:
        taken = await outbox.take(4, 30)
        assert taken is not None
        found += [one.key for one in taken.records]
        await outbox.done(taken)
    assert found == [str(number) for number in range(25)]
    assert time.monotonic() - began < 15
    await outbox.release()
    assert await left(database) == 0


async def test_a_successor_is_given_what_was_not_done_and_nothing_else(database: Database) -> None:
    first, second = PostgresOutbox(database, "shard"), PostgresOutbox(database, "shard")
    await say(database, "a")
    done = await first.take(10, 1)
    assert done is not None
    await say(database, "b")
    await first.done(done)  # not removed yet: more has come
    assert await second.take(10, 0.01) is None, "the first holds it"
    taken = await first.take(10, 1)
    assert taken is not None
    await say(database, "c")
    await first.release()
    again = await second.take(1, 1)
    assert again is not None
    assert again.records == taken.records
    await second.done(again)  # with more behind it, whoever lets go removes it
    await second.release()
    assert await drain(first) == ["c"]
    await first.release()


async def test_what_the_log_did_not_take_is_given_again_at_once(database: Database) -> None:
    outbox = PostgresOutbox(database, "shard")
    await say(database, "a")
    first = await outbox.take(10, 1)
    assert first is not None
    async with asyncio.timeout(10):
        assert await outbox.take(10, 60) == first
    await outbox.done(first)
    await outbox.release()
    assert await left(database) == 0


async def test_a_row_whose_word_was_lost_is_found_all_the_same(database: Database) -> None:
    outbox = PostgresOutbox(database, "shard")
    assert await drain(outbox) == []
    waiting = asyncio.create_task(outbox.take(10, 0.2))
    await asyncio.sleep(0.05)
    await database.execute("INSERT INTO outbox (records, body) VALUES (1, $1)", packed([Record("topic", "a", b"{}")]))
    found = await waiting
    assert found is not None
    assert found.records[0].key == "a"
    await outbox.done(found)
    await outbox.release()
    assert await left(database) == 0
