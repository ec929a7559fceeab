"""How much of what size there was: what the core and Python alike count in histograms."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

WAITS_S: Final = (
    *(0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Upper bounds of what somebody waits for, in seconds; the core has the same."""


class Distribution(Protocol):
    """`counts[i]` were above `upper[i - 1]` and at most `upper[i]`; the last was beyond all bounds.

    `upper` ascends and has one number fewer than `counts`; `sum` is all that was counted, added.
    """

    @property
    def upper(self) -> Sequence[float]: ...
    @property
    def counts(self) -> Sequence[int]: ...
    @property
    def sum(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Counted:
    """A `Distribution` as it stood at one moment."""

    upper: Sequence[float]
    counts: Sequence[int]
    sum: float


class Histogram:
    """Counts numbers by size, in one thread."""

    def __init__(self, upper: Sequence[float] = WAITS_S) -> None:
        self._upper = tuple(upper)
        self._counts = [0] * (len(self._upper) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one number."""
        self._counts[bisect_left(self._upper, value)] += 1
        self._sum += value

    def read(self) -> Counted:
        """What was counted by now."""
        return Counted(self._upper, tuple(self._counts), self._sum)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a node counts, at one moment: counters, gauges and distributions, each by its name.

    A name with a dot is one of a group: what stands behind the dot tells it from the others.
    """

    numbers: Mapping[str, int]
    distributions: Mapping[str, Distribution]
