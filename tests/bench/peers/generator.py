"""The traffic generator as a process: sessions with both ends in it, and loads as they are ordered."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.bench.driver import Driver

_OPENING_S: Final = 120.0
"""The most that sessions take to be opened, thousands of them at a node."""


class LoadError(Exception):
    """Sessions could not be opened, or ended under their load."""


class Generator:
    """`telerelay-load traffic` with this way of making sessions."""

    def __init__(self, *way: str | Path) -> None:
        self._driver = Driver("traffic", *way)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._driver.pid

    def open(self, sessions: int) -> Mapping[str, Any]:
        """So many at least are open. Raises LoadError."""
        return self._ordered({"order": "open", "sessions": sessions}, 0.0)

    def load(
        self, order: Mapping[str, Any], watched: Mapping[str, Sequence[int]], *, warm_s: float, for_s: float
    ) -> Mapping[str, Any]:
        """What the load came to. Raises LoadError. This process is nobody's load."""
        window = {"warm_s": warm_s, "for_s": for_s, "watched": {**watched, "bench": [os.getpid()]}}
        return self._ordered({**order, **window}, warm_s + for_s)

    def _ordered(self, order: Mapping[str, Any], seconds: float) -> Mapping[str, Any]:
        began = time.monotonic()
        self._driver.tell(order)
        done = self._driver.wait("done", _OPENING_S + seconds, lambda line: line["at"] > began)
        if "failed" in done:
            raise LoadError(done["failed"])
        return done

    def stop(self) -> None:
        """End it with its sessions."""
        self._driver.stop()
