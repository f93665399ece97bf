"""Servers on one database: alone, or together with those that share everything."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support import engines
from support.engines import open_engine
from support.proxy import Proxy
from support.waiting import until
from tasktide.adapters.postgres import presence
from tasktide.adapters.postgres.database import Database
from tasktide.adapters.postgres.presence import Presence
from tasktide.domain.errors import Unavailable

HOLDER = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 7245917 AND granted"
END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tasktide presence'"


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    async with open_engine("postgres", tmp_path):
        yield engines._urls()[0]


@contextlib.asynccontextmanager
async def present(url: str, *, alone: bool) -> AsyncIterator[Presence]:
    held = Presence(url, alone=alone)
    try:
        await held.hold()
        yield held
    finally:
        await held.close()


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
            before = await database.value(HOLDER)
            assert len(await database.fetch(END)) == 1

            async def is_held_anew() -> bool:
                return await database.value(HOLDER) not in {None, before}

            await until(is_held_anew)
            await refused(url, alone=True)

        async def is_free() -> bool:
            return await database.value(HOLDER) is None

        await until(is_free)
    finally:
        await database.close()


async def test_a_line_that_is_cut_without_a_word_is_noticed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "LOOK_S", 0.1)
    monkeypatch.setattr(presence, "CONNECT_S", 0.5)
    place = urlsplit(url)
    assert place.port is not None
    database = Database(url)
    try:
        with Proxy(place.port) as line:
            async with present(url.replace(f":{place.port}", f":{line.port}"), alone=True):
                line.is_cut = True
                assert len(await database.fetch(END)) == 1  # and nobody hears of it
                async with present(url, alone=True):
                    line.is_cut = False
                    await asyncio.sleep(1)  # it is another one's by now, and stays that

                async def is_held() -> bool:
                    return await database.value(HOLDER) is not None

                await until(is_held)
    finally:
        await database.close()


async def test_a_database_that_is_away_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="cannot serve this now") as away:
        await Presence("postgresql://127.0.0.1:9/none", alone=True).hold()
    # Who runs the platform is told where nobody answers; who uses it is not.
    assert "127.0.0.1" in away.value.whole
    assert "127.0.0.1" not in away.value.detail
