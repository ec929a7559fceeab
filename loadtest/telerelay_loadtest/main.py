"""Entry point of the command `telerelay-loadtest`. Each command is a file in `commands`, added here."""

from typing import Annotated, NoReturn

import typer
from typer.core import TyperGroup

from telerelay_endpoint import console
from telerelay_loadtest import __version__
from telerelay_loadtest.commands.forecast import forecast
from telerelay_loadtest.commands.plan import plan
from telerelay_loadtest.commands.prepare import prepare
from telerelay_loadtest.commands.record import record
from telerelay_loadtest.commands.report import report
from telerelay_loadtest.commands.run import run

app = typer.Typer(name="telerelay-loadtest", no_args_is_help=True)
app.command()(plan)
app.command()(run)
app.command()(prepare)
app.command()(report)
app.command()(record)
app.command()(forecast)


def main() -> NoReturn:
    """Run the command that the arguments name."""
    program = typer.main.get_command(app)
    if not isinstance(program, TyperGroup):
        raise TypeError("an application with a callback is a group")
    console.run(program)


def _print_version(asked: bool) -> None:  # noqa: FBT001 — as typer calls it
    if asked:
        typer.echo(f"telerelay-loadtest {__version__}")
        raise typer.Exit


@app.callback()
def telerelay_loadtest(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Play an organisation's morning against a relay, say whether it holds and how many nodes it takes."""
