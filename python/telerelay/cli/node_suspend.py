"""`telerelay node suspend`: stop an organisation's use of this cluster at once."""

from typing import Annotated

import typer

from telerelay.audit.records import REASON_MAXIMUM
from telerelay.cli.node_options import ConfigOption, DataOption, open_control
from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_endpoint.errors import TelerelayError


def node_suspend(
    organisation: Annotated[
        str, typer.Argument(metavar="ORG", help="Beginning of the organisation ID, in hex.")
    ],
    reason: Annotated[str, typer.Option(help="Why; it stands in the audit records.")],
    config: ConfigOption = None,
    data: DataOption = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Suspend an organisation: its sessions end, its devices are answered SUSPENDED.

    `telerelay node admit` with its root lifts the suspension.

    Examples:

      telerelay node list

      telerelay node suspend 3f9ac2d41b07 --reason "misuse reported, ticket 4711"
    """
    console = Console(json=json, lang=lang)
    if not 0 < len(reason) <= REASON_MAXIMUM:
        raise TelerelayError("USAGE", f"a reason has 1 to {REASON_MAXIMUM} characters")
    with open_control(config, data) as control:
        found = control.find(organisation)
        control.suspend(found.organisation, reason)
    shown = found.organisation.hex()
    console.data(
        "node-suspend",
        {"organisation": shown},
        console.text(
            f"organisation {shown[:12]} ({found.name}) is suspended; its sessions are ended",
            f"組織 {shown[:12]}({found.name})を停止し、接続を終了しました",
        ),
    )
