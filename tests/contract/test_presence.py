"""Servers on one database: alone, or together with those that share everything."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support import engines
from support.engines import open_engine
from support.waiting import until
from tasktide.adapters.postgres.database import Database
from tasktide.adapters.postgres.presence import Presence
from tasktide.domain.errors import Unavailable

HELD = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7245917 AND granted"
END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tasktide presence'"


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    async with open_engine("postgres", tmp_path):
        yield engines._urls()[0]


@contextlib.asynccontextmanager
async def present(url: str, *, alone: bool) -> AsyncIterator[Presence]:
    presence = Presence(url, alone=alone)
    try:
        await presence.hold()
        yield presence
    finally:
        await presence.close()


async def refused(url: str, *, alone: bool) -> None:
    with pytest.raises(Unavailable, match="Another server works on this database"):
        async with present(url, alone=alone):
            pass


async def test_one_that_shares_nothing_is_alone_and_others_are_not_beside_it(url: str) -> None:
    async with present(url, alone=True):
        await refused(url, alone=True)
        await refused(url, alone=False)
    async with present(url, alone=False), present(url, alone=False):
        await refused(url, alone=True)
    async with present(url, alone=True):
        pass


async def test_a_lock_that_was_lost_is_taken_again(url: str) -> None:
    database = Database(url)
    try:
        async with present(url, alone=True):
            assert await database.value(HELD) == 1
            assert len(await database.fetch(END)) == 1

            async def is_held() -> bool:
                return bool(await database.value(HELD))

            await until(is_held)
            await refused(url, alone=True)
        assert await database.value(HELD) == 0
    finally:
        await database.close()


async def test_a_database_that_is_away_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="cannot serve this now"):
        await Presence("postgresql://127.0.0.1:9/none", alone=True).hold()
