"""`tasktide letters`: what could not be handled."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from tasktide.cli import context
from tasktide.domain.errors import NotFound
from tasktide.domain.ids import MAX_ID
from tasktide.domain.letters import DeadLetter
from tasktide.domain.users import OPERATOR
from tasktide.usecases.letters import DeadLetters
from tasktide.wiring.ports import Ports

app = typer.Typer(help="Dead letters: records set aside because they could not be handled.", no_args_is_help=True)

Id = Annotated[int, typer.Argument(help="Its number.", min=1, max=MAX_ID)]
Ids = Annotated[list[int], typer.Argument(help="Numbers as `letters list` shows them.", min=1, max=MAX_ID)]


@app.command("list")
def list_letters(
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=10_000)] = 50,
    after: Annotated[int, typer.Option(help="Only those after this number.", min=0, max=MAX_ID)] = 0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List them, oldest first."""
    found = context.on_engines(context.settings(), lambda ports: _letters(ports).find(OPERATOR, after, limit))
    if json:
        for letter in found:
            typer.echo(msgspec.json.encode(letter))
        return
    if not found:
        context.out.print("There are no dead letters.")
        return
    table = Table("id", "parked at", "topic", "pipeline", "key", "reason", box=None)
    for letter in found:
        table.add_row(
            str(letter.id),
            letter.parked_at,
            letter.topic,
            letter.pipeline,
            escape(letter.key),
            escape(letter.reason[:100]),
        )
    context.out.print(table)


@app.command()
def show(letter_id: Id) -> None:
    """Show one, with the bytes of its record."""
    letter: DeadLetter = context.on_engines(context.settings(), lambda ports: _letters(ports).get(OPERATOR, letter_id))
    for name in ("id", "parked_at", "topic", "pipeline", "position", "key", "attempts", "reason"):
        typer.echo(f"{name}: {getattr(letter, name)}")
    typer.echo(b"value: " + letter.value)


@app.command()
def replay(letter_ids: Ids) -> None:
    """Put records back onto their topic; the running server reads them within a second."""
    _each("Replayed", letter_ids, lambda letters, number: letters.replay(OPERATOR, number))


@app.command()
def drop(letter_ids: Ids) -> None:
    """Forget records for good."""
    _each("Dropped", letter_ids, lambda letters, number: letters.drop(OPERATOR, number))


def _each(done: str, numbers: list[int], act: Callable[[DeadLetters, int], Awaitable[None]]) -> None:
    """One after the other, each with its line; exit 1 when one was not there."""

    async def work(ports: Ports) -> int:
        missing = 0
        for number in numbers:
            try:
                await act(_letters(ports), number)
                typer.echo(f"{done} {number}.")
            except NotFound as error:
                missing += 1
                typer.echo(error.detail, err=True)
        return missing

    if context.on_engines(context.settings(), work):
        raise typer.Exit(context.FAILED)


def _letters(ports: Ports) -> DeadLetters:
    return DeadLetters(letters=ports.letters)
