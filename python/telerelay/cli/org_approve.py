"""`telerelay org approve`: what the keeper does, by hand."""

from typing import Annotated

import typer

from telerelay.cli.org_options import OrgOption, now, open_api, open_organisation
from telerelay.org.approval import ApprovingKeys, Refuse, answer
from telerelay_endpoint.console import Console, JsonOption, LangOption, columns
from telerelay_endpoint.errors import TelerelayError


def org_approve(
    invites: Annotated[
        list[str] | None,
        typer.Argument(metavar="[INVITE]...", help="Beginning of an invite's id, as listed."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Approve whatever was made with an invite.")
    ] = False,
    org: OrgOption = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Approve waiting machines by hand, where no keeper runs. Without argument: show who waits.

    Each request passes the same checks as at the keeper; what was not made with an invite of ours is refused.

    Examples:

      telerelay org approve

      telerelay org approve 3f9a1c
    """
    console = Console(json=json, lang=lang)
    folder = open_organisation(org)
    keeper = folder.keeper()
    with open_api(folder.admin(now())) as api:
        waiting = {request.terms.id.hex(): request for request in api.enrolments(wait=False)}
        chosen = waiting if everything else _chosen(list(waiting), invites or [])
        outcomes = {}
        if chosen:
            keys = ApprovingKeys(keeper.master(), keeper.issuer())
            decisions = {invite: answer(waiting[invite], keeper, keys, api, now()) for invite in chosen}
            outcomes = {
                invite: f"refused: {decision.reason}" if isinstance(decision, Refuse) else "approved"
                for invite, decision in decisions.items()
            }
    rows = [
        {
            "invite": invite,
            "kind": request.terms.kind,
            "label": request.terms.label,
            "outcome": outcomes.get(invite, "waiting"),
        }
        for invite, request in waiting.items()
    ]
    table = columns(
        ["invite", "kind", "label", "outcome"],
        [[row["invite"][:12], row["kind"], row["label"], row["outcome"]] for row in rows],
    )
    console.data(
        "org-approve",
        {"requests": rows},
        table if rows else console.text("nobody waits", "待機中の端末はありません"),
    )


def _chosen(waiting: list[str], typed: list[str]) -> list[str]:
    chosen = []
    for beginning in typed:
        found = [invite for invite in waiting if invite.startswith(beginning.lower())]
        if len(found) != 1:
            raise TelerelayError("USAGE", f"{beginning!r} fits {len(found)} of the waiting requests, not one")
        chosen.extend(found)
    return chosen
