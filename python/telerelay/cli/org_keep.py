"""`telerelay org keep`: the organisation's one service."""

from pathlib import Path
from typing import Annotated

import typer

from telerelay.cli.org_options import OrgOption, now, open_api
from telerelay.org.folder import KEEP, KeeperFolder, default_folder
from telerelay.org.keeper import Keeper
from telerelay_endpoint.console import LangOption, choose_language
from telerelay_endpoint.log_lines import log_to_stderr


def org_keep(
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", help="The keeper's folder, if it was moved elsewhere."),
    ] = None,
    org: OrgOption = None,
    json: Annotated[bool, typer.Option("--json", help="Log in JSON, one object a line.")] = False,
    lang: LangOption = None,
) -> None:
    """Approve invited machines and keep every computer's freshness stamp young, until it is told to stop.

    Runs anywhere in the organisation's network; needs the folder keep/ and the node's one port.
    It never signs for anything older than it has seen: a relay cannot take a revocation back.

    Examples:

      telerelay org keep

      telerelay org keep --keep /var/lib/telerelay/keep --json
    """
    choose_language(lang)
    log_to_stderr(json=json or None)
    folder = KeeperFolder(keep or (org or default_folder()) / KEEP)
    Keeper(folder, lambda: open_api(folder.credentials(now()))).run()
