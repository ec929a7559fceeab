"""`telerelay org list`: devices, computers and who may reach them."""

from typing import Any

from telerelay.cli.org_options import OrgOption, now, open_api, open_organisation
from telerelay.org.listing import ComputerState, computer_states, device_record
from telerelay.org.publishing import Publisher
from telerelay_endpoint.console import Console, JsonOption, LangOption, columns, local_time, rfc3339
from telerelay_endpoint.documents import Clock


def org_list(org: OrgOption = None, json: JsonOption = False, lang: LangOption = None) -> None:
    """Show devices, computers and who may reach them, each document verified here.

    Examples:

      telerelay org list

      telerelay org list --json | jq '.computers[].grants'
    """
    console = Console(json=json, lang=lang)
    folder = open_organisation(org)
    with open_api(folder.admin(now())) as api:
        devices = sorted(api.devices(), key=lambda device: (device.kind, device.label))
        publisher = Publisher(folder.root, folder.held, api, Clock())
        states = computer_states(publisher, api.computers())
    record: dict[str, Any] = {
        "organisation": folder.organisation.hex(),
        "devices": [device_record(device, rfc3339) for device in devices],
        "computers": [state.record(rfc3339) for state in states],
    }
    device_rows = [
        [
            device.device.hex()[:12],
            device.kind,
            device.label,
            "revoked"
            if device.revoked
            else local_time(device.last_seen)
            if device.last_seen
            else "never seen",
            "" if device.flagged_at is None else f"{device.flagged} {local_time(device.flagged_at)}",
        ]
        for device in devices
    ]
    tables = [
        columns(["device", "kind", "label", "last seen", "look at"], device_rows),
        columns(["computer", "label", "stamp", "who may reach it"], [_row(state) for state in states]),
    ]
    console.data("org-list", record, "\n\n".join(tables))


def _row(state: ComputerState) -> list[str]:
    stamp = "missing" if state.stamp is None else local_time(state.stamp.issued)
    if state.stamp is not None and not state.stamped:
        stamp = f"behind ({stamp})"
    return [state.computer, state.label, stamp, ", ".join(state.clients) or "nobody"]
