"""The command `tasktide`."""

import asyncio
import secrets
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tasktide import __version__
from tasktide.cli import config, context, letters, logs, welcome
from tasktide.cli.doctor import doctor
from tasktide.cli.load import load
from tasktide.cli.verify import verify
from tasktide.domain.errors import Invalid
from tasktide.domain.users import User, check_registration
from tasktide.roles import run as roles
from tasktide.roles.table import ALL, ROLES
from tasktide.wiring import handlers, usecases
from tasktide.wiring.data import migrate_data
from tasktide.wiring.demo import Demo, plant
from tasktide.wiring.embedded import CannotStart, backup_folder, is_served
from tasktide.wiring.ports import Ports

app = typer.Typer(
    name="tasktide",
    help="Tasks for people, jobs for programs, and notifications about both.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(letters.app, name="letters")
app.add_typer(config.app, name="config")

Modules = Annotated[
    list[str] | None,
    typer.Option("--app", help="A module with handlers, such as shop.jobs; may be repeated."),
]
Host = Annotated[str | None, typer.Option(help="Where to listen; over HOST.")]
Port = Annotated[int | None, typer.Option(help="The port; over PORT.", min=0, max=65_535)]


def _roles(begun: str) -> list[tuple[str, str]]:
    """Roles to complete a word with, and what they are about."""
    return [(role.name, role.about) for role in ROLES.values() if role.name.startswith(begun)]


def _print_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def every(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """What all commands take."""


@app.command()
def up(
    modules: Modules = None,
    host: Host = None,
    port: Port = None,
    demo: Annotated[bool, typer.Option("--demo", help="Fill an empty data folder with a workspace to try.")] = False,
) -> None:
    """Run everything in this one process."""
    _run(list(ALL), modules, host, port, with_demo=demo)


@app.command()
def run(
    names: Annotated[
        list[str], typer.Argument(metavar="ROLE...", help=f"Any of: {', '.join(ROLES)}.", autocompletion=_roles)
    ],
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
    applied = context.run(migrate_data(chosen))
    typer.echo(f"Applied {', '.join(map(str, applied))}." if applied else "The schema is up to date.")


@app.command()
def backup(target: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder for the copy.")]) -> None:
    """Copy the data folder, beside a running server or without one. The copy is a data folder like any other."""
    try:
        size = backup_folder(context.settings(), target)
    except CannotStart as reason:
        context.fail(str(reason), context.CANNOT_START)
    typer.echo(f"Copied {size / 1e6:,.1f} MB. Prove it: TASKTIDE_DATA_DIR={shlex.quote(str(target))} tasktide verify")


@app.command()
def token(email: Annotated[str, typer.Argument(help="Whose.")]) -> None:
    """Print a fresh token for a user: a sign-in for those who have the machine."""
    chosen = context.settings()
    signed = context.on_engines(chosen, lambda ports: usecases.users(ports, chosen).sign_for(email))
    typer.echo(signed.access_token)


@app.command()
def admin(
    email: Annotated[str, typer.Argument(help="Whose account to make.")],
    name: Annotated[str, typer.Option(help="How they are called; by default as their address begins.")] = "",
) -> None:
    """Make an account, or one that exists, an admin's with a new password, and print that: the way in, and back in."""
    chosen = context.settings()
    password = secrets.token_urlsafe(12)
    called = name or email.partition("@")[0] or email
    try:
        check_registration(email, called, password, chosen.name_length)
    except Invalid as wrong:
        context.fail("; ".join(f"{one.field} {one.message}" for one in wrong.errors), context.MISUSED)

    async def work(ports: Ports) -> User:
        return await usecases.users(ports, chosen).take_over(email, called, password, rename=bool(name))

    made = context.on_engines(chosen, work, makes=True)
    typer.echo(f"email:    {made.email}\npassword: {password}")


@app.command()
def seed(json: Annotated[bool, typer.Option("--json", help="The accounts as JSON.")] = False) -> None:
    """Fill an empty data folder with a workspace to try, beside a server or without one."""
    chosen = context.settings()
    logs.configure("warning")
    planted: list[Demo] = []

    async def alone() -> None:
        stop = asyncio.Event()

        def ready(started: roles.Started) -> None:
            planted.extend([started.demo] if started.demo else [])
            stop.set()

        await roles.serve(chosen, [name for name in ALL if name != "gateway"], ready, stop, with_demo=True)

    async def beside(ports: Ports) -> None:
        platform = usecases.platform(ports, chosen, handlers.load(()), [])
        planted.append(await plant(platform, ports.clock.now()))

    if is_served(chosen):
        context.on_engines(chosen, beside, makes=True)
    else:
        context.run(alone())
    typer.echo(msgspec.json.encode(planted[0]) if json else welcome.logins(planted[0]))


app.command()(doctor)
app.command()(load)
app.command()(verify)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """The entry point; a file that is not for this user is said in one line."""
    try:
        app()
    except PermissionError as error:
        where = f" {error.filename}" if error.filename else ""
        context.say(f"Not permitted:{where}. Run this as the user whom the data folder belongs to.")
        sys.exit(context.CANNOT_START)


def _run(
    names: list[str], modules: list[str] | None, host: str | None, port: int | None, *, with_demo: bool = False
) -> None:
    chosen = context.settings(host=host, port=port)
    chosen = replace(chosen, app=(*chosen.app, *(modules or ())))
    logs.configure(chosen.log_level)

    async def until_stopped() -> None:
        await roles.run(chosen, names, lambda started: welcome.show(started, chosen), with_demo=with_demo)
        # All is stored and closed. A handler that will not end must not hold up the process, so nothing is waited for.
        context.leave()

    context.run(until_stopped())
