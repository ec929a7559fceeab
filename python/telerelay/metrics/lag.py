"""How late the event loop is: whatever holds it delays requests, and nothing else tells of it."""

import asyncio
import time
from typing import Final

from telerelay.metrics.distribution import Counted, Histogram
from telerelay_endpoint.limits import LIMITS

INTERVAL_S: Final = LIMITS["loop_lag_ms"] / 1000


class LoopLag:
    """Looks how late its own wake-ups are."""

    def __init__(self) -> None:
        self._late = Histogram()
        self._longest_s = 0.0

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            due = time.monotonic() + INTERVAL_S
            await asyncio.sleep(INTERVAL_S)
            # The loop's own clock counts milliseconds: it may wake us that much too early.
            late = max(time.monotonic() - due, 0.0)
            self._late.observe(late)
            self._longest_s = max(self._longest_s, late)

    def statistics(self) -> dict[str, int]:
        """The longest that the loop was late, in microseconds."""
        return {"loop_lag_longest_us": round(self._longest_s * 1e6)}

    def distributions(self) -> dict[str, Counted]:
        """How late it was, in seconds."""
        return {"loop_lag": self._late.read()}
