"""Entry point of the command `telerelay-agent`."""

from typing import Annotated

import typer

from telerelay_agent import __version__

app = typer.Typer(name="telerelay-agent", no_args_is_help=True)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"telerelay-agent {__version__}")
        raise typer.Exit


@app.callback()
def telerelay_agent(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The agent on the office PC."""
