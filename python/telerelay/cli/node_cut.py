"""`telerelay node cut`: end sessions at once."""

from typing import Annotated

import typer

from telerelay.audit.records import REASON_MAXIMUM
from telerelay.cli.node_options import ByOption, ConfigOption, DataOption, open_control, operator
from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.lines import to_base64url


def node_cut(
    reason: Annotated[str, typer.Option(help="Why; it stands in the audit records.")],
    attempt: Annotated[
        str | None,
        typer.Argument(metavar="ATTEMPT", help="The attempt whose session ends, as its person sees it."),
    ] = None,
    organisation: Annotated[
        str | None, typer.Option(metavar="ORG", help="All sessions of it; beginning of its ID, in hex.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="DEVICE", help="All sessions of a client or an agent; beginning of its ID, in hex."
        ),
    ] = None,
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """End sessions within seconds, with code CUT. Nobody is kept from connecting again: see `node suspend`.

    The node is blind: it knows a session by the attempt that opened it. Who ended it and why is recorded.

    Examples:

      telerelay node cut 7KQ2-M9XB --reason "ticket 4711"

      telerelay node cut --device 91c04fa2 --reason "lost notebook"

      telerelay node cut --organisation 3f9ac2d41b07 --reason "at its own request"
    """
    console = Console(json=json, lang=lang)
    if not 0 < len(reason) <= REASON_MAXIMUM:
        raise TelerelayError("USAGE", f"a reason has 1 to {REASON_MAXIMUM} characters")
    if sum(name is not None for name in (attempt, organisation, device)) != 1:
        raise TelerelayError("USAGE", "name one attempt, one --device or one --organisation")
    with open_control(config, data) as control:
        if organisation is not None:
            target = {"organisation": to_base64url(control.find(organisation).organisation)}
        elif device is not None:
            target = {"device": device.lower()}
        else:
            target = {"attempt": (attempt or "").upper()}
        ended = control.cut(target, operator(by), reason)
    console.data(
        "node-cut",
        {"ended": ended},
        console.text(f"{ended} sessions and requests were ended", f"接続 {ended} 件を終了しました"),
    )
