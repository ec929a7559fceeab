"""What a play comes to: whether the goals were met, and whether it says anything at all. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Final

from telerelay_loadtest.play.histogram import value_at
from telerelay_loadtest.play.observing import Second, Standing
from telerelay_loadtest.scenario.file import Goals

_BUSY_S: Final = 10
"""Over so many seconds in a row the generator may not have kept the processors to itself."""
_DONE: Final = "DONE"


class Word(StrEnum):
    """A play in one word."""

    MET = "MET"
    UNMET = "UNMET"
    INVALID = "INVALID"
    """The generator was the bottleneck: nothing is said about the relay."""
    PARTIAL = "PARTIAL"
    """It was ended before its time."""


@dataclass(frozen=True)
class Finding:
    """A goal beside what was measured, None where nothing was; in `unit`: `share` or `ms`."""

    name: str
    goal: float
    measured: float | None
    unit: str
    met: bool


@dataclass(frozen=True)
class Verdict:
    """`goals`: about the relay; `proof`: about the generator."""

    word: Word
    goals: tuple[Finding, ...]
    proof: tuple[Finding, ...]


def judge(
    goals: Goals, standing: Standing, seconds: Sequence[Second], planned: int, processors: int, *, whole: bool
) -> Verdict:
    """`planned`: visits; `processors`: of the machine that generates; `whole`: it went on to its end."""
    about_relay = tuple(_of_relay(goals, standing))
    about_us = tuple(_of_generator(goals, standing, seconds, planned, processors))
    if not whole:
        word = Word.PARTIAL
    elif not all(finding.met for finding in about_us):
        word = Word.INVALID
    else:
        word = Word.MET if all(finding.met for finding in about_relay) else Word.UNMET
    return Verdict(word, about_relay, about_us)


def _of_relay(goals: Goals, standing: Standing) -> Iterator[Finding]:
    ended = sum(standing.ended.values())
    # Of all that began: who still waits when the play is over was not served either.
    yield _at_least("set_up_success", goals.set_up_success, _share(standing.opened, standing.begun))
    yield _at_most("set_up_p99", goals.set_up_p99.ms, _p99_ms(standing, "set_up"))
    yield _at_most("delay_p99", goals.delay_p99.ms, _p99_ms(standing, "delay"))
    yield _at_least("kept", goals.kept, _share(standing.ended.get(_DONE, 0), ended))


def _of_generator(
    goals: Goals, standing: Standing, seconds: Sequence[Second], planned: int, processors: int
) -> Iterator[Finding]:
    # One that was never begun is late without an end, and in no histogram.
    yield _at_least("begun", 1.0, _share(standing.begun, planned))
    yield _at_most("late_p99", goals.late_p99.ms, _p99_ms(standing, "late") or 0.0)
    yield _at_most("message_late_p99", goals.message_late_p99.ms, _p99_ms(standing, "message_late") or 0.0)
    busiest = busiest_share(seconds, processors)
    yield Finding("own_share", goals.own_share, busiest, "share", met=busiest <= goals.own_share)


def busiest_share(seconds: Sequence[Second], processors: int) -> float:
    """The most of this machine's processors that the generator had over ten seconds in a row."""
    used = [0.0, *accumulate(second.generator_cpu_s for second in seconds)]
    moments = [0.0, *(second.at_s for second in seconds)]
    length = min(_BUSY_S, len(seconds))
    shares = [
        (used[first + length] - used[first]) / ((moments[first + length] - moments[first]) * processors)
        for first in range(len(used) - length)
        if moments[first + length] > moments[first]
    ]
    return round(max(shares, default=0.0), 4)


def _at_least(name: str, goal: float, measured: float | None) -> Finding:
    return Finding(name, goal, measured, "share", met=measured is not None and measured >= goal)


def _at_most(name: str, goal_ms: float, measured_ms: float | None) -> Finding:
    return Finding(name, goal_ms, measured_ms, "ms", met=measured_ms is not None and measured_ms <= goal_ms)


def _share(some: int, every: int) -> float | None:
    return round(some / every, 6) if every else None


def _p99_ms(standing: Standing, name: str) -> float | None:
    us = value_at(standing.histograms[name], 0.99)
    return None if us is None else us / 1000
