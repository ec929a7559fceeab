"""Reading signed documents: the checks of PROTOCOL.md §9 in order, each refusal with its own sentence."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, NoReturn, TypeVar

from cryptography import x509

from telerelay_endpoint import cose
from telerelay_endpoint.certificates import (
    CertificateExpiredError,
    CertificateRefusedError,
    RoleKey,
    device_id,
    organisation_id,
    require_valid,
    verify_role_certificate,
    verify_root,
)
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.payloads import ComputerDocument, NodeList, RevocationList, Stamp
from telerelay_endpoint.strict_cbor import FormRefusedError

CLOCK_LEEWAY_S: Final = LIMITS["clock_leeway_s"]
COMPUTER_LIFE_S: Final = LIMITS["computer_document_d"] * 86_400
STAMP_LIFE_S: Final = LIMITS["stamp_d"] * 86_400
STAMP_ALARM_S: Final = LIMITS["stamp_alarm_d"] * 86_400


class Kind(StrEnum):
    """The kinds of documents, by the names that NEWS and the API use."""

    COMPUTER = "computer"
    STAMP = "stamp"
    REVOCATIONS = "revocations"
    NODES = "nodes"

    @property
    def typ(self) -> str:
        """The header's typ: one kind never passes for another."""
        return f"application/telerelay-{self}+cose"


SIGNERS = {Kind.COMPUTER: RoleKey.POLICY, Kind.STAMP: RoleKey.FRESHNESS, Kind.REVOCATIONS: RoleKey.REVOKER}
"""Which role key signs what; the node list is the cluster CA's."""

Document = TypeVar("Document", ComputerDocument, Stamp, RevocationList, NodeList)


@dataclass(frozen=True)
class Signed(Generic[Document]):
    """A document whose checks have passed, with the very bytes that were signed."""

    document: Document
    encoded: bytes


class Clock:
    """The verifier's clock: never earlier than the newest signed issue time that it has seen."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._newest = 0

    def now(self) -> int:
        """Unix seconds."""
        return max(int(self._wall()), self._newest)

    def saw(self, issued: int) -> None:
        """Take a verified issue time into account."""
        self._newest = max(self._newest, issued)


# ---------------------------------------------------------------- one check for each kind


def verify_computer_document(
    encoded: bytes, root: x509.Certificate, now: int, held: Signed[ComputerDocument] | None = None
) -> Signed[ComputerDocument]:
    """A computer document of the organisation of `root`, no older than `held` of the same computer.

    Raises TelerelayError(DOCUMENT, POLICY_STALE).
    """
    document = _read(encoded, Kind.COMPUTER, root, now, ComputerDocument.decode)
    _require_unexpired(Kind.COMPUTER, document.expires, now)
    if held is not None:
        _require_same_computer(Kind.COMPUTER, document.computer, held.document.computer)
    return _newest(Kind.COMPUTER, Signed(document, encoded), held)


def verify_stamp(
    encoded: bytes, root: x509.Certificate, now: int, held: Signed[Stamp] | None = None
) -> Signed[Stamp]:
    """A freshness stamp of the organisation of `root`, no older than `held` of the same computer.

    Raises TelerelayError(DOCUMENT, POLICY_STALE).
    """
    stamp = _read(encoded, Kind.STAMP, root, now, Stamp.decode)
    _require_unexpired(Kind.STAMP, stamp.expires, now)
    if held is not None:
        _require_same_computer(Kind.STAMP, stamp.computer, held.document.computer)
    return _newest(Kind.STAMP, Signed(stamp, encoded), held)


def verify_revocations(
    encoded: bytes, root: x509.Certificate, now: int, held: Signed[RevocationList] | None = None
) -> Signed[RevocationList]:
    """A revocation list of the organisation of `root` that takes away at least what `held` does.

    Raises TelerelayError(DOCUMENT, POLICY_STALE).
    """
    revocations = _read(encoded, Kind.REVOCATIONS, root, now, RevocationList.decode)
    signed = _newest(Kind.REVOCATIONS, Signed(revocations, encoded), held)
    if held is not None and not held.document.devices <= revocations.devices:
        _refuse(Kind.REVOCATIONS, "it gives back a device that was taken away")
    return signed


def verify_nodes(
    encoded: bytes, pins: Collection[bytes], now: int, held: Signed[NodeList] | None = None
) -> Signed[NodeList]:
    """A node list signed by a cluster CA whose key is one of `pins` (32 bytes each).

    Raises TelerelayError(DOCUMENT, POLICY_STALE).
    """
    nodes = _read(encoded, Kind.NODES, pins, now, NodeList.decode)
    return _newest(Kind.NODES, Signed(nodes, encoded), held)


def kind_of(encoded: bytes) -> Kind:
    """The kind that a document's typ claims; nothing more is checked. Raises TelerelayError(DOCUMENT)."""
    try:
        typ = cose.take_apart(encoded).typ
    except FormRefusedError as error:
        raise TelerelayError("DOCUMENT", f"the document: {error}") from error
    for kind in Kind:
        if typ == kind.typ:
            return kind
    raise TelerelayError("DOCUMENT", "the document: its typ is none of ours")


def require_current(
    document: Signed[ComputerDocument] | None,
    stamp: Signed[Stamp] | None,
    revocations: Signed[RevocationList] | None,
    now: int,
) -> None:
    """The three that a verdict stands on fit together and have not expired since they were verified.

    Raises TelerelayError(POLICY_STALE) that names the one that is missing or behind.
    """
    if document is None:
        raise TelerelayError("POLICY_STALE", "there is no computer document")
    if stamp is None:
        raise TelerelayError("POLICY_STALE", "there is no freshness stamp")
    if revocations is None:
        raise TelerelayError("POLICY_STALE", "there is no revocation list")
    _require_unexpired(Kind.COMPUTER, document.document.expires, now)
    _require_unexpired(Kind.STAMP, stamp.document.expires, now)
    _require_same_computer(Kind.STAMP, stamp.document.computer, document.document.computer)
    if stamp.document.document_version != document.document.version:
        raise TelerelayError(
            "POLICY_STALE",
            f"the stamp is for document version {stamp.document.document_version}, "
            f"held is {document.document.version}",
        )
    if revocations.document.version < stamp.document.revocations_version:
        raise TelerelayError(
            "POLICY_STALE",
            f"the stamp asks for revocation list {stamp.document.revocations_version}, "
            f"held is {revocations.document.version}",
        )


# ---------------------------------------------------------------- the steps of §9


def _read(
    encoded: bytes,
    kind: Kind,
    authority: x509.Certificate | Collection[bytes],
    now: int,
    decode: Callable[[bytes], Document],
) -> Document:
    """Steps 1 to 4, and of step 5 what all kinds share."""
    try:
        envelope = cose.take_apart(encoded)
        if envelope.typ != kind.typ:
            _refuse(kind, f"its typ is {envelope.typ!r}")
        if isinstance(authority, x509.Certificate):
            _require_signer(kind, envelope, authority, now)
        else:
            _require_cluster(envelope, authority, now)
        cose.verify_signature(envelope)
        document = decode(envelope.payload)
    except (FormRefusedError, CertificateRefusedError) as error:
        raise TelerelayError("DOCUMENT", f"{_NAMES[kind]}: {error}") from error
    if document.issued > now + CLOCK_LEEWAY_S:
        _refuse(
            kind, f"it was issued {document.issued - now} s in the future, or this machine's clock is behind"
        )
    return document


def _require_signer(kind: Kind, envelope: cose.Envelope, root: x509.Certificate, now: int) -> None:
    if envelope.organisation != organisation_id(root):
        _refuse(kind, "it is another organisation's")
    try:
        verify_role_certificate(envelope.certificate, root, SIGNERS[kind], now)
    except CertificateExpiredError as error:
        raise TelerelayError("POLICY_STALE", f"{_NAMES[kind]}: {error}") from error


def _require_cluster(envelope: cose.Envelope, pins: Collection[bytes], now: int) -> None:
    if envelope.organisation not in pins:
        _refuse(Kind.NODES, "it is another cluster's")
    if device_id(envelope.certificate) != envelope.organisation:
        _refuse(Kind.NODES, "the certificate inside is not the cluster CA's")
    verify_root(envelope.certificate)
    try:
        require_valid(envelope.certificate, now)
    except CertificateExpiredError as error:
        raise TelerelayError("POLICY_STALE", f"{_NAMES[Kind.NODES]}: {error}") from error


def _newest(kind: Kind, signed: Signed[Document], held: Signed[Document] | None) -> Signed[Document]:
    if held is None:
        return signed
    new, old = signed.document.version, held.document.version
    if new < old:
        raise TelerelayError(
            "POLICY_STALE", f"{_NAMES[kind]}: version {new} is older than {old}, which is held"
        )
    if new == old and signed.encoded != held.encoded:
        _refuse(kind, f"there is another one with the version {new}")
    return signed


def _require_unexpired(kind: Kind, expires: int, now: int) -> None:
    if now >= expires:
        raise TelerelayError("POLICY_STALE", f"{_NAMES[kind]}: it expired {(now - expires) // 3600} h ago")


def _require_same_computer(kind: Kind, computer: bytes, expected: bytes) -> None:
    if computer != expected:
        _refuse(kind, "it is for another computer")


def _refuse(kind: Kind, sentence: str) -> NoReturn:
    raise TelerelayError("DOCUMENT", f"{_NAMES[kind]}: {sentence}")


_NAMES = {
    Kind.COMPUTER: "computer document",
    Kind.STAMP: "freshness stamp",
    Kind.REVOCATIONS: "revocation list",
    Kind.NODES: "node list",
}
