"""What the commands share: settings, exit codes, and running something on the engines."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import typer
import uvloop
from rich.console import Console

from tasktide import settings as all_settings
from tasktide.domain.errors import Invalid, TasktideError
from tasktide.settings import Settings, SettingsError
from tasktide.wiring.embedded import CannotStart, has_data
from tasktide.wiring.ports import Ports, open_ports

T = TypeVar("T")

FAILED = 1
MISUSED = 2
CANNOT_START = 3

# Where no person looks, lines are not broken at the width of a terminal.
out = Console(width=None if sys.stdout.isatty() else 240)
err = Console(stderr=True)


def settings(**given: Any) -> Settings:
    """The settings, with those given on the command line over them; all mistakes are shown, then exit 2."""
    try:
        loaded = all_settings.load(os.environ, Path(".env"))
    except SettingsError as wrong:
        err.print("[red]These settings are wrong:[/red]")
        for line in wrong.mistakes:
            err.print(f"  {line}", markup=False, highlight=False)
        raise typer.Exit(MISUSED) from None
    return replace(loaded, **{name: value for name, value in given.items() if value is not None})


def fail(message: str, code: int = FAILED) -> NoReturn:
    """One line on standard error, then exit."""
    say(message)
    raise typer.Exit(code)


def say(message: str) -> None:
    """One line on standard error."""
    err.print(message, style="red", markup=False, highlight=False, soft_wrap=True)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run on a fast event loop; what cannot start exits 3 with one line."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)
    except CannotStart as reason:
        fail(str(reason), CANNOT_START)
    except Invalid as wrong:
        fail("; ".join(f"{one.field} {one.message}" for one in wrong.errors) or wrong.detail)
    except TasktideError as error:
        fail(error.whole)


def on_engines(chosen: Settings, work: Callable[[Ports], Awaitable[T]], *, makes: bool = False) -> T:
    """Do something with the engines, beside a server or without one; where there is no data, only what makes some."""
    if not makes and not has_data(chosen):
        fail(f"There is no data in {chosen.data_dir}: set TASKTIDE_DATA_DIR to the folder of a server.", CANNOT_START)

    async def main() -> T:
        async with open_ports(chosen, server=False) as ports:
            return await work(ports)

    return run(main())


def leave() -> NoReturn:
    """End the process successfully, whatever still runs in it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def is_terminal() -> bool:
    """Whether a person is looking."""
    return sys.stdout.isatty()
