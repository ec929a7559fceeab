"""From a policy to the rules of one computer: the most specific section wins, rule by rule."""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from telerelay.org.api import Device
from telerelay.org.policy.file import Exempt, OwnDevice, Policy, PolicyRules, called
from telerelay.org.registry import PREFIX_MINIMUM
from telerelay_core import format_computer_id
from telerelay_endpoint.payloads import ComputerDocument, Grant, Own, Rules
from telerelay_endpoint.settings import DEFAULT, Problem
from telerelay_endpoint.timetable import MINUTE_S, Timetable

FIELDS: Final = {
    "services": "services",
    "view_only": "view_only",
    "watermark": "watermark",
    "notices": "notices",
    "idle_timeout_min": "idle_timeout",
    "sessions": "sessions",
    "session_limit_min": "session_limit",
    "on_disconnect": "lock_on_disconnect",
    "hours": "hours",
    "allowed_networks": "allowed_networks",
    "denied_networks": "denied_networks",
    "minimum_version": "minimum_version",
    "devices": "own_devices",
}
"""Each rule's name in a policy, and its field in a document."""
EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True)
class Decided:
    """What a rule came to: its value, and which line of which section said so."""

    value: Any
    source: str
    """`file:line:column`, or "default"."""
    section: str
    """The section's header; empty for a default."""


@dataclass(frozen=True)
class Resolved:
    """The rules of one computer."""

    rules: Rules
    decided: Mapping[str, Decided]


def resolve(policy: Policy, computer: bytes, label: str) -> Resolved:
    """What the policy says for a computer (ID of 10 bytes)."""
    names = {format_computer_id(computer), called(label)}
    sections = [
        policy.organisation,
        *(group for group in policy.groups if group.computers & names),
        *(policy.computers[name] for name in sorted(names & policy.computers.keys())),
    ]
    defaults = PolicyRules()
    decided = {name: Decided(getattr(defaults, name), DEFAULT, "") for name in FIELDS}
    for section in sections:
        for name, value in section.given.items():
            decided[name] = Decided(value, section.sources[name], section.title)
    return Resolved(_rules(policy, {name: one.value for name, one in decided.items()}), decided)


def apply(policy: Policy, document: ComputerDocument) -> ComputerDocument:
    """The same document under the policy: its rules, and whose devices are people's own."""
    grants = tuple(_with_exception(policy, grant) for grant in document.grants)
    return replace(document, rules=resolve(policy, document.computer, document.label).rules, grants=grants)


def exempt_of(policy: Policy, grant: Grant) -> Exempt | None:
    """What the policy says of a grant's device."""
    found = (exempt for name, exempt in policy.own.items() if _is_called(name, grant.client, grant.label))
    return next(found, None)


def unknown_names(policy: Policy, devices: Sequence[Device]) -> list[Problem]:
    """The computers and the people's own devices that the policy names and that are not among these."""
    clients = [device for device in devices if device.computer is None]
    computers = {
        name
        for device in devices
        if device.computer is not None
        for name in (format_computer_id(device.computer), called(device.label))
    }
    own = {
        name: exempt.source
        for name, exempt in policy.own.items()
        if not any(_is_called(name, device.device, device.label) for device in clients)
    }
    missing = {name: source for name, source in policy.names.items() if name not in computers}
    labels = {device.label for device in clients}
    return [*_unknown("computer", missing, computers), *_unknown("client", own, labels)]


def _unknown(what: str, missing: Mapping[str, str], known: Collection[str]) -> Iterator[Problem]:
    for name, source in missing.items():
        near = difflib.get_close_matches(name, known, n=1)
        yield Problem(source, name, f"no {what} is called {name}", *near)


def _is_called(name: str, device: bytes, label: str) -> bool:
    """Whether a policy's name of a client is this device's label, or the beginning of its ID in hex."""
    return name == label or (len(name) >= PREFIX_MINIMUM and device.hex().startswith(name.lower()))


def _rules(policy: Policy, values: Mapping[str, Any]) -> Rules:
    spans = tuple(span for hours in values["hours"] for span in hours.spans)
    holidays = tuple((day - EPOCH).days for day in policy.holidays)
    return Rules(
        services=tuple(values["services"]),
        sessions=values["sessions"],
        # Endpoints cannot resume yet.
        resume_limit=0,
        idle_timeout=values["idle_timeout_min"] * MINUTE_S,
        view_only=values["view_only"],
        hours=Timetable(policy.utc_offset.minutes, spans, holidays) if spans else None,
        allowed_networks=tuple(values["allowed_networks"]),
        denied_networks=tuple(values["denied_networks"]),
        minimum_version=values["minimum_version"].numbers,
        notices=tuple(values["notices"]),
        watermark=values["watermark"],
        session_limit=values["session_limit_min"] * MINUTE_S,
        lock_on_disconnect=values["on_disconnect"] == "lock",
        own_devices=values["devices"] == "own",
    )


def _with_exception(policy: Policy, grant: Grant) -> Grant:
    exempt = exempt_of(policy, grant)
    if exempt is None:
        # What an exception once said stays until it lapses: no device becomes issued by silence.
        return grant
    device = exempt.device
    until = _end_of(device, policy.utc_offset.minutes)
    if grant.own is None and grant.not_after is not None:
        until = min(until, grant.not_after)
    return replace(grant, not_after=until, own=Own(device.approver, device.reason))


def _end_of(device: OwnDevice, offset: int) -> int:
    """The midnight behind the last day, Unix seconds."""
    midnight = datetime.combine(device.until + timedelta(days=1), datetime.min.time(), UTC)
    return int(midnight.timestamp()) - offset * MINUTE_S
