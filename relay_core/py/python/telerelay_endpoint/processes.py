"""Ending a program that one of ours has started."""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import Process


async def end_group(process: Process, within_s: float) -> None:
    """End a process that leads a group of its own, with all that it started there; killed after `within_s`.

    Nothing happens to one whose end is known. The signal goes past `Process.terminate`, which looks first
    whether the process has ended: it would take away the end that the event loop waits for.
    """
    if process.returncode is not None:
        return
    _signal(process, signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), within_s)
    except TimeoutError:
        _signal(process, signal.SIGKILL)
        await process.wait()


def _signal(process: Process, number: signal.Signals) -> None:
    # Its group bears its number, which nobody else can get before the process was waited for.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
