"""What the four documents say, as values and as deterministic CBOR (PROTOCOL.md §9, frames.cddl)."""

import re
from dataclasses import dataclass
from typing import Any, Final, Self

from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.strict_cbor import (
    UINT16,
    UINT32,
    UINT64,
    FormRefusedError,
    array,
    boolean,
    byte_string,
    decode,
    encode,
    fields,
    text,
    uint,
)

LABEL_MAXIMUM: Final = LIMITS["label_bytes"]
PROGRAM_MAXIMUM: Final = LIMITS["program_bytes"]
GRANTS_MAXIMUM: Final = LIMITS["grants"]
DEVICES_MAXIMUM: Final = LIMITS["revoked_devices"]
NODES_MAXIMUM: Final = LIMITS["list_nodes"]
ADDRESSES_MAXIMUM: Final = LIMITS["node_addresses"]
ADDRESS_SIZE = range(3, 73)
NODE_NAME_MAXIMUM: Final = LIMITS["node_name"]
_NODE_NAME = re.compile("[a-z](?:[a-z0-9-]*[a-z0-9])?")
SERVICES = ("rfb", "rdp")
COMPUTER_SIZE = 10
DEVICE_SIZE = 32


@dataclass(frozen=True)
class Grant:
    """A client (device ID, 32 bytes) that may reach the computer, within times (Unix seconds) if given."""

    client: bytes
    label: str
    not_before: int | None = None
    not_after: int | None = None

    def holds(self, now: int) -> bool:
        """Whether the grant holds at `now`."""
        return (self.not_before is None or self.not_before <= now) and (
            self.not_after is None or now < self.not_after
        )


@dataclass(frozen=True)
class Rules:
    """What a session may do. Times in seconds; with a `resume_limit` of 0 it ends with its path."""

    services: tuple[str, ...]
    sessions: int
    resume_limit: int
    idle_timeout: int
    view_only: bool


@dataclass(frozen=True)
class ComputerDocument:
    """Who may reach a computer (ID, 10 bytes) at its agent (device ID, 32 bytes). Times in Unix seconds."""

    computer: bytes
    agent: bytes
    version: int
    issued: int
    expires: int
    grants: tuple[Grant, ...]
    rules: Rules
    label: str

    def encode(self) -> bytes:
        """The payload."""
        return encode(
            {
                0: self.computer,
                1: self.agent,
                2: self.version,
                3: self.issued,
                4: self.expires,
                5: [_grant_fields(grant) for grant in self.grants],
                6: _rules_fields(self.rules),
                7: self.label,
            }
        )

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """The payload of a computer document. Raises FormRefusedError."""
        read = fields(decode(payload), required=range(8), what="the computer document")
        document = cls(
            computer=byte_string(read[0], COMPUTER_SIZE, "computer"),
            agent=byte_string(read[1], DEVICE_SIZE, "agent"),
            version=uint(read[2], UINT64, "version"),
            issued=uint(read[3], UINT64, "issued"),
            expires=uint(read[4], UINT64, "expires"),
            grants=tuple(_grant(item) for item in array(read[5], range(GRANTS_MAXIMUM + 1), "grants")),
            rules=_rules(read[6]),
            label=text(read[7], range(LABEL_MAXIMUM + 1), "label"),
        )
        _require_same_bytes(document.encode(), payload)
        return document


@dataclass(frozen=True)
class Stamp:
    """The newest document and revocation list for a computer, says the keeper. Times in Unix seconds."""

    computer: bytes
    document_version: int
    revocations_version: int
    epoch: int
    issued: int
    expires: int

    @property
    def version(self) -> int:
        """What stamps are ordered by."""
        return self.epoch

    def encode(self) -> bytes:
        """The payload."""
        numbers = (self.document_version, self.revocations_version, self.epoch, self.issued, self.expires)
        return encode({0: self.computer, **dict(enumerate(numbers, start=1))})

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """The payload of a freshness stamp. Raises FormRefusedError."""
        read = fields(decode(payload), required=range(6), what="the stamp")
        stamp = cls(
            computer=byte_string(read[0], COMPUTER_SIZE, "computer"),
            document_version=uint(read[1], UINT64, "document version"),
            revocations_version=uint(read[2], UINT64, "revocations version"),
            epoch=uint(read[3], UINT64, "epoch"),
            issued=uint(read[4], UINT64, "issued"),
            expires=uint(read[5], UINT64, "expires"),
        )
        _require_same_bytes(stamp.encode(), payload)
        return stamp


@dataclass(frozen=True)
class RevocationList:
    """The devices (IDs of 32 bytes) that an organisation took away for ever. `issued` in Unix seconds."""

    version: int
    issued: int
    devices: frozenset[bytes]

    def encode(self) -> bytes:
        """The payload; devices in ascending order, so that one list has one form."""
        return encode({0: self.version, 1: self.issued, 2: sorted(self.devices)})

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """The payload of a revocation list. Raises FormRefusedError."""
        read = fields(decode(payload), required=range(3), what="the revocation list")
        devices = array(read[2], range(DEVICES_MAXIMUM + 1), "devices")
        revocations = cls(
            version=uint(read[0], UINT64, "version"),
            issued=uint(read[1], UINT64, "issued"),
            devices=frozenset(byte_string(device, DEVICE_SIZE, "device") for device in devices),
        )
        _require_same_bytes(revocations.encode(), payload)
        return revocations


@dataclass(frozen=True)
class NodeAddress:
    """A node's name (§2.4) and where it is: 1 to 8 of "host:port"."""

    name: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class ListedNode:
    """One node of the node list, with the program that it runs ("telerelay/0.1.0")."""

    node: NodeAddress
    program: str


@dataclass(frozen=True)
class NodeList:
    """The nodes of a cluster. `issued` in Unix seconds."""

    version: int
    issued: int
    nodes: tuple[ListedNode, ...]

    def encode(self) -> bytes:
        """The payload."""
        nodes = [[*node_fields(listed.node), listed.program] for listed in self.nodes]
        return encode({0: self.version, 1: self.issued, 2: nodes})

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """The payload of a node list. Raises FormRefusedError."""
        read = fields(decode(payload), required=range(3), what="the node list")
        nodes = cls(
            version=uint(read[0], UINT64, "version"),
            issued=uint(read[1], UINT64, "issued"),
            nodes=tuple(_listed_node(item) for item in array(read[2], range(1, NODES_MAXIMUM + 1), "nodes")),
        )
        _require_same_bytes(nodes.encode(), payload)
        return nodes


def node_fields(node: NodeAddress) -> list[Any]:
    """`node` of frames.cddl."""
    return [node.name, list(node.addresses)]


def is_node_name(name: str) -> bool:
    """Whether this can be a node's name, and so an SNI (PROTOCOL.md §2.4)."""
    return len(name) <= NODE_NAME_MAXIMUM and _NODE_NAME.fullmatch(name) is not None


def read_node(value: Any) -> NodeAddress:
    """`node` of frames.cddl. Raises FormRefusedError."""
    name, addresses = array(value, range(2, 3), "node")
    name = text(name, range(1, NODE_NAME_MAXIMUM + 1), "node name")
    if not is_node_name(name):
        raise FormRefusedError("a node name is no DNS label that begins with a letter")
    found = array(addresses, range(1, ADDRESSES_MAXIMUM + 1), "addresses")
    return NodeAddress(name, tuple(text(address, ADDRESS_SIZE, "address") for address in found))


# ---------------------------------------------------------------- parts


def _grant_fields(grant: Grant) -> dict[int, Any]:
    written: dict[int, Any] = {0: grant.client, 1: grant.label}
    if grant.not_before is not None:
        written[2] = grant.not_before
    if grant.not_after is not None:
        written[3] = grant.not_after
    return written


def _grant(value: Any) -> Grant:
    read = fields(value, required=range(2), optional=range(2, 4), what="a grant")
    return Grant(
        client=byte_string(read[0], DEVICE_SIZE, "client"),
        label=text(read[1], range(LABEL_MAXIMUM + 1), "label"),
        not_before=_optional_time(read.get(2), "not-before"),
        not_after=_optional_time(read.get(3), "not-after"),
    )


def _optional_time(value: Any, what: str) -> int | None:
    return None if value is None else uint(value, UINT64, what)


def _rules_fields(rules: Rules) -> dict[int, Any]:
    return {
        0: list(rules.services),
        1: rules.sessions,
        2: rules.resume_limit,
        3: rules.idle_timeout,
        4: rules.view_only,
    }


def _rules(value: Any) -> Rules:
    read = fields(value, required=range(5), what="the rules")
    services = tuple(array(read[0], range(1, 3), "services"))
    if any(service not in SERVICES for service in services):
        raise FormRefusedError("a service is neither rfb nor rdp")
    return Rules(
        services=services,
        sessions=uint(read[1], UINT16, "sessions"),
        resume_limit=uint(read[2], UINT32, "resume limit"),
        idle_timeout=uint(read[3], UINT32, "idle timeout"),
        view_only=boolean(read[4], "view-only"),
    )


def _listed_node(value: Any) -> ListedNode:
    name, addresses, program = array(value, range(3, 4), "node")
    return ListedNode(read_node([name, addresses]), text(program, range(1, PROGRAM_MAXIMUM + 1), "program"))


def _require_same_bytes(written: bytes, payload: bytes) -> None:
    # A value that was read is bounded, so writing it is too; whatever the reader let pass differs here.
    if written != payload:
        raise FormRefusedError("its payload is not in deterministic CBOR")
