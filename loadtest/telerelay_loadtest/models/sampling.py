"""A model's messages, drawn from a seed: the reference that the generator's own sampler is compared with.

Both give the same integers: SplitMix64, doubles, and the order of operations that is written here.
"""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Final, Literal, NamedTuple, TypeAlias

from telerelay_loadtest.models.form import Model, State, Table

Side: TypeAlias = Literal["up", "down"]
"""Viewer to desktop, desktop to viewer."""
SIDES: Final[tuple[Side, Side]] = ("up", "down")
_MASK: Final = 2**64 - 1


class Message(NamedTuple):
    """One message of one end. `at_us`: since the session began."""

    at_us: int
    bytes: int


class SplitMix:
    """SplitMix64: Steele, Lea, Flood, Fast Splittable Pseudorandom Number Generators, 2014."""

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def next(self) -> int:
        """64 bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)

    def unit(self) -> float:
        """From 0 up to 1, which it never is."""
        return (self.next() >> 11) * 2.0**-53


def value(table: Table, unit: float) -> int:
    """The table's value at a probability below 1, rounded down."""
    place = bisect_right(table, unit, key=lambda knot: knot[0]) - 1
    (begin, low), (end, high) = table[place : place + 2]
    return int(low + (high - low) * ((unit - begin) / (end - begin)))


class Stay(NamedTuple):
    """A state, from one moment of the session to another, in microseconds."""

    state: State
    begin_us: int
    end_us: int


def stays(model: Model, seed: int) -> Iterator[Stay]:
    """The states of a session one after the other, without end."""
    chance, _, _ = _sources(seed)
    reaches = list(accumulate(state.weight for state in model.states))
    begin = 0
    while True:
        place = bisect_right(reaches, chance.unit() * reaches[-1])
        state = model.states[min(place, len(reaches) - 1)]
        end = begin + 1_000 * value(state.stay_ms, chance.unit())
        yield Stay(state, begin, end)
        begin = end


def messages(model: Model, seed: int, side: Side) -> Iterator[Message]:
    """What one end says in a session, without end: a model in which it never says anything yields nothing."""
    if all(getattr(state, side) is None for state in model.states):
        return
    chance = _sources(seed)[1 if side == "up" else 2]
    for stay in stays(model, seed):
        way = stay.state.up if side == "up" else stay.state.down
        if way is None:
            continue
        at = stay.begin_us + value(way.gap_us, chance.unit())
        while at < stay.end_us:
            yield Message(at, value(way.bytes, chance.unit()))
            at += value(way.gap_us, chance.unit())


def _sources(seed: int) -> tuple[SplitMix, SplitMix, SplitMix]:
    """Of stays, of what goes up, of what goes down: neither end's draws move the other's."""
    root = SplitMix(seed)
    return SplitMix(root.next()), SplitMix(root.next()), SplitMix(root.next())
