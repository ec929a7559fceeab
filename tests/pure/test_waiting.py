"""Long polls: told at once, bounded in time and number, ended with the node."""

import asyncio
import time

from telerelay.node.waiting import WAITERS, Waiting


async def _start(waiting: Waiting, seen: list[int], timeout_s: float = 20) -> "asyncio.Task[int]":
    async def look() -> int:
        return seen[-1]

    task = asyncio.create_task(waiting.until("subject", look, lambda value: value > 0, timeout_s))
    await asyncio.sleep(0)
    return task


async def test_what_is_there_already_is_answered_at_once() -> None:
    assert await (await _start(Waiting(), [1])) == 1


async def test_whoever_waits_looks_again_when_told() -> None:
    waiting, seen = Waiting(), [0]
    tasks = [await _start(waiting, seen) for _ in range(3)]
    waiting.tell("another subject")
    waiting.tell("subject")  # nothing changed: they wait on
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    seen.append(7)
    waiting.tell("subject")
    assert await asyncio.gather(*tasks) == [7, 7, 7]
    assert waiting._waiters == {}


async def test_a_wait_ends_in_time_with_what_there_is() -> None:
    began = time.monotonic()
    assert await (await _start(Waiting(), [0], timeout_s=0.05)) == 0
    assert 0.05 <= time.monotonic() - began < 5


async def test_a_change_while_somebody_looks_is_not_missed() -> None:
    waiting, looked = Waiting(), 0

    async def look() -> int:
        nonlocal looked
        looked += 1
        if looked == 1:
            waiting.tell("subject")  # behind this look's back
            return 0
        return 1

    assert await waiting.until("subject", look, lambda value: value > 0, 20) == 1


async def test_too_many_do_not_wait() -> None:
    waiting, seen = Waiting(), [0]
    tasks = [await _start(waiting, seen) for _ in range(WAITERS)]
    assert await (await _start(waiting, seen)) == 0
    waiting.stop()
    await asyncio.gather(*tasks)


async def test_who_has_waited_longest_is_hurried_first() -> None:
    waiting, seen = Waiting(), [0]
    first, second, third = [await _start(waiting, seen) for _ in range(3)]
    waiting.hurry()
    assert await first == 0
    assert not second.done()
    seen.append(7)
    waiting.hurry()
    assert await second == 7
    assert not third.done()
    waiting.stop()
    await third
    # Nobody is left whom it could be.
    waiting.hurry()
    assert waiting.statistics() == {"api_hurried": 2}


async def test_the_end_of_the_node_ends_every_wait() -> None:
    waiting = Waiting()
    task = await _start(waiting, [0])
    waiting.stop()
    assert await task == 0
    assert await (await _start(waiting, [0])) == 0
