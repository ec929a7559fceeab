"""What the `org` commands have in common: the organisation's folder, its passphrase, its way to the node."""

import time
from pathlib import Path
from typing import Annotated

import typer

from telerelay.org.api import Device, OrganisationApi
from telerelay.org.folder import POLICY_FILE, OrganisationFolder, default_folder
from telerelay.org.policy.file import Policy, read_policy
from telerelay.org.registry import Registry
from telerelay_endpoint.console import Console, read_secret
from telerelay_endpoint.credentials import Credentials

OrgOption = Annotated[
    Path | None,
    typer.Option(
        "--org",
        envvar="TELERELAY_ORG",
        metavar="DIR",
        help=f"The organisation's folder, else {default_folder()}.",
    ),
]
PolicyArgument = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help=f"The policy, else {POLICY_FILE} in the organisation's folder."),
]
PassphraseOption = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="FILE", help="Read the passphrase from FILE (mode 0600)."),
]


def open_organisation(path: Path | None) -> OrganisationFolder:
    """The folder of `--org`. Raises TelerelayError(CERTIFICATE)."""
    return OrganisationFolder(path or default_folder())


def policy_file(named: Path | None, org: Path | None) -> Path:
    """The policy that was named, else the one in the organisation's folder."""
    return named or (org or default_folder()) / POLICY_FILE


def published_policy(folder: OrganisationFolder) -> Policy | None:
    """The policy in force, as it was published from this folder; None before the first."""
    path = folder.published_policy
    return read_policy(path) if path.exists() else None


def open_api(credentials: Credentials) -> OrganisationApi:
    """The node's API, as an administrator or keeper. Raises TelerelayError(KEY_FILE, CERTIFICATE)."""
    return OrganisationApi(credentials.dial())


def now() -> int:
    """Unix seconds."""
    return int(time.time())


def tell_unapproved(console: Console, registry: Registry, device: Device) -> None:
    """Say where the keeper's journal cannot confirm what the node says of a device."""
    if registry.is_approved(device):
        return
    shown = f"{device.label} ({device.device.hex()[:12]})"
    console.note(
        f"{shown} is not in the keeper's journal on this machine: who it is is the node's word alone.",
        f"{shown} はこの端末の承認記録にありません。誰であるかは中継サーバーの申告だけによります。",
    )


class Passphrase:
    """Asks once, when the first key needs it; every key of an organisation has the same."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known: str | None = None

    def __call__(self) -> str:
        if self._known is None:
            self._known = read_secret("Passphrase of the organisation's keys", self._file)
        return self._known
