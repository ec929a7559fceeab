"""`telerelay demo`: everything on one machine, and the picture that came through the relay."""

from pathlib import Path
from typing import Annotated

import typer

from telerelay.demo.run import run_demo
from telerelay.demo.show import SESSIONS_MAXIMUM, Asked
from telerelay_endpoint.console import Console, LangOption
from telerelay_endpoint.errors import TelerelayError

_SCREEN = Path("demo", "screen.png")


def demo(
    sessions: Annotated[
        int, typer.Option(min=1, max=SESSIONS_MAXIMUM, help="How many agents and clients.")
    ] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="How many relay nodes; clusters are not built yet.")] = 1,
    desktop: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Show this desktop of this machine instead of a new one."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", envvar="KEEP", help="Stay up until Ctrl-C.")] = False,
    file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write what runs into FILE, when all of it is ready."),
    ] = None,
    lang: LangOption = None,
) -> None:
    """Show a real desktop through a relay: node, organisation, agent and client, enrolled as real ones are.

    Starts the installed commands in a folder of its own, saves the screen as the client saw it in
    demo/screen.png, and takes everything down again.

    Examples:

      telerelay demo

      telerelay demo --keep --sessions 3 --json demo.json

      telerelay demo --desktop 127.0.0.1:5900
    """
    if nodes > 1:
        raise TelerelayError("USAGE", f"--nodes {nodes}: one node is all there is until clusters exist")
    asked = Asked(sessions=sessions, desktop=desktop, screen=_SCREEN.absolute())
    run_demo(Console(lang=lang), asked, file, keep=keep)
