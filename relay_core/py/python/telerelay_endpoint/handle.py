"""What a running handle of the Rust core tells, as an asynchronous stream of events."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Protocol, TypeVar

Event = TypeVar("Event")


class Handle(Protocol[Event]):
    """`telerelay_core.Agent` or `telerelay_core.Client`, as far as listening to it goes."""

    def event_fd(self) -> int:
        """An eventfd that becomes readable when there are events."""

    def events(self, limit: int = 256) -> list[Event]:
        """Those that wait; never blocks."""


async def told(handle: Handle[Event]) -> AsyncGenerator[Event, None]:
    """Every event in order. It does not end by itself: leave it at `Stopped`, and close it (`aclosing`)."""
    waiting: deque[Event] = deque()
    news = asyncio.Event()

    def take() -> None:
        waiting.extend(handle.events())
        news.set()

    loop = asyncio.get_running_loop()
    descriptor = handle.event_fd()
    loop.add_reader(descriptor, take)
    try:
        while True:
            await news.wait()
            news.clear()
            while waiting:
                yield waiting.popleft()
    finally:
        loop.remove_reader(descriptor)
