"""Whether the node takes anything new, and what became of what ran when it stopped doing so (§5.9)."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

import structlog


class Drainable(Protocol):
    """The methods of `telerelay_core.Node` that draining needs."""

    def drain(self) -> None: ...
    def resume(self) -> None: ...
    def cut(self, organisation: bytes | None, device: bytes | None, code: str) -> int: ...
    def statistics(self) -> Mapping[str, int]: ...


class State(StrEnum):
    """What a node does with whoever comes."""

    SERVING = "serving"
    DRAINING = "draining"
    STOPPING = "stopping"


@dataclass(frozen=True)
class Drain:
    """A drain since `since` (Unix seconds): how many sessions ran, and how many of them were cut."""

    since: int
    sessions: int
    over_before: int
    cut: int = 0


@dataclass(frozen=True)
class Progress:
    """How far a drain has come. `ended`: by themselves; `cut`: by `--force`."""

    since: int
    sessions: int
    ended: int
    cut: int


class Draining:
    """The operator's `node drain`. One at a time: a second one is the first."""

    def __init__(self, data_plane: Drainable) -> None:
        self._data_plane = data_plane
        self._drain: Drain | None = None
        self._stopping = False
        self._log = structlog.get_logger("node")

    @property
    def state(self) -> State:
        """What the node does now."""
        if self._stopping:
            return State.STOPPING
        return State.SERVING if self._drain is None else State.DRAINING

    def begin(self) -> None:
        """Take nothing new; sessions go on for as long as they want."""
        if self._drain is None:
            self._data_plane.drain()
            counted = self.counted()
            self._drain = Drain(int(time.time()), counted["live_paths"], _over(counted))
            self._log.info("draining", sessions=self._drain.sessions)

    def cancel(self) -> None:
        """Take everybody again; of a node that is stopping nothing changes."""
        if self._drain is not None:
            self._drain = None
            self._data_plane.resume()
            self._log.info("the drain was taken back")

    def force(self) -> int:
        """End what still runs (`DRAINED`), without taking anything new; how many there were."""
        self.begin()
        cut = self._data_plane.cut(None, None, "DRAINED")
        if self._drain is not None:
            self._drain = replace(self._drain, cut=self._drain.cut + cut)
        return cut

    def stopping(self) -> None:
        """The process ends: nothing takes that back."""
        self._stopping = True

    def statistics(self) -> dict[str, int]:
        """Whether nothing new is taken."""
        return {"draining": int(self.state is not State.SERVING)}

    def counted(self) -> Mapping[str, int]:
        """What the data plane carries now."""
        return self._data_plane.statistics()

    def progress(self) -> Progress | None:
        """How far the drain has come; None where there is none."""
        if self._drain is None:
            return None
        over = _over(self.counted()) - self._drain.over_before
        cut = min(self._drain.cut, over)
        return Progress(self._drain.since, self._drain.sessions, over - cut, cut)


def _over(counted: Mapping[str, int]) -> int:
    """How many sessions' paths have ended since the node's start."""
    return counted["paths_joined"] - counted["live_paths"]
