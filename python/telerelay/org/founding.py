"""Founding an organisation: every key made once, offline, the folder there whole or not at all."""

import os
import secrets
import shutil
import tempfile
from pathlib import Path

from telerelay.authority.organisation import KeyPair, NewOrganisation, new_organisation
from telerelay.authority.signing import sign_revocations
from telerelay.org.folder import ADMIN, DOCUMENTS, KEEP, MASTER_FILE
from telerelay_endpoint import files
from telerelay_endpoint.certificates import RoleKey, format_chain
from telerelay_endpoint.credentials import CHAIN_FILE, KEY_FILE, ROOT_FILE
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.held_documents import HeldDocuments
from telerelay_endpoint.invite_keys import MASTER_SIZE
from telerelay_endpoint.keys import write_key_file
from telerelay_endpoint.payloads import RevocationList

_READABLE = 0o644


def found(path: Path, name: str, passphrase: bytes | None, now: int) -> NewOrganisation:
    """Make an organisation in the new folder `path`.

    With a passphrase the keys of root, policy and revoker are encrypted. Those of administrator and keeper
    never are: they work unattended, and their roles bound what they can do. `now`: Unix seconds.
    Raises TelerelayError(USAGE) when the folder exists, OSError when it cannot be made.
    """
    if path.exists():
        raise TelerelayError("USAGE", f"{path} exists; an organisation is made once")
    organisation = new_organisation(name, now)
    files.make_private_folder(path.parent)
    # Beside its final place and renamed at the end: half an organisation never stands there.
    draft = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        _write(draft, organisation, passphrase, now)
        os.rename(draft, path)  # noqa: PTH104 — Path.rename would replace an empty folder made meanwhile
    except BaseException:
        shutil.rmtree(draft)
        raise
    return organisation


def _write(folder: Path, organisation: NewOrganisation, passphrase: bytes | None, now: int) -> None:
    _write_pair(folder, "root", organisation.root, passphrase)
    for role in (RoleKey.POLICY, RoleKey.REVOKER):
        _write_pair(folder, role, organisation.roles[role], passphrase)
    # Stamps name a revocation list, so there is one from the first day; `join` publishes it.
    nobody = RevocationList(version=1, issued=now, devices=frozenset())
    HeldDocuments(folder / DOCUMENTS).keep(sign_revocations(nobody, organisation.signer(RoleKey.REVOKER)))
    _write_credentials(folder / ADMIN, organisation, RoleKey.ADMIN)
    keep = folder / KEEP
    _write_credentials(keep, organisation, RoleKey.KEEPER)
    for role in (RoleKey.ISSUER, RoleKey.FRESHNESS):
        _write_pair(keep, role, organisation.roles[role], None)
    files.create_private(keep / MASTER_FILE, secrets.token_bytes(MASTER_SIZE))


def _write_pair(folder: Path, name: str, pair: KeyPair, passphrase: bytes | None) -> None:
    write_key_file(folder / f"{name}.key", pair.key, passphrase)
    files.replace(folder / f"{name}.pem", format_chain([pair.certificate]), _READABLE)


def _write_credentials(folder: Path, organisation: NewOrganisation, role: RoleKey) -> None:
    pair = organisation.roles[role]
    files.make_private_folder(folder)
    write_key_file(folder / KEY_FILE, pair.key)
    files.replace(folder / CHAIN_FILE, format_chain([pair.certificate]), _READABLE)
    files.replace(folder / ROOT_FILE, format_chain([organisation.root.certificate]), _READABLE)
