"""What `tasktide up` says when it is ready."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import typer
from rich.markup import escape
from rich.panel import Panel

from tasktide.cli import context
from tasktide.roles.run import Started
from tasktide.settings import Settings
from tasktide.wiring.demo import Demo


def show(started: Started, chosen: Settings) -> None:
    """A panel and lines to copy for a person, one line for a program."""
    where = chosen.data_dir.resolve()
    if not context.is_terminal():
        if started.demo is not None:
            typer.echo(logins(started.demo))
        typer.echo(f"Tasktide is ready at {started.address or 'work'}; data in {where}")
        return
    lines = [f"[bold]Data[/bold]  {escape(str(where))}"]
    if started.address:
        lines = [
            f"[bold]Pages[/bold] {started.address}",
            f"[bold]API[/bold]   {started.address}/graphql, and REST beside it",
            f"[bold]Docs[/bold]  {started.address}/docs",
            f"[bold]Live[/bold]  {started.address}/events",
            f"      {started.address.replace('http', 'ws', 1)}/tasks/notifications",
            *lines,
        ]
    context.out.print(Panel("\n".join(lines), title="Tasktide is ready", subtitle="Ctrl-C stops it", expand=False))
    if started.demo is not None:
        context.out.print(logins(started.demo), markup=False, highlight=False)
    if started.address:
        # Outside the panel and unbroken, so that they can be copied.
        for line in (*_way_in(started), *_to_try(started)):
            context.out.print(line, highlight=False, soft_wrap=True)


def logins(demo: Demo) -> str:
    """Who can sign in to a demo, and how."""
    people = "\n".join(f"  {email}" for email in demo.emails)
    return (
        f"{demo.tasks} tasks are there. Sign in, with the password {demo.password}, as (the first is admin):\n{people}"
    )


def _way_in(started: Started) -> list[str]:
    if started.is_new and started.demo is None:
        return [
            "Nobody has an account yet. Open the pages and make one, or in another terminal:",
            f"  [cyan]{_program()} admin you@example.org[/cyan]",
        ]
    return []


def _to_try(started: Started) -> list[str]:
    email = started.demo.emails[0] if started.demo else "you@example.org"
    address = started.address
    return [
        "Then try:" if started.is_new and started.demo is None else "To try, in another terminal:",
        f'  [cyan]AUTH="Authorization: Bearer $({_program()} token {email})"[/cyan]',
        f"""  [cyan]curl {address}/tasks -H "$AUTH" --json '{{"title": "Water the plants"}}'[/cyan]""",
        f"""  [cyan]curl {address}/tasks -H "$AUTH" --json '{{"payload": "Hello world!"}}'[/cyan]""",
        f"""  [cyan]curl {address}/notifications -H "$AUTH"[/cyan]""",
    ]


def _program() -> str:
    """How this program was called, so that the lines work where they are read."""
    called = Path(sys.argv[0])
    program = str(called) if called.name == "tasktide" and not shutil.which("tasktide") else "tasktide"
    if called.name == "__main__.py":
        program = f"{sys.executable} -m tasktide"
    folder = os.environ.get("TASKTIDE_DATA_DIR")
    return program if folder is None else f"TASKTIDE_DATA_DIR={shlex.quote(str(Path(folder).resolve()))} {program}"
