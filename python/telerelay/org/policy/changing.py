"""What a policy changes: the documents that come out otherwise, rule by rule, and whom it would lock out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any, Final

from telerelay import __version__
from telerelay.org.policy.file import Policy
from telerelay.org.policy.resolving import EPOCH, FIELDS, apply, exempt_of, resolve
from telerelay_endpoint.admission import Allow, Refuse, Request, judge
from telerelay_endpoint.documents import COMPUTER_LIFE_S
from telerelay_endpoint.payloads import ComputerDocument, Grant, Rules
from telerelay_endpoint.timetable import DAY_MINUTES, DAYS, MINUTE_S, Timetable

_NEWEST: Final = f"telerelay-client/{__version__}"
"""The newest client that this version knows of."""
SERVED: Final = "rfb"
"""What agents serve."""
_ANYWHERE: Final = ("0.0.0.0/0", "::/0")
_HOUR_MINUTES: Final = 60


@dataclass(frozen=True)
class Difference:
    """One thing that is otherwise: a rule by its name in the policy, or a device by its label."""

    name: str
    before: str
    after: str
    source: str
    """The line that wants it so: `file:line:column`, or "default"."""


@dataclass(frozen=True)
class Change:
    """A computer's document, and the next one."""

    before: ComputerDocument
    after: ComputerDocument
    differences: tuple[Difference, ...]
    locks_out: Refuse | None
    """Why nobody that is granted could come in then; None where somebody can."""


def changes(policy: Policy, documents: Iterable[ComputerDocument], now: int) -> list[Change]:
    """What has to be signed anew. `now`: Unix seconds."""
    return [
        Change(before, _next(after, now), tuple(_differences(policy, before, after)), locks_out(after, now))
        for before in documents
        if (after := apply(policy, before)) != before
    ]


def locks_out(document: ComputerDocument, now: int) -> Refuse | None:
    """Why none of those that are granted could come in within two weeks; None where somebody can."""
    refused = None
    for grant in document.grants:
        moment = _first_moment(document.rules, max(now, grant.not_before or now))
        for request in tries(document.rules, grant.client):
            answer = judge(request, document, (), moment)
            if isinstance(answer, Allow):
                return None
            refused = answer
    return refused


def tries(rules: Rules, client: bytes) -> Iterator[Request]:
    """How a client (device ID, 32 bytes) would best ask, from each kind of place that rules tell apart."""
    for address in _addresses(rules):
        yield asking(client, address)


def asking(client: bytes, address: str) -> Request:
    """What the newest program asks for at an address."""
    return Request(client, SERVED, address, _NEWEST)


def shown(rules: Rules, name: str) -> str:
    """A rule (by its name in the policy) as a policy writes it."""
    value: Any = getattr(rules, FIELDS[name])
    match name:
        case "hours":
            return "always" if value is None else ", ".join(_hours(value))
        case "idle_timeout_min" | "session_limit_min":
            return str(value // MINUTE_S)
        case "minimum_version":
            return "any" if value is None else ".".join(map(str, value))
        case "on_disconnect":
            return "lock" if value else "keep"
        case "devices":
            return "own" if value else "issued"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return str(value) or "none"


def _next(document: ComputerDocument, now: int) -> ComputerDocument:
    return replace(document, version=document.version + 1, issued=now, expires=now + COMPUTER_LIFE_S)


def _differences(policy: Policy, before: ComputerDocument, after: ComputerDocument) -> Iterator[Difference]:
    decided = resolve(policy, after.computer, after.label).decided
    for name, field in FIELDS.items():
        if getattr(before.rules, field) != getattr(after.rules, field):
            yield Difference(name, shown(before.rules, name), shown(after.rules, name), decided[name].source)
    for old, new in zip(before.grants, after.grants, strict=True):
        exempt = exempt_of(policy, new)
        if old != new and exempt is not None:
            yield Difference(new.label, _device(policy, old), _device(policy, new), exempt.source)


def _device(policy: Policy, grant: Grant) -> str:
    if grant.own is None or grant.not_after is None:
        return "issued"
    last = datetime.fromtimestamp(grant.not_after - 1 + policy.utc_offset.minutes * MINUTE_S, UTC).date()
    return f"own until {last}, approved by {grant.own.approver}: {grant.own.reason}"


def _hours(table: Timetable) -> Iterator[str]:
    for begin, end in sorted({(span.begin, span.end) for span in table.spans}):
        days = sorted({span.day for span in table.spans if (span.begin, span.end) == (begin, end)})
        yield f"{','.join(DAYS[day] for day in days)} {_clock(begin)}-{_clock(end)}"
    if table.holidays:
        yield "holidays " + " ".join(str(EPOCH + timedelta(days=day)) for day in table.holidays)


def _clock(minutes: int) -> str:
    within = minutes if minutes == DAY_MINUTES else minutes % DAY_MINUTES
    return f"{within // _HOUR_MINUTES:02}:{within % _HOUR_MINUTES:02}"


def _first_moment(rules: Rules, begin: int) -> int:
    opens = None if rules.hours is None else rules.hours.opens(begin)
    return begin if opens is None else opens


def _addresses(rules: Rules) -> Iterator[str]:
    """Of each allowed network what is not denied, if anything is: its begin, or behind a denied one."""
    for network in map(ip_network, rules.allowed_networks or _ANYWHERE):
        yield str(network[0])
        first, last = int(network[0]), int(network[-1])
        for denied in map(ip_network, rules.denied_networks):
            if denied.version == network.version and first <= int(denied[-1]) < last:
                yield str(denied[-1] + 1)
