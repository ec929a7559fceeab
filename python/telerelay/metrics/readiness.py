"""Whether a node should be sent anybody, and what is wrong where not."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from telerelay_endpoint.limits import LIMITS

CHECK_S: Final = LIMITS["readiness_s"]

Check: TypeAlias = Callable[[], Awaitable[str | None]]
"""What is wrong, in plain words; None for nothing."""


class Readiness:
    """Asks its checks each time."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self._checks = checks

    async def reasons(self) -> list[str]:
        """Why the node is not ready, in the order of the checks. Empty where it is."""
        asked = [asyncio.ensure_future(check()) for check in self._checks]
        _, late = await asyncio.wait(asked, timeout=CHECK_S)
        for check in late:
            check.cancel()
        found = [check.result() for check in asked if check not in late]
        if late:
            found.append(f"{len(late)} of the checks did not end within {CHECK_S} s")
        return [reason for reason in found if reason is not None]
