"""Finds the handlers of a process: those we ship and those of the user's modules."""

import asyncio
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from tasktide.domain import handlers
from tasktide.domain.handlers import Context, Handler, handler
from tasktide.wiring.embedded import CannotStart

MOST_SLEEP_S = 3_600.0


@handler("reverse")
async def reverse(payload: Any, _context: Context) -> str:
    """The text turned round, with its length: `"Hello world!"` gives `"!dlrow olleH (len=12)"`."""
    text = payload if isinstance(payload, str) else handlers.as_text(payload)
    return f"{text[::-1]} (len={len(text)})"


@handler("sleep", timeout_s=MOST_SLEEP_S, concurrency=10_000)
async def sleep(payload: Any, _context: Context) -> dict[str, float]:
    """Waits for `{"seconds": 0.2}` and returns the same."""
    seconds = payload.get("seconds") if isinstance(payload, dict) else None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < MOST_SLEEP_S:
        raise ValueError(f"the payload must be an object with `seconds` from 0 to {MOST_SLEEP_S:g}")
    await asyncio.sleep(seconds)
    return {"seconds": seconds}


@handler("fail")
async def fail(payload: Any, context: Context) -> None:
    """Always fails, for trying retries."""
    del payload
    raise RuntimeError(f"this handler always fails (attempt {context.attempt} of {context.max_attempts})")


def load(modules: Sequence[str]) -> dict[str, Handler]:
    """All handlers by name; CannotStart names a module that cannot be imported or holds none."""
    sys.path.insert(0, str(Path.cwd()))
    namespaces: list[ModuleType | SimpleNamespace] = [
        SimpleNamespace(reverse=reverse, sleep=sleep, fail=fail),
    ]
    found = handlers.collect(namespaces)
    for name in modules:
        if name.endswith(".py"):
            raise CannotStart(f"{name} is a file, --app takes modules: {name.removesuffix('.py').replace('/', '.')}.")
        try:
            module = importlib.import_module(name)
        except (Exception, SystemExit) as error:
            raise CannotStart(f"The module {name} cannot be imported: {type(error).__name__}: {error}.") from error
        if not _collected([module], name):
            raise CannotStart(f"The module {name} has no handlers: mark functions with @tasktide.handler(...).")
        namespaces.append(module)
        found = _collected(namespaces, name)
    return found


def _collected(namespaces: Sequence[ModuleType | SimpleNamespace], module: str) -> dict[str, Handler]:
    try:
        return handlers.collect(namespaces)
    except ValueError as clash:
        raise CannotStart(f"The module {module} cannot be used: {clash}.") from None
