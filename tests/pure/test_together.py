"""Items that are asked for together are worked on together, and fail or are given up each for itself."""

import asyncio
from collections.abc import Sequence

import pytest

from telerelay.node.together import Together
from telerelay_endpoint.errors import TelerelayError


class Bench:
    """Work that doubles numbers once `go` is set: odd ones are refused, with 13 the disk breaks."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.go = asyncio.Event()
        self.together: Together[int, int] = Together(self._work)

    async def _work(self, items: Sequence[int]) -> list[int]:
        self.groups.append(list(items))
        await self.go.wait()
        if 13 in items:
            raise TelerelayError("STORE")
        if any(item % 2 for item in items):
            raise TelerelayError("CERTIFICATE")
        return [2 * item for item in items]

    async def ask(self, *items: int) -> list["asyncio.Task[int]"]:
        """Ask for all of these; they are worked on, or wait."""
        tasks = [asyncio.create_task(self.together.do(item)) for item in items]
        await asyncio.sleep(0)
        return tasks

    async def outcomes(self, tasks: Sequence["asyncio.Task[int]"]) -> list[int | str]:
        """What came of them once the work may end: results, codes."""
        self.go.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        return [one.code if isinstance(one, TelerelayError) else _number(one) for one in ended]


def _number(result: int | BaseException) -> int:
    assert isinstance(result, int), result
    return result


async def test_what_comes_during_a_group_is_the_next_group() -> None:
    bench = Bench()
    tasks = await bench.ask(2) + await bench.ask(4, 6) + await bench.ask(8)
    assert await bench.outcomes(tasks) == [4, 8, 12, 16]
    assert bench.groups == [[2], [4, 6, 8]]
    assert await bench.outcomes(await bench.ask(10)) == [20]


async def test_nobody_is_refused_for_what_another_asked() -> None:
    bench = Bench()
    tasks = await bench.ask(2) + await bench.ask(4, 5, 6)
    assert await bench.outcomes(tasks) == [4, 8, "CERTIFICATE", 12]
    assert bench.groups == [[2], [4, 5, 6], [4], [5], [6]]


async def test_a_broken_disk_is_not_asked_again_for_each() -> None:
    bench = Bench()
    tasks = await bench.ask(2) + await bench.ask(4, 13, 6)
    assert await bench.outcomes(tasks) == [4, "STORE", "STORE", "STORE"]
    assert bench.groups == [[2], [4, 13, 6]]


@pytest.mark.parametrize("given_up", [0, 1, 2])
async def test_whoever_gives_up_takes_only_its_own_item_along(given_up: int) -> None:
    """The first is being worked on, the second has the next turn, the third waits."""
    bench = Bench()
    tasks = await bench.ask(2) + await bench.ask(4, 6)
    tasks[given_up].cancel()
    await asyncio.wait([tasks[given_up]])
    assert tasks[given_up].cancelled()
    rest = [task for task in tasks if not task.cancelled()]
    wanted = [2, 4, 6]
    wanted.pop(given_up)
    assert await bench.outcomes(rest) == [2 * item for item in wanted]


async def test_a_cancelled_group_is_done_by_whoever_is_next() -> None:
    bench = Bench()
    (first,) = await bench.ask(2)
    second, third = await bench.ask(4, 6)
    first.cancel()
    await asyncio.wait([first])
    # The second works on itself and the third.
    second.cancel()
    await asyncio.wait([second])
    assert await bench.outcomes([third]) == [12]
    assert bench.groups == [[2], [4, 6], [6]]
