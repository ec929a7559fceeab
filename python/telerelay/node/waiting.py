"""Long polls: a request waits for news of its subject, for a bounded time, and not beyond the node's end."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, TypeVar

from telerelay_endpoint.limits import LIMITS

WAIT_MAXIMUM_S: Final = LIMITS["api_wait_s"]
WAITERS: Final = LIMITS["api_waiters"]

_T = TypeVar("_T")


class Waiting:
    """Whoever waits, by subject: an invite, an organisation's requests, its documents."""

    def __init__(self) -> None:
        self._waiters: dict[Hashable, set[asyncio.Event]] = {}
        self._patient: dict[asyncio.Event, None] = {}
        """Those who may wait on, whoever has waited longest first."""
        self._stopped = False
        self._hurried = 0

    def tell(self, subject: Hashable) -> None:
        """Something changed: everyone who waits for it looks again."""
        for event in self._waiters.get(subject, ()):
            event.set()

    def hurry(self) -> None:
        """Whoever has waited longest waits no more: somebody else needs the place."""
        longest = next(iter(self._patient), None)
        if longest is not None:
            del self._patient[longest]
            longest.set()
            self._hurried += 1

    def statistics(self) -> dict[str, int]:
        """Waits that were ended before their time."""
        return {"api_hurried": self._hurried}

    def stop(self) -> None:
        """The node ends: nobody waits any more."""
        self._stopped = True
        for events in self._waiters.values():
            for event in events:
                event.set()

    async def until(
        self,
        subject: Hashable,
        look: Callable[[], Awaitable[_T]],
        found: Callable[[_T], bool],
        timeout_s: float,
    ) -> _T:
        """What `look` sees as soon as `found` holds for it, or when `timeout_s` (at most 25 s) is over.

        Where WAITERS wait already, it is what `look` sees now; where it is hurried, what it sees then.
        """
        event = asyncio.Event()
        waiters = self._waiters.setdefault(subject, set())
        loop = asyncio.get_running_loop()
        wait_s = min(timeout_s, WAIT_MAXIMUM_S) if len(waiters) < WAITERS else 0
        deadline = loop.time() + wait_s
        waiters.add(event)
        self._patient[event] = None
        try:
            while True:
                # Before looking: what changes while we look sets it again.
                event.clear()
                seen = await look()
                left = deadline - loop.time()
                if found(seen) or left <= 0 or self._stopped or event not in self._patient:
                    return seen
                try:
                    async with asyncio.timeout(left):
                        await event.wait()
                except TimeoutError:
                    return seen
        finally:
            self._patient.pop(event, None)
            waiters.discard(event)
            if not waiters:
                self._waiters.pop(subject, None)
