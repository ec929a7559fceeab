"""Entry point of the command `telerelay`: gathers the commands of this folder."""

from typing import Annotated

import typer

from telerelay import __version__

app = typer.Typer(name="telerelay", no_args_is_help=True)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"telerelay {__version__}")
        raise typer.Exit


@app.callback()
def telerelay(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Relay node, and the commands of operators, organisations and auditors."""
