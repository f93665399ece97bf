"""Fixtures for all suites."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.engines import ENGINES, Engine, open_engine


@pytest.fixture(params=ENGINES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    async with open_engine(request.param, tmp_path) as opened:
        yield opened
