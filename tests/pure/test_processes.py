"""Programs that we started end with all that they started, and what they ended with is told."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterator
from pathlib import Path

import pytest

from telerelay_endpoint.processes import end_group
from tests.kit.condition import eventually

WITHIN_S = 10.0
# It and the child whose number it says stay whatever they are told: what is ignored is inherited.
STUBBORN = "trap '' TERM; sleep 60 & echo $!; wait"


@pytest.fixture(autouse=True)
def watched_by_descriptor() -> Iterator[None]:
    """As from Python 3.12 on: the loop itself takes a process's end, so that who comes first is no chance."""
    if sys.version_info >= (3, 12):
        yield
        return
    before = asyncio.get_child_watcher()  # type: ignore[deprecated]
    asyncio.set_child_watcher(asyncio.PidfdChildWatcher())  # type: ignore[deprecated]
    yield
    asyncio.set_child_watcher(before)  # type: ignore[deprecated]


async def started(*command: str) -> Process:
    return await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, process_group=0)


async def test_the_end_of_one_that_has_just_ended_is_told(caplog: pytest.LogCaptureFixture) -> None:
    process = await started("sh", "-c", "exit 7")
    # The loop hears nothing of it meanwhile.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 — that is the point
    await end_group(process, WITHIN_S)
    assert process.returncode == 7
    assert caplog.records == []


async def test_whoever_does_not_go_is_killed_with_all_that_it_started() -> None:
    process = await started("sh", "-c", STUBBORN)
    assert process.stdout is not None
    child = int(await process.stdout.readline())
    await end_group(process, 0.1)
    assert process.returncode == -signal.SIGKILL
    await eventually(lambda: not is_there(child), WITHIN_S)


def is_there(pid: int) -> bool:
    """Whether a process runs; one that is over has no program any more, even before somebody took its end."""
    return Path(f"/proc/{pid}/exe").exists()
