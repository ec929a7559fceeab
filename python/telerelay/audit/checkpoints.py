"""Signed checkpoints: where a node says that its chain stood at a time (docs/AUDIT.md §2)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from cryptography import x509

from telerelay.audit.chain import LINK_SIZE, Head
from telerelay.authority.signing import Signer, sign
from telerelay_endpoint import cose, files
from telerelay_endpoint.certificates import CertificateRefusedError, organisation_id, verify_node_certificate
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.payloads import NODE_NAME_MAXIMUM
from telerelay_endpoint.strict_cbor import (
    UINT64,
    FormRefusedError,
    byte_string,
    decode,
    encode,
    fields,
    text,
    uint,
)

TYP: Final = "application/telerelay-audit-checkpoint+cose"
"""The header's typ: no document, and no document passes for it."""
CHECKPOINT_ROWS: Final = LIMITS["audit_checkpoint_rows"]
CHECKPOINT_S: Final = LIMITS["audit_checkpoint_s"]


class CheckpointRefusedError(ValueError):
    """The bytes are no checkpoint of a node of this cluster; the text says why."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`head` is what the node had at `time` (Unix seconds)."""

    head: Head
    time: int

    def encode(self) -> bytes:
        """The signed payload."""
        return encode({0: self.head.node, 1: self.head.seq, 2: self.head.link, 3: self.time})

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Raises FormRefusedError."""
        read = fields(decode(payload), required=range(4), what="the checkpoint")
        node = text(read[0], range(1, NODE_NAME_MAXIMUM + 1), "node")
        head = Head(node, uint(read[1], UINT64, "seq"), byte_string(read[2], LINK_SIZE, "link"))
        checkpoint = cls(head, uint(read[3], UINT64, "time"))
        if checkpoint.encode() != payload:
            raise FormRefusedError("the checkpoint is not in deterministic CBOR")
        return checkpoint


def verify_checkpoint(encoded: bytes, ca: x509.Certificate) -> Checkpoint:
    """A checkpoint signed by a node of the cluster of `ca`. Raises CheckpointRefusedError."""
    try:
        envelope = cose.take_apart(encoded)
        if envelope.typ != TYP:
            raise CheckpointRefusedError(f"it is {envelope.typ}, no checkpoint")
        if envelope.organisation != organisation_id(ca):
            raise CheckpointRefusedError("it is of another cluster")
        cose.verify_signature(envelope)
        checkpoint = Checkpoint.decode(envelope.payload)
        # A node's certificate lives two years, its records longer: it had to be valid when it signed.
        verify_node_certificate(envelope.certificate, ca, checkpoint.head.node, checkpoint.time)
    except (FormRefusedError, CertificateRefusedError) as error:
        raise CheckpointRefusedError(str(error)) from error
    return checkpoint


class Notary:
    """Signs for one node by `signer`, and keeps its newest checkpoint in a file outside of the database.

    So a database from which the newest records are gone is found out at the next start.
    """

    def __init__(self, signer: Signer, file: Path) -> None:
        self.signer = signer
        self._file = file
        self._covered = -1

    @property
    def last_seq(self) -> int:
        """Number of the record that holds the newest checkpoint; 0 where there is none."""
        return self._covered + 1

    def resume(self, head: Head, ca: x509.Certificate) -> Head:
        """Where to go on after `head`, the last record that was found: behind the kept checkpoint at least.

        Records between the two are lost; their numbers stay empty, so that everybody sees it.
        Raises TelerelayError(STORE) for a kept checkpoint that this node did not sign.
        """
        try:
            kept = verify_checkpoint(self._file.read_bytes(), ca)
        except FileNotFoundError:
            return head
        except CheckpointRefusedError as error:
            raise TelerelayError("STORE", f"{self._file} is damaged: {error}") from error
        if kept.head.node != head.node:
            raise TelerelayError("STORE", f"{self._file} is damaged: it is of the node {kept.head.node}")
        self._covered = kept.head.seq
        return kept.head if kept.head.seq > head.seq else head

    def sign(self, head: Head, time: int) -> bytes:
        """A checkpoint at `head`. `time`: Unix seconds."""
        return sign(TYP, Checkpoint(head, time).encode(), self.signer)

    def keep(self, head: Head, signed: bytes) -> None:
        """The checkpoint `signed` at `head` is durable in the chain. Blocks. Raises OSError."""
        self._covered = head.seq
        files.replace(self._file, signed)
