"""What repeated measurements say together: median, range, and how far a median may really be off."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal, Self, TypeAlias

CONFIDENCE: Final = 0.95

Side: TypeAlias = Literal["most", "least"]


@dataclass(frozen=True)
class Spread:
    """The middle and both ends of what the rounds gave."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Raises ValueError where there is no value."""
        if not values:
            raise ValueError("nothing was measured")
        return cls(median(values), min(values), max(values), len(values))


def ratios(ours: Sequence[float], peers: Sequence[float]) -> list[float]:
    """Ours by the peer's, by round. Raises ValueError where a round is missing or a peer has nothing."""
    if any(peer == 0 for peer in peers):
        raise ValueError("the peer measured nothing")
    return [mine / theirs for mine, theirs in zip(ours, peers, strict=True)]


def bound(values: Sequence[float], side: Side) -> float | None:
    """The most or the least that the median is with 95 % confidence, whatever the distribution.

    An order statistic: of n independent values, k lie on one side of the true median as heads fall. Fewer
    than five values bound nothing, and that is None.
    """
    ordered = sorted(values, reverse=side == "least")
    below = 0.0
    for position, value in enumerate(ordered):
        below += math.comb(len(ordered), position) / 2 ** len(ordered)
        if below >= CONFIDENCE:
            return value
    return None
