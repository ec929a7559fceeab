"""`telerelay org grant`: let a client reach a computer, and see that the keeper knows."""

from datetime import datetime
from typing import Annotated

import typer

from telerelay.cli.org_options import (
    OrgOption,
    Passphrase,
    PassphraseOption,
    now,
    open_api,
    open_organisation,
    published_policy,
    tell_unapproved,
)
from telerelay.cli.org_stamps import NoWaitOption, WaitOption, wait_for_stamps
from telerelay.cli.times import time_option, unix_seconds
from telerelay.org.publishing import STAMP_WAIT_S, Publisher
from telerelay.org.registry import Registry
from telerelay_core import format_computer_id
from telerelay_endpoint.certificates import RoleKey
from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_endpoint.documents import Clock
from telerelay_endpoint.invite_keys import InviteKind
from telerelay_endpoint.payloads import Grant


def org_grant(
    client: Annotated[str, typer.Argument(help="Label, or beginning of the device ID.")],
    computer: Annotated[str, typer.Argument(help="Computer ID or label.")],
    not_before: Annotated[
        datetime | None, time_option("From when it holds: local time, 2026-04-01T08:30.")
    ] = None,
    not_after: Annotated[
        datetime | None, time_option("Until when it holds: local time, the same form.")
    ] = None,
    org: OrgOption = None,
    passphrase_file: PassphraseOption = None,
    wait: WaitOption = STAMP_WAIT_S,
    no_wait: NoWaitOption = False,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Let a client reach a computer: signs the next version of the computer's document and publishes it.

    The rules are those of the policy that was published last (telerelay org policy publish).
    Then waits for the keeper's stamp that names the new version: only then does the office PC go by it.
    Exits with 9 when none came in time.

    Examples:

      telerelay org grant "Tanaka, laptop" ABCD-EFGH-JKMN-PQRS-T

      telerelay org grant 3f9a1c0b "Room 204, Tanaka" --not-after 2026-03-31T18:00
    """
    console = Console(json=json, lang=lang)
    folder = open_organisation(org)
    with open_api(folder.admin(now())) as api:
        registry = Registry(tuple(api.devices()), folder.keeper().journal.entries())
        device, agent = registry.find(client, InviteKind.CLIENT), registry.find_computer(computer)
        for found in (device, agent):
            tell_unapproved(console, registry, found)
        publisher = Publisher(folder.root, folder.held, api, Clock())
        grant = Grant(device.device, device.label, unix_seconds(not_before), unix_seconds(not_after))
        signer = folder.signer(RoleKey.POLICY, Passphrase(passphrase_file))
        document = publisher.grant(agent, grant, signer, published_policy(folder))
        shown = format_computer_id(document.computer)
        done = console.text(
            f"{device.label} may reach {agent.label} ({shown}), document version {document.version}",
            f"{device.label} は {agent.label} ({shown}) に接続できます。文書の版 {document.version}",
        )
        record = {"computer": shown, "client": device.device.hex(), "version": document.version}
        wait_for_stamps(
            console,
            publisher,
            [document.computer],
            lambda stamp: stamp.document_version >= document.version,
            0 if no_wait else wait,
            ("org-grant", record, done),
        )
