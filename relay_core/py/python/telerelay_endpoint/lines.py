"""The lines that people carry from machine to machine: cluster line and invite (PROTOCOL.md §10.1)."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.invite_keys import INVITE_ID_SIZE, InviteKind, InviteTerms
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.payloads import (
    COMPUTER_SIZE,
    LABEL_MAXIMUM,
    NodeAddress,
    node_fields,
    read_node,
)
from telerelay_endpoint.strict_cbor import (
    UINT64,
    FormRefusedError,
    array,
    byte_string,
    decode,
    encode,
    fields,
    text,
    uint,
)

CLUSTER_PREFIX = "telerelay-cluster:"
INVITE_PREFIX = "telerelay-invite:"
LINE_MAXIMUM: Final = LIMITS["line"]
_NODES: Final = range(1, LIMITS["line_nodes"] + 1)
_PIN_SIZE = 32


@dataclass(frozen=True)
class ClusterLine:
    """How to reach and know a cluster: no secret. `pins`: two of 32 bytes, the CA's and its successor's."""

    pins: tuple[bytes, bytes]
    nodes: tuple[NodeAddress, ...]

    def format(self) -> str:
        """The line."""
        return CLUSTER_PREFIX + _encode({0: list(self.pins), 1: [node_fields(node) for node in self.nodes]})


@dataclass(frozen=True)
class Invite:
    """What a machine needs to enrol, its secret included. `organisation` and `secret`: 32 bytes."""

    organisation: bytes
    cluster: ClusterLine
    terms: InviteTerms
    secret: bytes

    def format(self) -> str:
        """The line: to be carried to one machine and to nobody else."""
        written: dict[int, Any] = {
            0: self.organisation,
            1: list(self.cluster.pins),
            2: [node_fields(node) for node in self.cluster.nodes],
            3: self.terms.id,
            4: self.terms.kind.number,
            6: self.terms.label,
            7: self.terms.expiry,
            8: self.secret,
        }
        if self.terms.computer is not None:
            written[5] = self.terms.computer
        return INVITE_PREFIX + _encode(written)


def parse_cluster_line(line: str) -> ClusterLine:
    """A cluster line as pasted, white space around it forgiven. Raises TelerelayError(USAGE)."""
    try:
        encoded = _decode(line, CLUSTER_PREFIX)
        read = fields(decode(encoded), required=range(2), what="the cluster line")
        cluster = ClusterLine(_pins(read[0]), _nodes(read[1]))
        _require_same_line(cluster.format(), CLUSTER_PREFIX, encoded)
    except FormRefusedError as error:
        raise TelerelayError("USAGE", f"cluster line: {error}") from error
    return cluster


def parse_invite(line: str) -> Invite:
    """An invite as pasted, white space around it forgiven. Raises TelerelayError(INVITE)."""
    try:
        encoded = _decode(line, INVITE_PREFIX)
        read = fields(decode(encoded), required=(0, 1, 2, 3, 4, 6, 7, 8), optional=(5,), what="the invite")
        invite = Invite(
            organisation=byte_string(read[0], _PIN_SIZE, "organisation"),
            cluster=ClusterLine(_pins(read[1]), _nodes(read[2])),
            terms=_terms(read),
            secret=byte_string(read[8], _PIN_SIZE, "secret"),
        )
        _require_same_line(invite.format(), INVITE_PREFIX, encoded)
    except FormRefusedError as error:
        raise TelerelayError("INVITE", f"invite: {error}") from error
    return invite


def to_base64url(value: bytes) -> str:
    """Base64url without padding (RFC 4648 §5): how binary stands in lines and in the API's JSON."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def from_base64url(value: str) -> bytes:
    """Base64url without padding, in its one spelling. Raises FormRefusedError."""
    try:
        decoded = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormRefusedError("a character is missing or does not belong there") from error
    if to_base64url(decoded) != value:
        raise FormRefusedError("a character is missing or does not belong there")
    return decoded


def _encode(value: Any) -> str:
    return to_base64url(encode(value))


def _decode(line: str, prefix: str) -> bytes:
    line = line.strip()
    if not line.startswith(prefix):
        raise FormRefusedError(f"it does not begin with {prefix}")
    if len(line) > LINE_MAXIMUM:
        raise FormRefusedError(f"it is longer than {LINE_MAXIMUM} characters")
    return from_base64url(line.removeprefix(prefix))


def _require_same_line(written: str, prefix: str, encoded: bytes) -> None:
    if written != prefix + to_base64url(encoded):
        raise FormRefusedError("it is not in deterministic CBOR")


def _pins(value: Any) -> tuple[bytes, bytes]:
    current, successor = array(value, range(2, 3), "pins")
    return byte_string(current, _PIN_SIZE, "pin"), byte_string(successor, _PIN_SIZE, "pin")


def _nodes(value: Any) -> tuple[NodeAddress, ...]:
    return tuple(read_node(item) for item in array(value, _NODES, "nodes"))


def _terms(read: Mapping[int, Any]) -> InviteTerms:
    kind = list(InviteKind)[uint(read[4], len(InviteKind) - 1, "kind")]
    computer = read.get(5)
    if (computer is None) != (kind is InviteKind.CLIENT):
        raise FormRefusedError("an agent's invite names a computer, a client's does not")
    return InviteTerms(
        id=byte_string(read[3], INVITE_ID_SIZE, "id"),
        kind=kind,
        computer=None if computer is None else byte_string(computer, COMPUTER_SIZE, "computer"),
        label=text(read[6], range(LABEL_MAXIMUM + 1), "label"),
        expiry=uint(read[7], UINT64, "expiry"),
    )
