"""Waiting for what must come true: tests never sleep for a fixed time."""

import asyncio
from collections.abc import Callable
from typing import Final

# How often a condition is looked at when nothing tells of the change.
INTERVAL: Final = 0.01


async def eventually(check: Callable[[], bool], timeout: float = 10.0) -> None:
    """Return as soon as `check()` holds. Raises TimeoutError after `timeout` seconds."""
    async with asyncio.timeout(timeout):
        while not check():
            await asyncio.sleep(INTERVAL)
