"""What a forecast reads of a run's result.json."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from telerelay_endpoint.errors import TelerelayError

_USABLE: Final = ("MET", "UNMET")
"""Verdicts of runs that say something about the relay."""


class Spread(Struct, frozen=True):
    """A histogram: microseconds and how often; with what is told of it."""

    p50_ms: float
    p99_ms: float
    rows: Annotated[list[tuple[int, int]], Meta(min_length=1)]


class Still(Struct, frozen=True):
    """The nodes at one moment, seconds from the play's beginning: processor time since their start.

    `node_loop_s`: of that the event loops' own.
    """

    at_s: float
    node_cpu_s: float
    node_loop_s: float
    node_rss_bytes: float
    agents: int = 0


class Second(Struct, frozen=True):
    """One second; counts and processor time within it, the others at its end."""

    at_s: float
    set_ups: int
    ended: int
    sessions: int
    agents: int
    generator_cpu_s: float
    node_cpu_s: float
    node_loop_s: float
    node_rss_bytes: float


class Machine(Struct, frozen=True):
    """Where the generator ran, and whether nodes ran there too."""

    processors: Annotated[int, Meta(ge=1)]
    shared: bool


class Run(Struct, frozen=True):
    """One run. `alone`: before anybody came; `before`: once office PCs waited; `models`: shares of visits."""

    staff: int
    models: dict[str, float]
    machine: Machine
    stages: dict[str, Spread]
    set_up: Spread
    delay: Spread
    alone: Still
    before: Still
    seconds: Annotated[list[Second], Meta(min_length=2)]


@dataclass(frozen=True)
class Figures:
    """What a morning came to, or would come to. Processor time is that of all nodes."""

    set_up_p50_ms: float
    set_up_p99_ms: float
    delay_p50_ms: float
    delay_p99_ms: float
    cpu_s: float
    memory_mib: float
    most_sessions: int


class _Verdict(Struct):
    verdict: str


def read_run(path: Path) -> Run:
    """The run that wrote this file. Raises TelerelayError(USAGE) where it says nothing about the relay."""
    try:
        content = path.read_bytes()
        word = msgspec.json.decode(content, type=_Verdict).verdict
        if word not in _USABLE:
            raise TelerelayError("USAGE", f"{path}: a run that was {word} says nothing about the relay")
        return msgspec.json.decode(content, type=Run)
    except (OSError, msgspec.DecodeError) as error:
        what = f"{path} is no result of a run whose nodes were seen throughout: {error}"
        raise TelerelayError("USAGE", what) from None


def measured(run: Run) -> Figures:
    """What a run came to."""
    return Figures(
        set_up_p50_ms=run.set_up.p50_ms,
        set_up_p99_ms=run.set_up.p99_ms,
        delay_p50_ms=run.delay.p50_ms,
        delay_p99_ms=run.delay.p99_ms,
        cpu_s=sum(second.node_cpu_s for second in run.seconds),
        memory_mib=max(second.node_rss_bytes for second in run.seconds) / 2**20,
        most_sessions=max(second.sessions for second in run.seconds),
    )
