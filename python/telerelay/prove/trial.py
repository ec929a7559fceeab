"""One try, as the catalogue names it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from telerelay.prove.ground import Ground
from telerelay.prove.verdicts import Said, Verdict


@dataclass(frozen=True)
class Try:
    """`requirements`: the S-numbers that it is about.

    `essential`: without its pass nobody can say that the desktop is guarded. `run` raises NotTestedError.
    """

    id: str
    requirements: tuple[int, ...]
    sentence: Said
    run: Callable[[Ground], Awaitable[Verdict]]
    essential: bool = True
