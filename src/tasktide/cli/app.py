"""The command `tasktide`."""

import asyncio
from dataclasses import replace
from typing import Annotated

import typer
from rich.markup import escape
from rich.panel import Panel

from tasktide import __version__
from tasktide.cli import config, context, letters, logs
from tasktide.cli.load import load
from tasktide.cli.verify import verify
from tasktide.roles import run as roles
from tasktide.roles.server import PortInUse
from tasktide.roles.table import ALL, ROLES
from tasktide.settings import Settings
from tasktide.wiring import usecases
from tasktide.wiring.ports import migrate_data

app = typer.Typer(
    name="tasktide",
    help="Tasks for people, jobs for programs, and notifications about both.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(letters.app, name="letters")
app.add_typer(config.app, name="config")
app.command()(load)
app.command()(verify)

Modules = Annotated[
    list[str] | None,
    typer.Option("--app", help="A module with handlers, such as shop.jobs; may be repeated."),
]
Host = Annotated[str | None, typer.Option(help="Where to listen; over HOST.")]
Port = Annotated[int | None, typer.Option(help="The port; over PORT.", min=0, max=65_535)]


@app.command()
def up(modules: Modules = None, host: Host = None, port: Port = None) -> None:
    """Run everything in this one process."""
    _run(list(ALL), modules, host, port)


@app.command()
def run(
    names: Annotated[list[str], typer.Argument(metavar="ROLE...", help=f"Any of: {', '.join(ROLES)}.")],
    modules: Modules = None,
    host: Host = None,
    port: Port = None,
) -> None:
    """Run some roles in this process.

    On the embedded engines one process holds the data folder, so run the roles that belong together in one.
    """
    unknown = [name for name in names if name not in ROLES]
    if unknown:
        context.fail(f"There is no role {', '.join(unknown)}; there are {', '.join(ROLES)}.", context.MISUSED)
    _run(names, modules, host, port)


@app.command()
def migrate() -> None:
    """Bring the data's schema up to date; `up` and `run` do it too."""
    chosen = context.settings()

    async def main() -> list[int]:
        return await asyncio.to_thread(migrate_data, chosen)

    applied = context.run(main())
    typer.echo(f"Applied {', '.join(map(str, applied))}." if applied else "The schema is up to date.")


@app.command()
def token(email: Annotated[str, typer.Argument(help="Whose.")]) -> None:
    """Print a fresh token for a user: a sign-in for those who have the machine."""
    chosen = context.settings()
    signed = context.on_engines(chosen, lambda ports: usecases.users(ports, chosen).sign_for(email))
    typer.echo(signed.access_token)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """The entry point."""
    app()


def _run(names: list[str], modules: list[str] | None, host: str | None, port: int | None) -> None:
    chosen = context.settings(host=host, port=port)
    chosen = replace(chosen, app=(*chosen.app, *(modules or ())))
    logs.configure(chosen.log_level)

    async def until_stopped() -> None:
        await roles.run(chosen, names, lambda address: _ready(address, chosen))
        # All is stored and closed. A handler that will not end must not hold up the process, so nothing is waited for.
        context.leave()

    try:
        context.run(until_stopped())
    except PortInUse as taken:
        context.fail(str(taken), context.CANNOT_START)


def _ready(address: str, chosen: Settings) -> None:
    where = chosen.data_dir.resolve()
    if not context.is_terminal():
        typer.echo(f"Tasktide is ready at {address or 'work'}; data in {where}")
        return
    lines = [
        f"[bold]API[/bold]   {address}",
        f"[bold]Docs[/bold]  {address}/docs",
        f"[bold]Data[/bold]  {escape(str(where))}",
    ]
    context.out.print(Panel("\n".join(lines if address else lines[2:]), title="Tasktide is ready", expand=False))
