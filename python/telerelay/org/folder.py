"""The folder of an organisation: which key and which paper lies where.

root.pem root.key           the root; its key belongs off this machine
policy.pem policy.key       signs computer documents
revoker.pem revoker.key     signs revocation lists
admin/                      credentials of an administrator
keep/                       all that `org keep` needs, and nothing more: it may be moved to another machine
documents/                  the newest documents that this administrator signed or saw
invites.jsonl               invites that were begun, without their secrets
policy.toml                 the policy as its people write it
published.toml              the policy that is in force, as it was published
"""

from collections.abc import Callable
from pathlib import Path

from cryptography import x509

from telerelay.authority.devices import DeviceIssuer
from telerelay.authority.signing import Signer
from telerelay.org.journal import Journal
from telerelay_endpoint.certificates import (
    CertificateRefusedError,
    RoleKey,
    organisation_id,
    parse_chain,
    verify_root,
)
from telerelay_endpoint.credentials import ROOT_FILE, Credentials, load_credentials
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.files import ReadableByOthersError, read_private
from telerelay_endpoint.held_documents import HeldDocuments
from telerelay_endpoint.invite_keys import MASTER_SIZE
from telerelay_endpoint.keys import is_encrypted, load_key_file
from telerelay_endpoint.places import data_folder

ADMIN = "admin"
KEEP = "keep"
MASTER_FILE = "invite.master"
JOURNAL_FILE = "journal.jsonl"
DOCUMENTS = "documents"
POLICY_FILE = "policy.toml"


def default_folder() -> Path:
    """Where an organisation lies when nobody says otherwise."""
    return data_folder("org")


class OrganisationFolder:
    """An administrator's own. Every method raises TelerelayError(KEY_FILE, CERTIFICATE)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = read_certificate(path / ROOT_FILE)
        self.held = HeldDocuments(path / DOCUMENTS)

    @property
    def organisation(self) -> bytes:
        """Organisation ID, 32 bytes."""
        return organisation_id(self.root)

    @property
    def invites_file(self) -> Path:
        """Invites that were begun."""
        return self.path / "invites.jsonl"

    @property
    def published_policy(self) -> Path:
        """The policy that was published last; there is none before the first."""
        return self.path / "published.toml"

    def admin(self, now: int) -> Credentials:
        """The administrator's credentials, valid at `now` (Unix seconds)."""
        return load_credentials(self.path / ADMIN, now)

    def keeper(self) -> "KeeperFolder":
        """The keeper's folder, where it still lies in the administrator's."""
        return KeeperFolder(self.path / KEEP)

    def signer(self, role: RoleKey, ask_passphrase: Callable[[], str]) -> Signer:
        """The key of `policy` or `revoker`; the passphrase is asked for where the key has one."""
        path = self.path / f"{role}.key"
        passphrase = ask_passphrase().encode() if is_encrypted(path) else None
        certificate = read_certificate(self.path / f"{role}.pem")
        return Signer(self.organisation, certificate, load_key_file(path, passphrase))


class KeeperFolder:
    """What `org keep` lives from. Every method raises TelerelayError(KEY_FILE, CERTIFICATE)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = read_certificate(path / ROOT_FILE)
        self.held = HeldDocuments(path / DOCUMENTS)
        self.journal = Journal(path / JOURNAL_FILE)

    def credentials(self, now: int) -> Credentials:
        """The keeper's credentials, valid at `now` (Unix seconds)."""
        return load_credentials(self.path, now)

    def issuer(self) -> DeviceIssuer:
        """What device certificates are made with."""
        key = load_key_file(self.path / f"{RoleKey.ISSUER}.key")
        return DeviceIssuer(self.root, read_certificate(self.path / f"{RoleKey.ISSUER}.pem"), key)

    def freshness(self) -> Signer:
        """What stamps are made with."""
        key = load_key_file(self.path / f"{RoleKey.FRESHNESS}.key")
        certificate = read_certificate(self.path / f"{RoleKey.FRESHNESS}.pem")
        return Signer(organisation_id(self.root), certificate, key)

    def master(self) -> bytes:
        """The invite master, 32 bytes: every invite's secret comes from it."""
        path = self.path / MASTER_FILE
        try:
            master = read_private(path)
        except ReadableByOthersError as error:
            raise TelerelayError("KEY_FILE", str(error)) from None
        except OSError as error:
            raise TelerelayError("KEY_FILE", f"{path} cannot be read: {error.strerror}") from error
        if len(master) != MASTER_SIZE:
            raise TelerelayError(
                "KEY_FILE", f"{path} is damaged: it has {len(master)} bytes, not {MASTER_SIZE}"
            )
        return master


def read_certificate(path: Path) -> x509.Certificate:
    """The one certificate of a PEM file; a root signed itself. Raises TelerelayError(CERTIFICATE)."""
    try:
        (certificate,) = parse_chain(path.read_bytes())
        if path.name == ROOT_FILE:
            verify_root(certificate)
    except OSError as error:
        raise TelerelayError("CERTIFICATE", f"{path} cannot be read: {error.strerror}") from error
    except (CertificateRefusedError, ValueError) as error:
        raise TelerelayError("CERTIFICATE", f"{path}: {error}") from error
    return certificate
