"""The command `status`: who this client is, where its relay is, which computers it may open."""

import time
from pathlib import Path

from telerelay_client.choice import computer_records, list_computers
from telerelay_endpoint.api import Computer, NodeApi
from telerelay_endpoint.console import Console, columns, local_time, rfc3339
from telerelay_endpoint.credentials import Credentials, load_credentials
from telerelay_endpoint.errors import TelerelayError


def show_status(console: Console, folder: Path) -> None:
    """Print it; what this machine knows is shown even where the relay does not answer, and then its error.

    Raises TelerelayError: CERTIFICATE (not enrolled), KEY_FILE, or why the relay could not be asked.
    """
    credentials = load_credentials(folder, int(time.time()))
    computers: list[Computer] | None = None
    failure: TelerelayError | None = None
    try:
        with NodeApi(credentials.dial()) as api:
            computers = api.computers()
    except TelerelayError as error:
        failure = error
    record = {
        "label": credentials.relay.label,
        "device": credentials.device.hex(),
        "organisation": credentials.organisation.hex(),
        "certificate_expires": rfc3339(_expiry(credentials)),
        "nodes": [node.name for node in credentials.relay.cluster.nodes],
        "relay": failure.code if failure else "DONE",
        "computers": None if computers is None else computer_records(computers),
    }
    console.data("client-status", record, _text(console, credentials, computers, failure))
    if failure is not None:
        raise failure


def _text(
    console: Console,
    credentials: Credentials,
    computers: list[Computer] | None,
    failure: TelerelayError | None,
) -> str:
    say = console.text
    nodes = ", ".join(node.name for node in credentials.relay.cluster.nodes)
    until = local_time(_expiry(credentials))
    rows = [
        (say("label", "名前"), credentials.relay.label),
        (say("device", "端末ID"), credentials.device.hex()),
        (say("organisation", "組織ID"), credentials.organisation.hex()),
        (say("certificate", "証明書"), say(f"until {until}", f"{until} まで")),
        (say("relay", "中継"), f"{nodes} [{failure.code}]" if failure else nodes),
    ]
    text = columns(rows[0], rows[1:])
    if computers:
        return f"{text}\n\n{list_computers(console, computers)}"
    if computers is not None:
        return f"{text}\n\n{say('no computer is granted', '許可されたコンピューターはありません')}"
    return text


def _expiry(credentials: Credentials) -> int:
    return int(credentials.chain[0].not_valid_after_utc.timestamp())
