"""When sessions speak: a long session of each screen, of which every visit hears a part of its own.

To draw the messages of each of ten thousand sessions takes minutes in Python, and tells nothing more.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from telerelay_loadtest.models.form import Model
from telerelay_loadtest.models.sampling import SIDES, Side, messages

LENGTH_NS: Final = 3_600_000_000_000
_US_NS: Final = 1_000
_ASKS_NS: Final = 1_000_000_000
"""How often a message up at the most asks for an answer, which is what delay is measured by."""

Times: TypeAlias = NDArray[np.int64]
"""In nanoseconds."""


@dataclass(frozen=True)
class Course:
    """The moments of a session's messages, in order, twice over. Whether each asks for an answer.

    Answers, which stand in for pictures, are not among them: they come when they can.
    """

    at: Times
    asks: NDArray[np.bool_]

    @property
    def rate(self) -> float:
        """Messages a second, both ways, answers too."""
        return (len(self.at) + int(self.asks.sum())) / (2 * LENGTH_NS / 1e9)

    def between(self, begins: Times, lasts: Times) -> tuple[Times, NDArray[np.bool_], NDArray[np.int64]]:
        """What is said in each of these parts.

        `begins`: below LENGTH_NS; `lasts`: no longer than that. Gives, for all parts together, the moment
        within its part of each message, whether it asks, and the number of its part.
        """
        first = np.searchsorted(self.at, begins)
        counts = np.searchsorted(self.at, begins + lasts) - first
        part = np.repeat(np.arange(len(begins)), counts)
        place = np.arange(len(part)) - np.repeat(counts.cumsum() - counts, counts) + first[part]
        return self.at[place] - begins[part], self.asks[place], part


def course(model: Model, seed: int) -> Course:
    """An hour of a screen. The same seed is the same hour."""
    up, down = (
        np.fromiter(takewhile(lambda at: at < LENGTH_NS, _moments(model, seed, side)), np.int64)
        for side in SIDES
    )
    asks = np.zeros(len(up), np.bool_)
    asked = -_ASKS_NS
    for place, at in enumerate(up):
        if at >= asked + _ASKS_NS:
            asks[place], asked = True, at
    # As the generator does: an answer stands in for the desktop's next picture.
    answers = np.unique(np.searchsorted(down, up[asks]))
    down = np.delete(down, answers[answers < len(down)])
    hour = np.concatenate([up, down])
    order = hour.argsort(kind="stable")
    hour, asks = hour[order], np.concatenate([asks, np.zeros(len(down), np.bool_)])[order]
    return Course(np.concatenate([hour, hour + LENGTH_NS]), np.tile(asks, 2))


def _moments(model: Model, seed: int, side: Side) -> Iterator[int]:
    return (message.at_us * _US_NS for message in messages(model, seed, side))
