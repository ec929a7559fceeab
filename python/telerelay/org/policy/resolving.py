"""From a policy to the rules of one computer: the most specific section wins, rule by rule."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

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
    """What the policy says of a grant's device: by its label, else by the beginning of its ID."""
    by_id = (
        exempt
        for name, exempt in policy.own.items()
        if len(name) >= PREFIX_MINIMUM and grant.client.hex().startswith(name.lower())
    )
    return policy.own.get(grant.label) or next(by_id, None)


def unknown_names(policy: Policy, computers: Iterable[tuple[bytes, str]]) -> list[Problem]:
    """The computers that the policy names and that are not among these (ID of 10 bytes, label)."""
    known = {name for computer, label in computers for name in (format_computer_id(computer), called(label))}
    return [
        Problem(
            source,
            name,
            f"no computer is called {name}",
            *difflib.get_close_matches(name, known, n=1),
        )
        for name, source in policy.names.items()
        if name not in known
    ]


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
