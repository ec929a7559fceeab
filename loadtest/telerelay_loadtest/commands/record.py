"""The command `record`."""

from pathlib import Path
from typing import Annotated

import typer

from telerelay_endpoint.console import Console, JsonOption, LangOption


def record(
    desktop: Annotated[
        str, typer.Argument(metavar="DOOR", help="What to look at: HOST:PORT or the path of a socket.")
    ],
    model: Annotated[
        Path, typer.Option(metavar="FILE", help="Write the screen model here; it is named after the file.")
    ],
    listen: Annotated[
        Path, typer.Option(metavar="PATH", help="Where the Unix socket for the viewer is made.")
    ] = Path("telerelay-record.sock"),
    readings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep what was measured as well, as CSV: time, way and size. Only you can read it.",
        ),
    ] = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Measure a real session's message sizes and gaps, without content, and fit a screen model to them.

    Stands between a viewer and the client's local door, or a desktop, and notes when how much passes which
    way. Not a byte of them is kept. Takes one session, until it ends or Ctrl-C.

    Examples:

      telerelay-client connect --no-viewer --socket door.sock

      telerelay-loadtest record door.sock --model mine.json

      vncviewer ./telerelay-record.sock
    """
    from telerelay_loadtest.recording.session import record as take

    take(Console(json=json, lang=lang), desktop, listen, model, readings)
