"""`telerelay-loadtest report`: the page of a result that lies there, of a run that was killed too."""

from pathlib import Path
from typing import Annotated

import typer

from telerelay_endpoint.console import Console, JsonOption, LangOption


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where result.json lies.")],
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Write report.html anew from result.json. A run that was killed left the result of what it had played.

    Examples:

      telerelay-loadtest report loadtest-run
    """
    from telerelay_loadtest.commands.telling import conclude
    from telerelay_loadtest.report.page import page
    from telerelay_loadtest.report.result import PAGE_FILE, read_result

    result = read_result(folder)
    (folder / PAGE_FILE).write_text(page(result), encoding="utf-8")
    conclude(Console(json=json, lang=lang), result, folder)
