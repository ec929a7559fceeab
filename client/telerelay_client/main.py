"""Entry point of the command `telerelay-client`."""

from typing import Annotated

import typer

from telerelay_client import __version__

app = typer.Typer(name="telerelay-client", no_args_is_help=True)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"telerelay-client {__version__}")
        raise typer.Exit


@app.callback()
def telerelay_client(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The client on the home PC."""
