"""`tasktide config`: the settings, explained by the program itself."""

from dataclasses import asdict
from typing import Annotated

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from tasktide import settings as all_settings
from tasktide.cli import context
from tasktide.settings import Settings

app = typer.Typer(help="Settings: check them, show them, read about them.", no_args_is_help=True)


@app.command()
def check() -> None:
    """Say whether the settings are right; exit 2 with every mistake when they are not."""
    context.settings()
    typer.echo("The settings are right.")


@app.command()
def show(json: Annotated[bool, typer.Option("--json", help="As one JSON array.")] = False) -> None:
    """Show every setting with its present value."""
    described = all_settings.describe(context.settings())
    if json:
        typer.echo(msgspec.json.encode([asdict(one) for one in described]))
        return
    table = Table("variable", "value", "unit", "about", box=None)
    for one in described:
        shown = escape(one.value)
        value = shown if one.value == one.default else f"[bold]{shown}[/bold]"
        table.add_row(one.name, value, one.unit, one.about)
    context.out.print(table)


@app.command()
def docs() -> None:
    """Print the reference page of all settings as Markdown."""
    typer.echo(reference(), nl=False)


@app.command()
def schema() -> None:
    """Print the GraphQL schema in its own language."""
    from tasktide.interfaces.graphql.schema import sdl  # noqa: PLC0415 - only where it is used

    typer.echo(sdl(), nl=False)


def reference() -> str:
    """The page docs/reference/settings.md."""
    lines = [
        "# Settings",
        "",
        "Read from the environment, else from `.env` in the working directory. An empty variable counts as unset.",
        "This page is what `tasktide config docs` prints.",
        "",
        "| variable | default | unit | about |",
        "|---|---|---|---|",
    ]
    for one in all_settings.describe(Settings()):
        default = f"`{one.default}`" if one.default else "unset"
        lines.append(f"| `{one.name}` | {default} | {one.unit} | {one.about} |")
    return "\n".join(lines) + "\n"
