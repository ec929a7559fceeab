"""From a scenario to its plan: who comes when, for how long, with which screen over which line. Pure.

The same scenario is the same plan, down to the millisecond: whatever is drawn is drawn from its seed.
"""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, repeat
from operator import attrgetter
from statistics import NormalDist
from typing import Final

from telerelay_loadtest.scenario.file import Fault, Scenario, Wave

_LEAST_HOLD_MS: Final = 1_000
"""A session that is left as soon as it is there is none."""
_AT: Final = attrgetter("at_ms")


@dataclass(frozen=True, slots=True)
class Visit:
    """One session that is to be. Milliseconds from the beginning of the play.

    `organisation`: its number, `client`: the person's within it. `screen` and `link`: their names.
    """

    at_ms: int
    organisation: int
    client: int
    hold_ms: int
    screen: str
    link: str


@dataclass(frozen=True)
class Party:
    """An organisation in a plan: how many office PCs wait, and how many people ever come."""

    name: str
    agents: int
    clients: int


@dataclass(frozen=True)
class PlannedFault:
    """A fault and its moment, milliseconds from the beginning of the play."""

    name: str
    at_ms: int
    fault: Fault


@dataclass(frozen=True)
class Plan:
    """Visits in the order of their moments. `begin_ms`: the time of day that is played first."""

    begin_ms: int
    length_ms: int
    speed: float
    parties: tuple[Party, ...]
    visits: tuple[Visit, ...]
    faults: tuple[PlannedFault, ...]

    def part(self, begin_ms: int, length_ms: int) -> "Plan":
        """What arrives from one time of day on for so long. Sessions that began before are not played."""
        first, last = begin_ms - self.begin_ms, begin_ms - self.begin_ms + length_ms
        return replace(
            self,
            begin_ms=begin_ms,
            length_ms=length_ms,
            visits=tuple(
                replace(
                    visit, at_ms=visit.at_ms - first, hold_ms=min(visit.hold_ms, max(1, last - visit.at_ms))
                )
                for visit in self.visits
                if first <= visit.at_ms < last
            ),
            faults=tuple(
                replace(fault, at_ms=fault.at_ms - first)
                for fault in self.faults
                if first <= fault.at_ms < last
            ),
        )

    def faster(self, speed: float) -> "Plan":
        """The same people in less time: so many times as many a second, each for so much shorter."""
        return replace(
            self,
            length_ms=_shorter(self.length_ms, speed),
            speed=self.speed * speed,
            visits=tuple(
                replace(
                    visit, at_ms=_shorter(visit.at_ms, speed), hold_ms=max(1, _shorter(visit.hold_ms, speed))
                )
                for visit in self.visits
            ),
            faults=tuple(replace(fault, at_ms=_shorter(fault.at_ms, speed)) for fault in self.faults),
        )

    def most_live(self) -> int:
        """How many sessions there are at most at a time."""
        live = most = 0
        ends = [(visit.at_ms + visit.hold_ms, -1) for visit in self.visits]
        for _, change in sorted([*ends, *((visit.at_ms, 1) for visit in self.visits)]):
            live += change
            most = max(most, live)
        return most

    def densest(self, window_ms: int) -> int:
        """The most arrivals within a window of so many milliseconds that begins at an arrival."""
        moments = [visit.at_ms for visit in self.visits]
        most, first = 0, 0
        for last, moment in enumerate(moments):
            while moment - moments[first] >= window_ms:
                first += 1
            most = max(most, last - first + 1)
        return most


def compile_plan(scenario: Scenario) -> Plan:
    """The whole of a scenario."""
    head = scenario.head
    parties = tuple(
        Party(name, organisation.staff, attending(organisation.staff, head.attendance, head.emergency))
        for name, organisation in scenario.organisations.items()
    )
    visits = [visit for number in range(len(parties)) for visit in _visits(scenario, parties, number)]
    return Plan(
        begin_ms=scenario.begin_ms,
        length_ms=head.lasts.ms,
        speed=1.0,
        parties=parties,
        visits=tuple(sorted(visits, key=_AT)),
        faults=tuple(
            PlannedFault(name, fault.at.ms - scenario.begin_ms, fault)
            for name, fault in sorted(scenario.faults.items(), key=lambda item: item[1].at.ms)
        ),
    )


def attending(staff: int, attendance: float, emergency: float) -> int:
    """How many of the staff come: their share, more of them in an emergency, never more than there are."""
    return min(staff, round(staff * attendance * emergency))


def _visits(scenario: Scenario, parties: Sequence[Party], number: int) -> Iterator[Visit]:
    """Those of one organisation. Each has its own source of chance: one more changes no other's morning."""
    party = parties[number]
    chance = random.Random(f"{scenario.head.seed}/{party.name}")  # noqa: S311 — seeded on purpose
    arrivals: dict[int, list[int]] = {}
    begin, end = scenario.begin_ms, scenario.end_ms
    for wave in scenario.waves.values():
        people = chance.sample(range(party.clients), round(party.clients * wave.share))
        for person, moment in zip(people, _moments(wave, chance), strict=False):
            arrivals.setdefault(person, []).append(moment - begin)
    screens = {name: screen.weight for name, screen in scenario.screens.items()}
    links = {name: link.weight for name, link in scenario.links.items()}
    pause, lengths = scenario.session.think.ms, [length.ms for length in scenario.session.length]
    for person, moments in sorted(arrivals.items()):
        link, screen = _choose(links, chance), _choose(screens, chance)
        for at, following in _apart(moments, pause, end - begin):
            hold = max(1, min(_drawn(lengths, chance), following - at))
            yield Visit(at, number, person, hold, screen, link)


def _moments(wave: Wave, chance: random.Random) -> Iterator[int]:
    """When people of a wave come, milliseconds of the day, one after the other without end."""
    first, last = wave.reach_ms
    if first == last:
        yield from repeat(first)
    if wave.shape == "even":
        while True:
            yield chance.randrange(first, last)
    bell = NormalDist(wave.at.ms, wave.spread.ms)
    # Of the part of the bell that is not cut off, so that each wave is as large as it was said to be.
    least = bell.cdf(first)
    while True:
        drawn = round(bell.inv_cdf(chance.uniform(least, 1 - least)))
        yield min(max(drawn, first), last - 1)


def _apart(moments: Sequence[int], pause: int, end_ms: int) -> Iterator[tuple[int, int]]:
    """A person's sessions: when each begins and has to be over, since who comes again has left before."""
    begins: list[int] = []
    for moment in sorted(moments):
        begins.append(max(moment, begins[-1] + _LEAST_HOLD_MS + pause) if begins else moment)
    for at, following in pairwise([*begins, end_ms + pause]):
        if at < end_ms:
            yield at, following - pause


def _drawn(table: Sequence[int], chance: random.Random) -> int:
    """A value of a quantile table, between two of them on a straight line."""
    place = chance.random() * (len(table) - 1)
    lower = math.floor(place)
    if lower == place:
        return table[lower]
    return round(table[lower] + (table[lower + 1] - table[lower]) * (place - lower))


def _choose(weights: Mapping[str, float], chance: random.Random) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]


def _shorter(ms: int, speed: float) -> int:
    return int(ms / speed)
