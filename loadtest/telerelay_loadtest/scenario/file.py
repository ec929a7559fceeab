"""Reading a scenario: its sections, and everything that is wrong with it, each with its line and column."""

from collections.abc import Iterator, Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from telerelay_endpoint.settings import Problem, S, SettingsError
from telerelay_endpoint.toml_sections import SectionReader, title
from telerelay_loadtest.scenario.words import Duration, TimeOfDay, clock

CHECK: Final = "telerelay-loadtest plan"
"""The command that tells every problem."""
READY: Final = ("town-300", "city-3000", "storm")
"""The scenarios that come with the kit."""

Share = Annotated[float, Meta(ge=0, le=1)]


class Organisation(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation. Each of its staff has an office PC whose agent waits."""

    staff: Annotated[int, Meta(ge=1, le=100_000, description="How many people, each with an office PC.")]


class Wave(msgspec.Struct, frozen=True, kw_only=True):
    """People who come at about the same time."""

    at: Annotated[TimeOfDay, Meta(description="The middle of the wave.")]
    spread: Annotated[
        Duration,
        Meta(description="bell: the standard deviation, nobody is further off than three; even: all of it."),
    ]
    shape: Annotated[
        Literal["bell", "even"], Meta(description="bell: most in the middle; even: as many at any time.")
    ] = "bell"
    share: Annotated[
        Share, Meta(description="Of those who work from home, how many come with this wave.")
    ] = 1.0

    @property
    def reach_ms(self) -> tuple[int, int]:
        """Between which moments of the day its people come, milliseconds."""
        off = 3 * self.spread.ms if self.shape == "bell" else self.spread.ms // 2
        return self.at.ms - off, self.at.ms + off


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """How long people stay."""

    length: Annotated[
        list[Duration],
        Meta(
            min_length=1,
            max_length=101,
            description="Lengths that do not fall, at equal steps of probability, the shortest first.",
        ),
    ] = msgspec.field(default_factory=lambda: [Duration("15m"), Duration("1h30m"), Duration("4h")])
    think: Annotated[
        Duration,
        Meta(description="The least pause between two sessions of a person; who comes again ends the first."),
    ] = Duration("30s")


class Screen(msgspec.Struct, frozen=True, kw_only=True):
    """What people do on their screens: a model of that name that comes with the kit, or one of a file."""

    weight: Annotated[float, Meta(gt=0, description="How many people, beside the other screens.")] = 1.0
    file: Annotated[
        str | None,
        Meta(description="A model as `telerelay-loadtest record` writes it, beside the scenario's file."),
    ] = None


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A class of lines between home and relay: it shapes what is asked for, and delays nothing."""

    weight: Annotated[float, Meta(gt=0, description="How many people, beside the other lines.")] = 1.0
    mbit: Annotated[
        float, Meta(gt=0, le=100_000, description="Mbit/s towards the home: pictures come no faster.")
    ] = 1_000.0
    rtt: Annotated[
        Duration,
        Meta(description="Time to the relay and back: pictures come no closer. No measured time holds it."),
    ] = Duration("0s")


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happens to a node; only to one of a demo's file."""

    at: Annotated[TimeOfDay, Meta(description="When.")]
    does: Annotated[
        Literal["kill", "drain"], Meta(description="kill: SIGKILL; drain: as `telerelay node drain`.")
    ]
    node: Annotated[int, Meta(ge=1, description="Which node of the demo's file, from 1 on.")] = 1
    lasts: Annotated[
        Duration | None, Meta(description="After how long a drain is taken back; without it never.")
    ] = None


class Goals(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be met, and when a run proves nothing."""

    set_up_success: Annotated[Share, Meta(description="Least share of set-ups that reach the desktop.")] = (
        0.999
    )
    set_up_p99: Annotated[
        Duration, Meta(description="From the moment that was meant to the desktop's first byte.")
    ] = Duration("1s")
    delay_p99: Annotated[
        Duration,
        Meta(
            description="From the moment of a message to its whole answer, or where none came to the end of "
            "its session."
        ),
    ] = Duration("50ms")
    kept: Annotated[Share, Meta(description="Least share of sessions that ended as they were meant to.")] = (
        0.999
    )
    late_p99: Annotated[
        Duration,
        Meta(
            description="The generator's own lateness at beginning visits beyond which the run is invalid: "
            "what comes late comes less densely than was asked for."
        ),
    ] = Duration("100ms")
    message_late_p99: Annotated[
        Duration,
        Meta(
            description="The same at sending messages: it counts in every delay, so it has to be small "
            "beside the goal for that."
        ),
    ] = Duration("25ms")
    own_share: Annotated[
        Share,
        Meta(
            description="The share of this machine's processors that the generator itself may use over ten "
            "seconds; beyond it the run is invalid: it measures itself."
        ),
    ] = 0.8


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """What a node is to have, for the table of how many are needed."""

    processors: Annotated[int, Meta(ge=1, le=1024, description="Processors of one node.")] = 4
    memory_gib: Annotated[float, Meta(gt=0, le=65536, description="Memory of one node.")] = 16.0
    descriptors: Annotated[
        int, Meta(ge=1, description="Open files that it may have; a session needs three sockets.")
    ] = 65_536
    busy: Annotated[
        float,
        Meta(gt=0, le=1, description="How much of its processors may be busy in the busiest ten seconds."),
    ] = 0.7


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What stands at the top of a scenario, and its sections."""

    title: Annotated[str, Meta(min_length=1, max_length=100, description="What is played, in a line.")]
    begins: Annotated[TimeOfDay, Meta(description="When the play begins.")]
    lasts: Annotated[
        Duration, Meta(description="How long it goes on; sessions that are open then are ended.")
    ]
    attendance: Annotated[
        Share, Meta(description="The share of the staff that works from home on an ordinary day.")
    ] = 1.0
    emergency: Annotated[
        float,
        Meta(ge=1, le=10, description="By how much more on this day, such as 1.4; everybody at the most."),
    ] = 1.0
    agents_over: Annotated[
        Duration,
        Meta(description="Over how long the office PCs come up."),
    ] = Duration("30s")
    agents_first: Annotated[
        bool,
        Meta(
            description="The play begins once all office PCs are there; false: with them, as after an outage."
        ),
    ] = True
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1, description="The same seed is the same morning.")] = 0
    organisation: dict[str, dict[str, Any]] = {}
    wave: dict[str, dict[str, Any]] = {}
    session: dict[str, Any] = {}
    screen: dict[str, dict[str, Any]] = {}
    link: dict[str, dict[str, Any]] = {}
    fault: dict[str, dict[str, Any]] = {}
    goal: dict[str, Any] = {}
    node: dict[str, Any] = {}


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario without a problem. `name`: its file's, without the ending; `folder`: where that lies."""

    name: str
    folder: Path
    head: Head
    organisations: Mapping[str, Organisation]
    waves: Mapping[str, Wave]
    session: Session
    screens: Mapping[str, Screen]
    links: Mapping[str, Link]
    faults: Mapping[str, Fault]
    goals: Goals
    node: Node

    @property
    def begin_ms(self) -> int:
        """When it begins, milliseconds of the day."""
        return self.head.begins.ms

    @property
    def end_ms(self) -> int:
        """When it ends, milliseconds of the day it began on."""
        return self.begin_ms + self.head.lasts.ms


SECTIONS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "organisation": Organisation,
    "wave": Wave,
    "screen": Screen,
    "link": Link,
    "fault": Fault,
}
"""Tables that have names of their own, `[wave.morning]`."""
SINGLE: Final[Mapping[str, type[msgspec.Struct]]] = {"session": Session, "goal": Goals, "node": Node}
"""Tables that there is one of."""


def find_scenario(name: str) -> Scenario:
    """A ready scenario by its name, or one of a file. Raises SettingsError that holds every problem."""
    if name in READY:
        with as_file(files("telerelay_loadtest") / "scenarios" / f"{name}.toml") as file:
            return read_scenario(file)
    return read_scenario(Path(name))


def read_scenario(file: Path) -> Scenario:
    """A scenario from its file. Raises SettingsError that holds every problem there is."""
    sections = SectionReader(file, CHECK)
    loaded = sections.load(Head, sections.values)
    sections.require_well()
    if loaded is None:
        raise AssertionError("a head that cannot be read is a problem")
    head = loaded.settings
    scenario = Scenario(
        name=file.stem,
        folder=file.parent,
        head=head,
        organisations=_tables(sections, "organisation", Organisation, head.organisation),
        waves=_tables(sections, "wave", Wave, head.wave),
        session=_table(sections, "session", Session, head.session),
        screens=_tables(sections, "screen", Screen, head.screen or {"office": {}}),
        links=_tables(sections, "link", Link, head.link or {"any": {}}),
        faults=_tables(sections, "fault", Fault, head.fault),
        goals=_table(sections, "goal", Goals, head.goal),
        node=_table(sections, "node", Node, head.node),
    )
    sections.require_well()
    sections.problems += _unfit(sections, scenario)
    sections.require_well()
    return scenario


def _tables(
    sections: SectionReader, name: str, kind: type[S], tables: Mapping[str, Mapping[str, Any]]
) -> dict[str, S]:
    loaded = {title_: sections.load(kind, table, name, title_) for title_, table in tables.items()}
    return {title_: one.settings for title_, one in loaded.items() if one is not None}


def _table(sections: SectionReader, name: str, kind: type[S], table: Mapping[str, Any]) -> S:
    loaded = sections.load(kind, table, name)
    # What is wrong with it was noted, and is raised before anybody sees this.
    return kind() if loaded is None else loaded.settings


def _unfit(sections: SectionReader, scenario: Scenario) -> Iterator[Problem]:
    """What is wrong with values that are well written."""
    for name in ("organisation", "wave"):
        if not getattr(scenario, f"{name}s"):
            yield Problem(str(scenario.folder / scenario.name), name, f"there is no {title((name, '…'))}")
    begin, end = scenario.begin_ms, scenario.end_ms
    within = f"between {clock(begin)} and {clock(end)}"
    for name, wave in scenario.waves.items():
        first, last = wave.reach_ms
        if first < begin or last > end:
            what = f"people of this wave come from {clock(first)} to {clock(last)}, and the play is {within}"
            yield Problem(sections.places.of("wave", name, "at").of_value(), "at", what)
    for name, fault in scenario.faults.items():
        if not begin <= fault.at.ms < end:
            where = sections.places.of("fault", name, "at").of_value()
            yield Problem(where, "at", f"the play is {within}")
        if fault.lasts is not None and fault.does != "drain":
            where = sections.places.of("fault", name, "lasts").of_key()
            yield Problem(where, "lasts", f"nothing takes back what {fault.does} does")
    lengths = [length.ms for length in scenario.session.length]
    if lengths != sorted(lengths):
        where = sections.places.of("session", "length").of_value()
        yield Problem(where, "length", "length: the values may not fall")


__all__ = ["READY", "Scenario", "SettingsError", "find_scenario", "read_scenario"]
