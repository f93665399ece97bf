"""A real server, and a real browser that watches it."""

import os
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from support.processes import Program, free_port
from support.server import Person

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_numbers = count(1)

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; without it, or without the pages, these tests are left out, which in CI is a failure.

    For one module: as long as it is open, its event loop is the thread's, and no other asyncio test can run.
    """
    built = (ROOT / "src/tasktide/web/index.html").is_file()
    if CHROMIUM is None or not built:
        wanted = "install chromium" if CHROMIUM is None else "run `make web`"
        assert not os.environ.get("CI"), wanted
        pytest.skip(wanted)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("browser")
    environment = {"PORT": str(free_port()), "SHUTDOWN_GRACE": "2", "WEBHOOK_NETWORKS": "127.0.0.0/8"}
    with Program(folder / "data", **environment) as running:
        yield running


@pytest.fixture(autouse=True, scope="module")
def admin(program: Program) -> Person:
    """Whoever comes first."""
    return program.person("admin")


@pytest.fixture
def ann(program: Program) -> Person:
    return program.person(f"ann{next(_numbers)}")


@pytest.fixture
def bob(program: Program) -> Person:
    return program.person(f"bob{next(_numbers)}")


@pytest.fixture
def open_page(browser: Browser, program: Program) -> Iterator[Open]:
    """Opens a path as somebody, in a browser of their own; what goes wrong in the pages fails the test."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def opened(person: Person | None, path: str = "/app/board", **settings: object) -> Page:
        defaults = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB"}
        context = browser.new_context(**(defaults | settings))  # type: ignore[arg-type]
        contexts.append(context)
        context.set_default_timeout(10_000)
        if person is not None:
            cookie = {"name": "tasktide_session", "value": person.token, "url": program.address, "httpOnly": True}
            context.add_cookies([cookie])  # type: ignore[list-item]
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
        page.on(
            "request",
            lambda sent: None if sent.url.startswith((program.address, "data:")) else wrong.append(f"asks {sent.url}"),
        )
        page.goto(program.address + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []
