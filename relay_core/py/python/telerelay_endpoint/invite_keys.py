"""The keys of an invite: a node can admit a request, yet neither make nor alter one (PROTOCOL.md §10.2)."""

import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from telerelay_endpoint.strict_cbor import encode

MASTER_SIZE = 32
INVITE_ID_SIZE = 16
_KEY_SIZE = 32


class InviteKind(StrEnum):
    """What an invite makes of the machine that uses it."""

    AGENT = "agent"
    CLIENT = "client"

    @property
    def number(self) -> int:
        """`invite-kind` of frames.cddl."""
        return list(InviteKind).index(self)


@dataclass(frozen=True)
class InviteTerms:
    """What an invite promises, and what a node must not alter: each field goes into the secret.

    `id`: 16 bytes; `computer`: 10 bytes, of an agent's invite only; `expiry` in Unix seconds.
    """

    id: bytes
    kind: InviteKind
    computer: bytes | None
    label: str
    expiry: int


def invite_secret(master: bytes, organisation: bytes, terms: InviteTerms) -> bytes:
    """The invite's secret, 32 bytes, from the keeper's master and the organisation ID (32 bytes each)."""
    info = encode(
        ["telerelay-invite", terms.id, terms.kind.number, terms.computer, terms.label, terms.expiry]
    )
    return _expand(master, organisation, info)


def admission_key(secret: bytes) -> bytes:
    """k1: shown to the node, which holds only `admission_hash` of it."""
    return _expand(secret, b"", b"telerelay-invite-admit")


def admission_hash(secret: bytes) -> bytes:
    """SHA-256(k1), 32 bytes: what the node holds."""
    return hashlib.sha256(admission_key(secret)).digest()


def request_mac(secret: bytes, csr: bytes, organisation: bytes, invite_id: bytes) -> bytes:
    """HMAC-SHA256 with k2 over CSR (DER), organisation ID and invite id: the node cannot make it."""
    k2 = _expand(secret, b"", b"telerelay-invite-bind")
    return hmac.digest(k2, csr + organisation + invite_id, "sha256")


def _expand(material: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=_KEY_SIZE, salt=salt, info=info).derive(material)
