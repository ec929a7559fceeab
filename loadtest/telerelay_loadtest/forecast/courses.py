"""When sessions speak: a long session of each screen, of which every visit hears a part of its own.

To draw the messages of each of ten thousand sessions takes minutes in Python, and tells nothing more.
"""

from dataclasses import dataclass
from itertools import takewhile
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from telerelay_loadtest.models.form import Model
from telerelay_loadtest.models.sampling import SIDES, messages

LENGTH_NS: Final = 3_600_000_000_000
_US_NS: Final = 1_000
_ASKS_NS: Final = 1_000_000_000
"""How often a message up at the most asks for an answer, which is what delay is measured by."""

Times: TypeAlias = NDArray[np.int64]
"""In nanoseconds."""


@dataclass(frozen=True)
class Course:
    """The moments of a session's messages, in order, twice over. Whether each asks for an answer."""

    at: Times
    asks: NDArray[np.bool_]

    @property
    def rate(self) -> float:
        """Messages a second, both ways."""
        return len(self.at) / (2 * LENGTH_NS / 1e9)

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
    at, asks = [], []
    for side in SIDES:
        asked = -_ASKS_NS
        for message in takewhile(lambda said: said.at_us * _US_NS < LENGTH_NS, messages(model, seed, side)):
            moment = message.at_us * _US_NS
            is_ask = side == "up" and moment >= asked + _ASKS_NS
            asked = moment if is_ask else asked
            at.append(moment)
            asks.append(is_ask)
    order = np.argsort(at, kind="stable")
    hour = np.array(at, np.int64)[order]
    return Course(np.concatenate([hour, hour + LENGTH_NS]), np.tile(np.array(asks, np.bool_)[order], 2))
