"""`telerelay org revoke`: take a device away for ever, and see that the keeper knows."""

from typing import Annotated

import typer

from telerelay.cli.org_options import (
    OrgOption,
    Passphrase,
    PassphraseOption,
    now,
    open_api,
    open_organisation,
)
from telerelay.cli.org_stamps import NoWaitOption, WaitOption, wait_for_stamps
from telerelay.org.publishing import STAMP_WAIT_S, Publisher
from telerelay.org.registry import Registry
from telerelay_endpoint.certificates import RoleKey
from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_endpoint.documents import Clock


def org_revoke(
    device: Annotated[str, typer.Argument(help="Label, or beginning of the device ID.")],
    org: OrgOption = None,
    passphrase_file: PassphraseOption = None,
    wait: WaitOption = STAMP_WAIT_S,
    no_wait: NoWaitOption = False,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Take a device away for ever; its live session ends. To come back it needs a new invite and a new key.

    Then waits until the keeper's stamps name the new list: from then on no relay can withhold it.
    Exits with 9 when some did not come in time.

    Example:

      telerelay org revoke "Tanaka, laptop"
    """
    console = Console(json=json, lang=lang)
    folder = open_organisation(org)
    with open_api(folder.admin(now())) as api:
        registry = Registry(tuple(api.devices()), folder.keeper().journal.entries())
        found = registry.find(device)
        publisher = Publisher(folder.root, folder.held, api, Clock())
        revoker = folder.signer(RoleKey.REVOKER, Passphrase(passphrase_file))
        revocations = publisher.revoke(found.device, revoker)
        shown = f"{found.label} ({found.device.hex()[:12]})"
        done = console.text(
            f"{shown} is revoked, list version {revocations.version}",
            f"{shown} を失効しました。一覧の版 {revocations.version}",
        )
        wait_for_stamps(
            console,
            publisher,
            api.computers(),
            lambda stamp: stamp.revocations_version >= revocations.version,
            0 if no_wait else wait,
            ("org-revoke", {"device": found.device.hex(), "version": revocations.version}, done),
        )
