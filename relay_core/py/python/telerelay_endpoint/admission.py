"""May this device come in under this document? One answer, for the agent that decides and whoever asks why.

Fail closed: what cannot be read, and a rule that cannot be kept, refuses.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, Literal

from telerelay_endpoint.payloads import ComputerDocument, Grant, Rules

Code = Literal[
    "POLICY_STALE",
    "REVOKED",
    "DENIED",
    "POLICY_HOURS",
    "POLICY_ADDRESS",
    "POLICY_VERSION",
    "POLICY_DURATION",
    "UNSUPPORTED",
]
_PROGRAM: Final = re.compile(r"[^/]+/(\d+)\.(\d+)\.(\d+)(?![\d.]).*")


@dataclass(frozen=True)
class Request:
    """What INCOMING tells. `client`: device ID, 32 bytes, which the inner handshake has to prove (§7).

    `address` ("192.0.2.7:52442") is the node's word, `program` ("telerelay-client/0.1.0") the client's.
    """

    client: bytes
    service: str
    address: str
    program: str


@dataclass(frozen=True)
class End:
    """When a session ends in any case, Unix seconds, and its code then."""

    at: int
    code: Code


@dataclass(frozen=True)
class Allow:
    """The session may open under these rules, and last until its end, where there is one.

    `label`: the client's in its grant.
    """

    rules: Rules
    label: str
    ends: End | None = None


@dataclass(frozen=True)
class Refuse:
    """It may not. `reason` is for whoever looks after the office PC: the client gets the code alone."""

    code: Code
    reason: str
    rule: str | None = None
    """The rule that decided: a field of `Rules`; None where it was none of them."""


def judge(
    request: Request,
    document: ComputerDocument,
    revoked: Collection[bytes],
    now: int,
    *,
    can_lock: bool = True,
) -> Allow | Refuse:
    """Judge `request` by a document that stands at `now` (Unix seconds). `revoked`: device IDs, 32 bytes.

    `can_lock`: whether the agent can lock its desktop, which it alone knows.
    """
    rules, named = document.rules, f"computer document {document.version}"
    if request.client in revoked:
        return Refuse("REVOKED", "the revocation list names this device")
    grants = [grant for grant in document.grants if grant.client == request.client and grant.holds(now)]
    if not grants:
        return Refuse("DENIED", f"{named} does not admit this device now")
    counting = [grant for grant in grants if rules.own_devices or grant.own is None]
    if not counting:
        return Refuse("DENIED", f"{named} admits no devices of people's own", "own_devices")
    if request.service not in rules.services:
        return Refuse("DENIED", f"{named} does not admit {request.service}", "services")
    if rules.hours is not None and rules.hours.closes(now) is None:
        return Refuse("POLICY_HOURS", f"{named} does not allow this hour", "hours")
    if rules.denied_networks and _is_within(request.address, rules.denied_networks, unread=True):
        return Refuse("POLICY_ADDRESS", f"{named} denies the client's network", "denied_networks")
    if rules.allowed_networks and not _is_within(request.address, rules.allowed_networks, unread=False):
        return Refuse("POLICY_ADDRESS", f"{named} does not allow the client's network", "allowed_networks")
    if rules.minimum_version is not None and version_of(request.program) < rules.minimum_version:
        wanted = ".".join(map(str, rules.minimum_version))
        return Refuse("POLICY_VERSION", f"{named} wants version {wanted} at least", "minimum_version")
    if rules.lock_on_disconnect and not can_lock:
        why = f"{named} wants the desktop locked when a session ends, which cannot be done here"
        return Refuse("UNSUPPORTED", why, "lock_on_disconnect")
    ends = min(_ends(rules, counting, now), key=lambda end: end.at, default=None)
    return Allow(rules, counting[0].label, ends)


def _ends(rules: Rules, grants: Collection[Grant], now: int) -> Iterator[End]:
    closes = None if rules.hours is None else rules.hours.closes(now)
    if closes is not None:
        yield End(closes, "POLICY_HOURS")
    lapses = [grant.not_after for grant in grants if grant.not_after is not None]
    if len(lapses) == len(grants):
        yield End(max(lapses), "DENIED")
    if rules.session_limit:
        yield End(now + rules.session_limit, "POLICY_DURATION")


def version_of(program: str) -> tuple[int, int, int]:
    """The version that a program tells ("telerelay-client/1.4.0"); 0.0.0 where it tells none."""
    found = _PROGRAM.fullmatch(program)
    if found is None:
        return (0, 0, 0)
    major, minor, patch = found.groups()
    return (int(major), int(minor), int(patch))


def _is_within(address: str, networks: Collection[str], *, unread: bool) -> bool:
    """Whether an address lies in one of the networks; `unread` where it is no address at all."""
    try:
        found = ip_address(_host(address))
    except ValueError:
        return unread
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in ip_network(network) for network in networks)


def _host(address: str) -> str:
    """What stands before the port of "192.0.2.7:52442" or "[2001:db8::7]:52442"; without a port all of it."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address
