"""Reading a policy: its sections, where each of their rules stands, and everything that is wrong with it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from telerelay.org.policy.words import Approver, Hours, Network, Notice, UtcOffset, Version, Watermark, Why
from telerelay_core import CoreError, format_computer_id, parse_computer_id
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.payloads import (
    HOLIDAYS_MAXIMUM,
    NETWORKS_MAXIMUM,
    NOTICES_MAXIMUM,
    SPANS_MAXIMUM,
)
from telerelay_endpoint.settings import Problem
from telerelay_endpoint.strict_cbor import UINT16, UINT32
from telerelay_endpoint.timetable import MINUTE_S
from telerelay_endpoint.toml_sections import SectionReader, title

CHECK: Final = "org policy check"
"""The command that tells every problem."""
IDLE_LEAST_MIN: Final = LIMITS["idle_least_min"]
Minutes = Annotated[int, Meta(ge=0, le=UINT32 // MINUTE_S)]
Networks = Annotated[list[Network], Meta(max_length=NETWORKS_MAXIMUM)]


class PolicyRules(msgspec.Struct, frozen=True, kw_only=True):
    """What can be said for the organisation, a group or a computer. Field names are the names in the file."""

    services: Annotated[list[Literal["rfb", "rdp"]], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: ["rfb"]
    )
    view_only: bool = False
    watermark: Watermark = Watermark("")
    notices: Annotated[list[Notice], Meta(max_length=NOTICES_MAXIMUM)] = []
    idle_timeout_min: Minutes = 0
    sessions: Annotated[int, Meta(ge=1, le=UINT16)] = LIMITS["sessions_default"]
    session_limit_min: Minutes = 0
    on_disconnect: Literal["keep", "lock"] = "keep"
    hours: list[Hours] = []
    allowed_networks: Networks = []
    denied_networks: Networks = []
    minimum_version: Version = Version("")
    devices: Literal["issued", "own"] = "issued"
    """own: people's own devices count too, each by its exception."""


class GroupRules(PolicyRules, frozen=True, kw_only=True):
    """Rules for some computers, by label or ID."""

    computers: Annotated[list[str], Meta(min_length=1)]


class OwnDevice(msgspec.Struct, frozen=True, kw_only=True):
    """The exception for one person's own device; `until` is its last day."""

    approver: Approver
    reason: Why
    until: date


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What stands at the top of a policy: what holds everywhere, and its sections."""

    utc_offset: UtcOffset = UtcOffset("+09:00")
    holidays: Annotated[list[date], Meta(max_length=HOLIDAYS_MAXIMUM)] = []
    organisation: dict[str, Any] = {}
    group: dict[str, dict[str, Any]] = {}
    computer: dict[str, dict[str, Any]] = {}
    own: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True)
class Section:
    """One table of rules: `given` are those that it sets, `sources` where each of them stands.

    `title` is its header in the file, `computers` whom a group is for.
    """

    title: str
    given: Mapping[str, Any]
    sources: Mapping[str, str]
    computers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Exempt:
    """A person's own device that is let in by way of exception, and where that stands."""

    device: OwnDevice
    source: str


@dataclass(frozen=True)
class Policy:
    """A policy without a problem. Its computers' names are those of `called`."""

    file: Path
    utc_offset: UtcOffset
    holidays: tuple[date, ...]
    organisation: Section
    groups: tuple[Section, ...]
    computers: Mapping[str, Section]
    own: Mapping[str, Exempt]
    """By the label of the device or the beginning of its ID."""
    names: Mapping[str, str]
    """Every computer that is named, and where first."""


def called(name: str) -> str:
    """A computer's name in one form: its ID as it is shown, however it was typed, or its label."""
    try:
        return format_computer_id(parse_computer_id(name))
    except CoreError:
        return name


def read_policy(file: Path) -> Policy:
    """A policy from its file. Raises SettingsError that holds every problem there is."""
    reader = _Reader(SectionReader(file, CHECK))
    policy = reader.policy(file)
    reader.sections.require_well()
    if policy is None:
        raise AssertionError("a head that cannot be read is a problem")
    return policy


class _Reader:
    """Reads section by section and collects what is wrong."""

    def __init__(self, sections: SectionReader) -> None:
        self.sections = sections
        self._places = sections.places

    def policy(self, file: Path) -> Policy | None:
        """None where the head cannot be read."""
        loaded = self.sections.load(Head, self.sections.values)
        if loaded is None:
            return None
        head = loaded.settings
        groups = tuple(self._section(GroupRules, table, "group", name) for name, table in head.group.items())
        computers = {
            called(name): self._section(PolicyRules, table, "computer", name)
            for name, table in head.computer.items()
        }
        self.sections.problems += _contradictions(groups, computers)
        return Policy(
            file=file,
            utc_offset=head.utc_offset,
            holidays=tuple(sorted(set(head.holidays))),
            organisation=self._section(PolicyRules, head.organisation, "organisation"),
            groups=groups,
            computers=computers,
            own=dict(self._exempt(head.own)),
            names={name: section.sources[_MEMBERS] for section in groups for name in section.computers}
            | {called(name): self._places.of("computer", name).of_key() for name in head.computer},
        )

    def _section(self, kind: type[PolicyRules], table: Mapping[str, Any], *path: str) -> Section:
        loaded = self.sections.load(kind, table, *path)
        if loaded is None:
            return Section(title(path), {}, {})
        given = loaded.given()
        members = frozenset(map(called, given.pop(_MEMBERS, ())))
        sources = {
            name: self._places.of(*path, name).of_value() for name in (*given, _MEMBERS) if name in table
        }
        section = Section(title(path), given, sources, members)
        self.sections.problems += _unfit(section)
        return section

    def _exempt(self, own: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Exempt]]:
        for name, table in own.items():
            loaded = self.sections.load(OwnDevice, table, "own", name)
            if loaded is not None:
                yield name, Exempt(loaded.settings, self._places.of("own", name).of_key())


_MEMBERS: Final = "computers"


def _unfit(section: Section) -> Iterator[Problem]:
    """What is wrong with values that are well written."""
    idle = section.given.get("idle_timeout_min", 0)
    if 0 < idle < IDLE_LEAST_MIN:
        what = f"idle_timeout_min: at least {IDLE_LEAST_MIN}, so that reading a page ends nothing; 0: never"
        yield Problem(section.sources["idle_timeout_min"], "idle_timeout_min", what)
    spans = sum(len(hours.spans) for hours in section.given.get("hours", ()))
    if spans > SPANS_MAXIMUM:
        what = f"hours: at most {SPANS_MAXIMUM} spans fit, each day counts; here are {spans}"
        yield Problem(section.sources["hours"], "hours", what)


def _contradictions(groups: tuple[Section, ...], computers: Mapping[str, Section]) -> Iterator[Problem]:
    """Rules that two groups set for the same computer, which does not set them itself."""
    for index, group in enumerate(groups):
        for other in groups[:index]:
            for name in sorted(group.computers & other.computers):
                own = computers[name].given if name in computers else {}
                for rule in sorted((group.given.keys() & other.given.keys()) - own.keys()):
                    what = (
                        f"{rule}: {other.title} sets it for {name} too ({other.sources[rule]});"
                        f' say under [computer."{name}"] which holds'
                    )
                    yield Problem(group.sources[rule], rule, what)
