"""Rows of HDR histograms, as the generator counts them in Rust: merged, subtracted, read at a share.

A row is the largest value that counts as this one, in microseconds, and how many there were. What is the same
value in two histograms is the same in all of them, so that they merge by adding.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

Rows: TypeAlias = Sequence[tuple[int, int]]


def merged(several: Iterable[Rows]) -> Rows:
    """All of them as one, in rising order."""
    counted: Counter[int] = Counter()
    for rows in several:
        for value, count in rows:
            counted[value] += count
    return sorted(counted.items())


def since(before: Rows, now: Rows) -> Rows:
    """What was counted after `before`; both are of one histogram."""
    earlier = dict(before)
    return [(value, count - earlier.get(value, 0)) for value, count in now if count > earlier.get(value, 0)]


def total(rows: Rows) -> int:
    """How many were counted."""
    return sum(count for _, count in rows)


def value_at(rows: Rows, share: float) -> int | None:
    """What `share` (0 to 1) of all did not exceed, in microseconds; None where nothing was counted."""
    wanted = share * total(rows)
    reached = 0
    for value, count in rows:
        reached += count
        if reached >= wanted:
            return value
    return None


def summary(rows: Rows) -> Mapping[str, float | int | None]:
    """What is told of a histogram: how many, and milliseconds at p50, p90, p99 and the last one."""
    return {
        "count": total(rows),
        "p50_ms": _ms(value_at(rows, 0.50)),
        "p90_ms": _ms(value_at(rows, 0.90)),
        "p99_ms": _ms(value_at(rows, 0.99)),
        "max_ms": _ms(rows[-1][0] if rows else None),
    }


def _ms(us: int | None) -> float | None:
    return None if us is None else us / 1000
