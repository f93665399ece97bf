"""`tasktide verify`: the proof that nothing was lost."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from tasktide.cli import context
from tasktide.domain.findings import Findings
from tasktide.domain.ids import TaskId
from tasktide.usecases.verify import Verification
from tasktide.wiring.data import open_evidence


def verify(
    accepted: Annotated[
        Path | None,
        typer.Option(help="Ids that were accepted, one a line, as `load --record` writes them.", dir_okay=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The findings as JSON.")] = False,
) -> None:
    """Hold log, stores and inboxes against each other, beside a server or without one.

    Says what is missing, doubled or out of order for each task and user, and exits 1 if anything is.
    """
    ids = _ids_in(accepted) if accepted else []

    async def main() -> Findings:
        async with open_evidence(context.settings()) as evidence:
            return await Verification(evidence.log, evidence.stores).run(ids)

    findings = context.run(main())
    if json:
        typer.echo(msgspec.json.encode(findings))
    else:
        _show(findings, len(ids))
    if not findings.is_clean:
        raise typer.Exit(context.FAILED)


def _ids_in(accepted: Path) -> list[TaskId]:
    try:
        lines = accepted.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        context.fail(f"--accepted {accepted}: {getattr(error, 'strerror', None) or 'is not text'}.", context.MISUSED)
    if not all(line.isdigit() for line in lines):
        context.fail("--accepted must hold one task id a line.", context.MISUSED)
    return [TaskId(int(line)) for line in lines]


def _show(findings: Findings, accepted: int) -> None:
    looked = f"{findings.tasks:,} tasks, {findings.events:,} events, {findings.notifications:,} notifications"
    context.out.print(f"Looked at {looked}" + (f" and {accepted:,} accepted ids." if accepted else "."))
    if findings.waiting:
        some = "1 record is" if findings.waiting == 1 else f"{findings.waiting:,} records are"
        context.out.print(f"{some} still on the way.")
    if findings.is_clean:
        context.out.print("[green]Nothing is missing, doubled or out of order.[/green]")
        return
    table = Table("fault", "of", "what", box=None)
    for one in findings.found:
        table.add_row(f"[red]{one.fault}[/red]", escape(one.subject), escape(one.detail))
    context.out.print(table)
    context.out.print("[red]" + ", ".join(f"{count:,} {fault}" for fault, count in findings.faults.items()) + "[/red]")
