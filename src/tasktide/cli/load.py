"""`tasktide load`: how fast a running server is on this machine."""

import asyncio
import re
import secrets
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import msgspec
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tasktide.cli import context
from tasktide.domain.users import OPERATOR, Role
from tasktide.load.plan import Account, Kind, Plan
from tasktide.load.report import Report, Spread
from tasktide.settings import Settings
from tasktide.wiring import usecases
from tasktide.wiring.embedded import is_served
from tasktide.wiring.ports import Ports

if TYPE_CHECKING:
    from tasktide.load.driver import Driver


def load(
    url: Annotated[str | None, typer.Option(help="The server; by default the one of this machine's settings.")] = None,
    kind: Annotated[Kind, typer.Option(help="What to send.")] = Kind.TASKS,
    rate: Annotated[float, typer.Option(help="Items a second; 0 for as many as go through.", min=0)] = 0,
    connections: Annotated[int, typer.Option(help="HTTP connections.", min=1, max=10_000)] = 64,
    sockets: Annotated[int, typer.Option(help="Live WebSockets that listen.", min=0, max=10_000)] = 64,
    seconds: Annotated[float, typer.Option(help="How long to send.", min=0.1, max=86_400)] = 10,
    batch: Annotated[int, typer.Option(help="Items a request.", min=1, max=10_000)] = 1,
    token: Annotated[
        list[str] | None,
        typer.Option(help="A token `<user id>:<token>` to send and listen with; repeat it. Default: own accounts."),
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Write the ids of accepted tasks here, for `verify`.", dir_okay=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Drive a running server, and report rates, latencies and errors.

    It works with accounts of its own (load-1@example.org and so on) in the data folder of the server. What it makes
    stays there, so drive a server that you keep for that. Exit code 1 when something that was accepted did not arrive.
    """
    # It brings clients that no other command needs.
    from tasktide.load.driver import CannotDrive, Driver  # noqa: PLC0415

    chosen = context.settings()
    if sockets == 1:
        context.fail("--sockets must be 0, or 2 and more: nobody is told of what they did themselves.", context.MISUSED)
    plan = Plan(
        url=_checked(url or f"http://localhost:{chosen.port}"),
        kind=kind,
        rate=rate,
        connections=connections,
        sockets=0 if kind is Kind.READS else sockets,
        seconds=seconds,
        batch=1 if kind is Kind.READS else batch,
    )
    ids: list[int] = []
    if record is not None:
        _write(record, ids, "a")  # what cannot be written is said before anything is done
    accounts = _given(token) if token else _own(chosen, plan)
    driver = Driver(plan, accounts, None if record is None else lambda body: ids.extend(_ids_in(body)))
    try:
        report = context.run(_drive(driver, plan, is_shown=not json))
    except CannotDrive as reason:
        context.fail(str(reason), context.CANNOT_START)
    finally:
        if record is not None:
            _write(record, ids)
    if json:
        typer.echo(msgspec.json.encode(report))
    else:
        _show(report)
    if not report.is_whole or not report.accepted:
        raise typer.Exit(context.FAILED)


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and parts.path in {"", "/"}
    except ValueError:
        is_right = False
    if not is_right:
        context.fail(f"--url {url}: must be the address of a server, such as http://localhost:3000.", context.MISUSED)
    return url.rstrip("/")


def _own(chosen: Settings, plan: Plan) -> list[Account]:
    """Accounts in the data folder of the server, which must be there."""
    try:
        socket.create_connection((plan.host, plan.port), timeout=5).close()
    except OSError:
        context.fail(f"There is no answer from {plan.url}.", context.CANNOT_START)
    if not is_served(chosen):
        folder = chosen.data_dir.resolve()
        what = (
            f"No server holds {folder}: set TASKTIDE_DATA_DIR to the folder of the one at {plan.url}, or give --token."
        )
        context.fail(what, context.CANNOT_START)
    return context.on_engines(chosen, lambda ports: _enrol(ports, chosen, plan))


def _ids_in(body: bytes) -> list[int]:
    answer = msgspec.json.decode(body)
    return list(answer.get("ids") or [answer["id"]])


def _write(record: Path, ids: Sequence[int], mode: str = "w") -> None:
    try:
        with record.open(mode) as file:
            file.writelines(f"{one}\n" for one in ids)
    except OSError as error:
        context.fail(f"--record {record}: {error.strerror}.", context.MISUSED if not ids else context.FAILED)


async def _drive(driver: "Driver", plan: Plan, *, is_shown: bool) -> Report:
    """The run; Ctrl-C ends the sending, a second one the program."""
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        driver.stop()
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGINT, interrupted)
    if not is_shown or not context.is_terminal():
        return await driver.run()
    columns = (
        TextColumn("{task.description:<9}"),
        BarColumn(),
        TextColumn(
            "accepted {task.fields[accepted]}  delivered {task.fields[delivered]}  errors {task.fields[errors]}"
        ),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=context.out) as bar:
        shown = bar.add_task("sending", total=plan.seconds, accepted=0, delivered=0, errors=0)
        began = asyncio.get_running_loop().time()

        def progress(phase: str, accepted: int, delivered: int, errors: int) -> None:
            done = min(plan.seconds, asyncio.get_running_loop().time() - began)
            bar.update(shown, description=phase, completed=done, accepted=accepted, delivered=delivered, errors=errors)

        return await driver.run(progress)


def _given(tokens: Sequence[str]) -> list[Account]:
    accounts = []
    for one in tokens:
        user_id, _, token = one.partition(":")
        if not re.fullmatch(r"[0-9]{1,16}", user_id) or not re.fullmatch(r"[A-Za-z0-9._~+/=-]+", token):
            context.fail("--token must be of the form <user id>:<token>.", context.MISUSED)
        accounts.append(Account(int(user_id), token))
    return accounts


async def _enrol(ports: Ports, chosen: Settings, plan: Plan) -> list[Account]:
    users = usecases.users(ports, chosen)
    count = max(2, plan.sockets, min(plan.connections, 64))
    people = [(f"load-{number}@example.org", f"Load {number}") for number in range(1, count + 1)]
    enrolled = await users.enrol(people, secrets.token_urlsafe(32))
    if enrolled[0].role is Role.ADMIN and plan.kind is not Kind.NOTIFICATIONS:
        # As the first account of all: whoever registers next should not wonder.
        context.err.print(
            f"{enrolled[0].email} is an admin here; `tasktide admin EMAIL` makes you one.", highlight=False
        )
    if plan.kind is Kind.NOTIFICATIONS and enrolled[0].role is not Role.ADMIN:
        await users.change_role(OPERATOR, enrolled[0].id, Role.ADMIN)
    return [Account(user.id, (await users.sign_for(user.email)).access_token) for user in enrolled]


def _show(report: Report) -> None:
    table = Table(box=None, show_header=False)
    table.add_row("accepted", f"{report.accepted:,}", f"{report.accepted_rate:,.0f}/s", _spread(report.accept_ms))
    if report.stored_rate is not None:
        table.add_row("stored", "", f"{report.stored_rate:,.0f}/s", "")
    if report.expected:
        table.add_row("delivered", f"{report.delivered:,}", f"{report.delivered_rate:,.0f}/s", _spread(report.frame_ms))
    for what, count in sorted(report.errors.items()):
        table.add_row("[red]error[/red]", f"{count:,}", "", what)
    for what in ("doubled", "disordered", "reconnected"):
        if getattr(report, what):
            table.add_row(what, f"{getattr(report, what):,}", "", "")
    context.out.print(table)
    context.out.print(f"The driver used {report.driver_cpu:.0%} of a core.")
    if report.settle_s is not None:
        if report.kind != Kind.READS:
            done = "stored and delivered" if report.expected else "stored"
            context.out.print(f"Everything was {done} {report.settle_s:.2f} s after the last answer.")
    else:
        missing = report.expected - report.delivered
        context.err.print(f"[red]Not everything arrived: {missing:,} of {report.expected:,} are missing.[/red]")


def _spread(spread: Spread) -> str:
    return f"p50 {spread.p50:g}  p90 {spread.p90:g}  p99 {spread.p99:g}  worst {spread.worst:g} ms"
