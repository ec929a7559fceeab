"""What the four documents say, as values and as deterministic CBOR (PROTOCOL.md §9, frames.cddl)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network
from typing import Any, Final, Self, TypeVar

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
from telerelay_endpoint.timetable import DAY_MINUTES, DAYS, Span, Timetable

LABEL_MAXIMUM: Final = LIMITS["label_bytes"]
PROGRAM_MAXIMUM: Final = LIMITS["program_bytes"]
GRANTS_MAXIMUM: Final = LIMITS["grants"]
DEVICES_MAXIMUM: Final = LIMITS["revoked_devices"]
NODES_MAXIMUM: Final = LIMITS["list_nodes"]
ADDRESSES_MAXIMUM: Final = LIMITS["node_addresses"]
ADDRESS_SIZE = range(3, 73)
NODE_NAME_MAXIMUM: Final = LIMITS["node_name"]
NOTICES_MAXIMUM: Final = LIMITS["session_questions"]
NOTICE_MAXIMUM: Final = LIMITS["notice_bytes"]
REASON_MAXIMUM: Final = LIMITS["reason_bytes"]
NETWORKS_MAXIMUM: Final = LIMITS["networks"]
SPANS_MAXIMUM: Final = LIMITS["timetable_spans"]
HOLIDAYS_MAXIMUM: Final = LIMITS["holidays"]
_NODE_NAME = re.compile("[a-z](?:[a-z0-9-]*[a-z0-9])?")
EASTERNMOST = 14 * 60
_NETWORK_SIZE = range(3, 44)

T = TypeVar("T")
SERVICES = ("rfb", "rdp")
COMPUTER_SIZE = 10
DEVICE_SIZE = 32


@dataclass(frozen=True)
class Own:
    """A person's own device is let in by way of exception: by whom, and why."""

    approver: str
    reason: str


@dataclass(frozen=True)
class Grant:
    """A client (device ID, 32 bytes) that may reach the computer, within times (Unix seconds) if given.

    Without `own` the organisation has issued the device; with it the grant always has an end.
    """

    client: bytes
    label: str
    not_before: int | None = None
    not_after: int | None = None
    own: Own | None = None

    def holds(self, now: int) -> bool:
        """Whether the grant holds at `now`."""
        return (self.not_before is None or self.not_before <= now) and (
            self.not_after is None or now < self.not_after
        )


@dataclass(frozen=True)
class Rules:
    """Who may come in when and from where, and what a session may do. Times in seconds, 0: without a limit.

    With a `resume_limit` of 0 a session ends with its path. What has a default need not be in a document.
    """

    services: tuple[str, ...]
    sessions: int
    resume_limit: int
    idle_timeout: int
    view_only: bool
    hours: Timetable | None = None
    """None: at any time."""
    allowed_networks: tuple[str, ...] = ()
    """Where a client may be, ADDRESS/LENGTH; empty: anywhere."""
    denied_networks: tuple[str, ...] = ()
    """Where it may not be, whatever else is said."""
    minimum_version: tuple[int, int, int] | None = None
    """Of the client's program, as the program tells it."""
    notices: tuple[str, ...] = ()
    """What the person confirms before each session."""
    watermark: str = ""
    """Drawn over the screen; empty: nothing."""
    session_limit: int = 0
    lock_on_disconnect: bool = False
    own_devices: bool = False
    """Whether grants of people's own devices count."""


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
    if grant.own is not None:
        written[4] = {0: grant.own.approver, 1: grant.own.reason}
    return written


def _grant(value: Any) -> Grant:
    read = fields(value, required=range(2), optional=range(2, 5), what="a grant")
    grant = Grant(
        client=byte_string(read[0], DEVICE_SIZE, "client"),
        label=text(read[1], range(LABEL_MAXIMUM + 1), "label"),
        not_before=_optional(read.get(2), partial(uint, maximum=UINT64, what="not-before")),
        not_after=_optional(read.get(3), partial(uint, maximum=UINT64, what="not-after")),
        own=_optional(read.get(4), _own),
    )
    if grant.own is not None and grant.not_after is None:
        raise FormRefusedError("the grant of an own device has no end")
    return grant


def _own(value: Any) -> Own:
    read = fields(value, required=range(2), what="own")
    return Own(
        approver=text(read[0], range(1, LABEL_MAXIMUM + 1), "approver"),
        reason=text(read[1], range(1, REASON_MAXIMUM + 1), "reason"),
    )


def _rules_fields(rules: Rules) -> dict[int, Any]:
    written: dict[int, Any] = {
        0: list(rules.services),
        1: rules.sessions,
        2: rules.resume_limit,
        3: rules.idle_timeout,
        4: rules.view_only,
    }
    further = {
        5: rules.hours and _hours_fields(rules.hours),
        6: list(rules.allowed_networks),
        7: list(rules.denied_networks),
        8: rules.minimum_version and list(rules.minimum_version),
        9: list(rules.notices),
        10: rules.watermark,
        11: rules.session_limit,
        12: rules.lock_on_disconnect,
        13: rules.own_devices,
    }
    # A default is not written, so that one value has one form.
    return written | {key: value for key, value in further.items() if value}


def _hours_fields(hours: Timetable) -> dict[int, Any]:
    spans = [[span.day, span.begin, span.end] for span in hours.spans]
    return {0: hours.offset, 1: spans} | ({2: list(hours.holidays)} if hours.holidays else {})


def _rules(value: Any) -> Rules:
    read = fields(value, required=range(5), optional=range(5, 14), what="the rules")
    services = tuple(array(read[0], range(1, 3), "services"))
    if any(service not in SERVICES for service in services):
        raise FormRefusedError("a service is neither rfb nor rdp")
    return Rules(
        services=services,
        sessions=uint(read[1], UINT16, "sessions"),
        resume_limit=uint(read[2], UINT32, "resume limit"),
        idle_timeout=uint(read[3], UINT32, "idle timeout"),
        view_only=boolean(read[4], "view-only"),
        hours=_optional(read.get(5), _hours),
        allowed_networks=_list(read.get(6), NETWORKS_MAXIMUM, "allowed networks", _network),
        denied_networks=_list(read.get(7), NETWORKS_MAXIMUM, "denied networks", _network),
        minimum_version=_optional(read.get(8), _version),
        notices=_list(read.get(9), NOTICES_MAXIMUM, "notices", _notice),
        watermark=text(read.get(10, ""), range(LABEL_MAXIMUM + 1), "watermark"),
        session_limit=uint(read.get(11, 0), UINT32, "session limit"),
        lock_on_disconnect=boolean(read.get(12, False), "lock"),
        own_devices=boolean(read.get(13, False), "own devices"),
    )


def _optional(value: Any, read: Callable[[Any], T]) -> T | None:
    # A null that was written is found by _require_same_bytes.
    return None if value is None else read(value)


def _list(value: Any, maximum: int, what: str, item: Callable[[Any], str]) -> tuple[str, ...]:
    return () if value is None else tuple(item(one) for one in array(value, range(1, maximum + 1), what))


def _network(value: Any) -> str:
    network = text(value, _NETWORK_SIZE, "network")
    try:
        canonical = str(ip_network(network))
    except ValueError as error:
        raise FormRefusedError("a network is not written as ADDRESS/LENGTH") from error
    if canonical != network:
        raise FormRefusedError("a network is not in its shortest form")
    return network


def _notice(value: Any) -> str:
    return text(value, range(1, NOTICE_MAXIMUM + 1), "notice")


def _version(value: Any) -> tuple[int, int, int]:
    major, minor, patch = (
        uint(part, UINT16, "version") for part in array(value, range(3, 4), "minimum version")
    )
    return major, minor, patch


def _hours(value: Any) -> Timetable:
    read = fields(value, required=range(2), optional=range(2, 3), what="the hours")
    spans = tuple(_span(item) for item in array(read[1], range(1, SPANS_MAXIMUM + 1), "spans"))
    holidays = array(read.get(2, []), range(HOLIDAYS_MAXIMUM + 1), "holidays")
    return Timetable(
        offset=uint(read[0], EASTERNMOST, "UTC offset"),
        spans=spans,
        holidays=tuple(uint(day, UINT32, "holiday") for day in holidays),
    )


def _span(value: Any) -> Span:
    day, begin, end = array(value, range(3, 4), "span")
    span = Span(
        day=uint(day, len(DAYS) - 1, "day"),
        begin=uint(begin, DAY_MINUTES - 1, "begin"),
        end=uint(end, 2 * DAY_MINUTES, "end"),
    )
    if not 0 < span.end - span.begin <= DAY_MINUTES:
        raise FormRefusedError("a span is empty or longer than a day")
    return span


def _listed_node(value: Any) -> ListedNode:
    name, addresses, program = array(value, range(3, 4), "node")
    return ListedNode(read_node([name, addresses]), text(program, range(1, PROGRAM_MAXIMUM + 1), "program"))


def _require_same_bytes(written: bytes, payload: bytes) -> None:
    # A value that was read is bounded, so writing it is too; whatever the reader let pass differs here.
    if written != payload:
        raise FormRefusedError("its payload is not in deterministic CBOR")
