"""Work that many ask for at the same time, done for all of them at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeAlias, TypeVar

from telerelay_endpoint.errors import TelerelayError

Item = TypeVar("Item")
Result = TypeVar("Result")
_Work: TypeAlias = Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]
_Group: TypeAlias = list[tuple[Item, asyncio.Future[Result]]]


class Together(Generic[Item, Result]):
    """Gathers items while a group of them is worked on; they make up the next group.

    `work` gives a result for each item, in their order, or fails for all. Where it fails by what was asked,
    each item is worked on alone: nobody is refused for what another asked.
    """

    def __init__(self, work: _Work[Item, Result]) -> None:
        self._work = work
        self._turn = asyncio.Lock()
        self._waiting: _Group[Item, Result] = []

    async def do(self, item: Item) -> Result:
        """The result of this item. Raises what `work` raises for it."""
        outcome: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, outcome))
        try:
            async with self._turn:
                # Else it was part of the group before.
                if not outcome.done():
                    await self._next_group()
        finally:
            # Whoever is cancelled takes the item along.
            outcome.cancel()
        return outcome.result()

    async def _next_group(self) -> None:
        group = [entry for entry in self._waiting if not entry[1].done()]
        self._waiting = []
        try:
            await self._settle(group)
        finally:
            # None, unless this was cancelled: then whoever has the next turn does what is left.
            self._waiting[:0] = [entry for entry in group if not entry[1].done()]

    async def _settle(self, group: _Group[Item, Result]) -> None:
        try:
            results = await self._work([item for item, _ in group])
        except TelerelayError as error:
            if len(group) > 1 and error.who != "infrastructure":
                for entry in group:
                    await self._settle([entry])
                return
            for _, outcome in group:
                if not outcome.done():
                    outcome.set_exception(error)
        else:
            for (_, outcome), result in zip(group, results, strict=True):
                if not outcome.done():
                    outcome.set_result(result)
