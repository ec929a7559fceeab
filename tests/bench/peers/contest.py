"""Everybody in turn, round by round: what one has as weather, all have."""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final, Protocol

from tests.bench.benchmark import ROUNDS, Say
from tests.bench.peers.generator import Generator, LoadError
from tests.bench.peers.ground import CONGESTION_CONTROL
from tests.bench.peers.loads import Figures, Load, figures, is_disturbed

REPEATS: Final = 3
"""How often a disturbed round is done again; then the least disturbed of them counts."""
_SOCKETS: Final = ("ss", "-tinH", "state", "established")


class Contestant(Protocol):
    """A relay, or none, with a generator whose sessions go through it."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def generator(self) -> Generator: ...

    def watched(self) -> Mapping[str, Sequence[int]]:
        """Its processes, just before a load."""
        ...

    def check(self, done: Mapping[str, object]) -> None:
        """Raise where the load was not what it is told as."""
        ...


@dataclass
class Results:
    """Figures of all rounds by load and contestant, why somebody has none, how many stayed disturbed."""

    rounds: dict[tuple[str, str], list[Figures]] = field(default_factory=dict)
    failed: dict[tuple[str, str], str] = field(default_factory=dict)
    disturbed: int = 0

    def of(self, load: Load | str, name: str, figure: str) -> list[float]:
        """By round; nothing where it was not measured."""
        key = (load if isinstance(load, str) else load.id, name)
        return [one[figure] for one in self.rounds.get(key, []) if figure in one]

    def middle(self, load: Load | str, name: str, figure: str) -> float | None:
        """The median of the rounds."""
        values = self.of(load, name, figure)
        return median(values) if values else None


class Clock:
    """Tells how far a run is, and what is left at this pace."""

    def __init__(self, turns: int, say: Say, now: Callable[[], float] = time.monotonic) -> None:
        self._turns = turns
        self._done = 0
        self._say = say
        self._now = now
        self._first = 0.0

    def turn(self, what: str) -> None:
        """One more is over."""
        self._done += 1
        if self._done == 1:
            # Before it everybody was started, which happens once.
            self._first = self._now()
        left = (self._now() - self._first) / max(self._done - 1, 1) * max(self._turns - self._done, 0)
        self._say(f"{self._done}/{self._turns}, {left:.0f} s left: {what}")


def contest(
    loads: Sequence[Load],
    contestants: Sequence[Contestant],
    results: Results,
    clock: Clock,
    *,
    rounds: int = ROUNDS,
    must: frozenset[str] = frozenset(),
    carriers: Sequence[int] = (),
) -> None:
    """Every load in turn: each round all contestants, in an order that rotates.

    A peer that fails has no figures of that load; one of `must` fails the contest with LoadError. `carriers`:
    processes of the ground, which are nobody else's work.
    """
    for load in loads:
        for number in range(rounds):
            for contestant in _order(contestants, number):
                key = (load.id, contestant.name)
                if key in results.failed:
                    clock.turn(f"{load.title}: {contestant.name} is left out")
                    continue
                try:
                    results.rounds.setdefault(key, []).append(_measure(load, contestant, results, carriers))
                except LoadError as error:
                    if contestant.name in must:
                        raise
                    results.failed[key] = str(error)
                    results.rounds.pop(key, None)
                clock.turn(f"{load.title}, round {number + 1} of {rounds}: {contestant.name}")
        # What was opened for it stays open, and idle.
        require_cubic()


def _order(contestants: Sequence[Contestant], number: int) -> Sequence[Contestant]:
    first = number % len(contestants)
    turned = [*contestants[first:], *contestants[:first]]
    return turned[::-1] if number % 2 else turned


def _measure(load: Load, contestant: Contestant, results: Results, carriers: Sequence[int]) -> Figures:
    # What is missing is opened before anybody counts.
    contestant.generator.open(load.sessions)
    tries: list[Mapping[str, Any]] = []
    while len(tries) <= REPEATS:
        watched = {**contestant.watched(), "carriers": carriers}
        done = contestant.generator.load(load.order, watched, warm_s=load.warm_s, for_s=load.for_s)
        contestant.check(done)
        if not is_disturbed(done):
            return figures(load, done)
        tries.append(done)
    results.disturbed += 1
    return figures(load, min(tries, key=lambda done: done["others_s"] + done["stolen_s"]))


def require_cubic() -> None:
    """Raises LoadError where a connection of this network has another congestion control."""
    listed = subprocess.run(_SOCKETS, check=True, capture_output=True, text=True).stdout
    others = [
        line for line in listed.splitlines() if "cwnd:" in line and CONGESTION_CONTROL not in line.split()
    ]
    if others:
        raise LoadError(f"{len(others)} connections are not {CONGESTION_CONTROL}: {others[0].strip()}")
