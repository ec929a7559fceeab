"""A model from readings: states told apart by rate and size, and how each of them spreads its messages.

What somebody does is told by how much the desktop shows in a second, and in pieces of which size (`_state`).
Nothing else is known of a session, since its content is not.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import groupby, pairwise
from math import fsum
from typing import Final, NamedTuple

from telerelay_loadtest.models.form import SCHEMA, Knot, Model, State, Table, Way
from telerelay_loadtest.models.sampling import Message
from telerelay_loadtest.recording.readings import Reading, messages_of

WINDOW_US: Final = 1_000_000
"""A stay is whole seconds: shorter, and a pause between two words would be one."""
LEFT_OUT_US: Final = 2_000_000
"""So long a session shakes hands and shows its first picture, which comes once and is no state."""
CLOSE: Final = 0.01
"""How far a table may be from what was measured: the mean distance between both, in parts of the mean."""
_MOST_KNOTS: Final = 200

_STILL_BYTES: Final = 200
"""What the desktop shows in a second in which nobody does anything: a cursor that blinks."""
_FILM_BYTES: Final = 200_000
"""What it shows in a second at the least while something moves by itself."""
_LETTER_BYTES: Final = 400
"""What a key shows at the most, at the mean; a page that moves shows more at a time."""


class Spell(NamedTuple):
    """A stay as it was recorded, with what both ends said; moments count from the session's begin."""

    state: str
    begin_us: int
    end_us: int
    up: Sequence[Message]
    down: Sequence[Message]


def fit(name: str, source: str, readings: Sequence[Reading]) -> Model:
    """The model of a session. Raises ValueError for one that is too short to be told apart."""
    spells = spells_of(readings)
    if not spells:
        raise ValueError(f"a session is told apart from {(LEFT_OUT_US + WINDOW_US) // 1_000_000} s on")
    states = []
    for state in sorted({spell.state for spell in spells}):
        mine = [spell for spell in spells if spell.state == state]
        stay_ms = table([(spell.end_us - spell.begin_us) // 1_000 for spell in mine])
        up = _way(mine, [spell.up for spell in mine])
        down = _way(mine, [spell.down for spell in mine])
        states.append(State(state, len(mine) / len(spells), stay_ms, up, down))
    return Model(SCHEMA, name, source, tuple(states))


def spells_of(readings: Sequence[Reading]) -> list[Spell]:
    """The recorded stays, one after the other, without the beginning and without a last part of a second."""
    if not readings:
        return []
    up, down = list(messages_of(readings, "up")), list(messages_of(readings, "down"))
    begins = range(LEFT_OUT_US, readings[-1].at_us - WINDOW_US + 1, WINDOW_US)
    told = [(_state(_within(down, begin, begin + WINDOW_US)), begin) for begin in begins]
    spells = []
    for state, seconds in groupby(told, key=lambda second: second[0]):
        inside = [begin for _, begin in seconds]
        begin, end = inside[0], inside[-1] + WINDOW_US
        spells.append(Spell(state, begin, end, _within(up, begin, end), _within(down, begin, end)))
    return spells


def table(values: Sequence[int], weights: Sequence[float] | None = None) -> Table:
    """The quantile function of what was measured, with as few knots as `CLOSE` allows.

    `weights`: how much each value counts, in sum 1; all alike where there are none.
    """
    shares = weights or [1 / len(values)] * len(values)
    ordered = sorted(zip(values, shares, strict=True))
    # The whole function: each value in the middle of its share of the probability, both ends to the ends.
    whole: list[Knot] = [(0.0, ordered[0][0])]
    reached = 0.0
    for value, share in ordered:
        whole.append((reached + share / 2, value))
        reached += share
    whole.append((1.0, ordered[-1][0]))
    allowed = CLOSE * fsum(value * share for value, share in ordered)
    kept = [0, len(whole) - 1]
    while len(kept) < min(_MOST_KNOTS, len(whole)):
        apart = [_apart(whole, begin, end) for begin, end in pairwise(kept)]
        if sum(distance for distance, _ in apart) <= allowed:
            break
        _, worst = max(apart)
        kept.insert(bisect_left(kept, worst), worst)
    return tuple((round(whole[place][0], 6), whole[place][1]) for place in kept)


def _apart(whole: Sequence[Knot], begin: int, end: int) -> tuple[float, int]:
    """The area between the function and a straight line from knot to knot; the knot farthest off."""
    (left, low), (right, high) = whole[begin], whole[end]
    area, farthest, place, before = 0.0, -1.0, begin, 0.0
    for knot in range(begin + 1, end + 1):
        probability, value = whole[knot]
        off = abs(value - (low + (high - low) * (probability - left) / (right - left)))
        area += (off + before) / 2 * (probability - whole[knot - 1][0])
        if off > farthest and knot < end:
            farthest, place = off, knot
        before = off
    return area, place


def _way(spells: Sequence[Spell], said: Sequence[Sequence[Message]]) -> Way | None:
    """None for an end that said nothing. The first gap of a stay counts from its begin."""
    gaps: list[int] = []
    cut: list[int] = []
    for spell, messages in zip(spells, said, strict=True):
        moments = [spell.begin_us, *(message.at_us for message in messages)]
        gaps += [after - before for before, after in pairwise(moments)]
        cut.append(spell.end_us - moments[-1])
    if not any(gaps):
        return None
    return Way(
        table(*_with_those_cut_off(gaps, cut)),
        table([message.bytes for messages in said for message in messages]),
    )


def _with_those_cut_off(gaps: Sequence[int], cut: Sequence[int]) -> tuple[list[int], list[float]]:
    """Gaps and how much each counts, where ends of stays cut off others, of which only the least is known.

    Without those a state would be livelier than it was: long gaps are cut off more often. The estimator of
    Kaplan and Meier (1958), with Efron's rule (1967) that the longest of all counts as if it were whole.
    """
    ordered = sorted([*((gap, False) for gap in gaps), *((gap, True) for gap in cut)])
    values, weights, left = [], [], 1.0
    for place, (gap, is_cut) in enumerate(ordered):
        waiting = len(ordered) - place
        if not is_cut or waiting == 1:
            values.append(gap)
            weights.append(left / waiting)
            left -= left / waiting
    return values, weights


def _within(messages: Sequence[Message], begin: int, end: int) -> Sequence[Message]:
    moments = [message.at_us for message in messages]
    return messages[bisect_left(moments, begin) : bisect_left(moments, end)]


def _state(shown: Sequence[Message]) -> str:
    """What somebody does in a second in which the desktop shows this."""
    size = sum(message.bytes for message in shown)
    if size < _STILL_BYTES:
        return "idle"
    if size >= _FILM_BYTES:
        return "video"
    return "typing" if size / len(shown) < _LETTER_BYTES else "scrolling"
