"""What a benchmark is: a name that the issue and the design use, and a function that measures its rows."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from tests.bench.rows import Row

ROUNDS: Final = 5
"""So many bound a median with 95 % confidence (`rounds.bound`)."""

Say: TypeAlias = Callable[[str], None]
"""Is told what is being done, for whoever waits."""


@dataclass(frozen=True)
class Benchmark:
    """`measure` returns one row at least; the first row's ID is the benchmark's, others have it before a dot.

    Raises whatever goes wrong: what was not measured has no figure.
    """

    id: str
    title: str
    measure: Callable[[Say], Sequence[Row]]

    def is_meant_by(self, asked: str) -> bool:
        """Whether the benchmark, or one of its rows, is called so."""
        return asked == self.id or asked.startswith(f"{self.id}.")


def teller(identifier: str) -> Say:
    """Tells on standard error, with the time since the benchmark began."""
    began = time.monotonic()

    def say(what: str) -> None:
        sys.stderr.write(f"bench: {identifier} {time.monotonic() - began:5.0f} s  {what}\n")
        sys.stderr.flush()

    return say
