"""One line of the result: what was measured, against whom, and whether it is what was wanted."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec
from typing_extensions import override

from tests.bench.rounds import Side, Spread, bound, ratios

Unit: TypeAlias = Literal["bytes", "ms", "s", "1/s", "%", "count", "us", "x", "s/GB", "Gbit/s"]


class Goal(msgspec.Struct, frozen=True):
    """What a figure, or its ratio to the peer's, must not pass. `figure`: in the row's unit."""

    side: Side
    figure: float
    of: Literal["ours", "ratio"] = "ours"

    def is_met(self, value: float) -> bool:
        """Whether the value keeps to it."""
        return value <= self.figure if self.side == "most" else value >= self.figure

    @override
    def __str__(self) -> str:
        sign = "≤" if self.side == "most" else "≥"
        return f"{sign} {self.figure:g}{' × peer' if self.of == 'ratio' else ''}"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row. What was not measured is None, and `note` says why.

    `ours` and `peer` are medians in `unit`, `low` and `high` the range of ours over `rounds`; `ratio` is the
    median of ours by the peer's, and `ratio_bound` its 95 % bound on the side where it hurts.
    """

    id: str
    title: str
    unit: Unit
    ours: float | None = None
    low: float | None = None
    high: float | None = None
    rounds: int = 0
    peer: float | None = None
    ratio: float | None = None
    ratio_bound: float | None = None
    goal: str | None = None
    met: bool | None = None
    parts: Mapping[str, float] = msgspec.field(default_factory=dict)
    note: str = ""

    @property
    def is_measured(self) -> bool:
        """Whether there is a figure."""
        return self.ours is not None


def measured(
    identifier: str,
    title: str,
    unit: Unit,
    ours: Sequence[float],
    *,
    peer: Sequence[float] = (),
    goal: Goal | None = None,
    parts: Mapping[str, float] | None = None,
    note: str = "",
) -> Row:
    """The row of these rounds; `peer` has as many as `ours`, taken in turn with them."""
    mine = Spread.of(ours)
    # Without a goal, more is worse.
    side = goal.side if goal else "most"
    by_peer = ratios(ours, peer) if peer else []
    ratio = Spread.of(by_peer).median if by_peer else None
    met = None
    if goal is not None:
        value = mine.median if goal.of == "ours" else ratio
        if value is None:
            raise ValueError(f"{identifier} has a goal against a peer, and no peer")
        met = goal.is_met(value)
    return Row(
        id=identifier,
        title=title,
        unit=unit,
        ours=mine.median,
        low=mine.low,
        high=mine.high,
        rounds=mine.rounds,
        peer=Spread.of(peer).median if peer else None,
        ratio=ratio,
        ratio_bound=bound(by_peer, side),
        goal=str(goal) if goal else None,
        met=met,
        parts=parts or {},
        note=note,
    )


def unmeasured(identifier: str, title: str, unit: Unit, why: str) -> Row:
    """A row that has no figure, and says why."""
    return Row(id=identifier, title=title, unit=unit, note=why)
