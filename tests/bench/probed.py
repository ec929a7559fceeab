"""A node that can be looked into: how late its event loop is, and a thread that holds the GIL when told.

Runs `telerelay` with this beside it, since the product has no such door. At the Unix socket PROBE_SOCKET one
line asks and one line of JSON answers: `lateness` is what it was since the last question, `hold SECONDS`
keeps the GIL so long without using the processor.
"""

import asyncio
import ctypes
import json
import os
import socketserver
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import uvloop
from typing_extensions import override

from telerelay.cli.main import main

SOCKET_VARIABLE: Final = "PROBE_SOCKET"
_INTERVAL_S: Final = 0.001
"""The loop's own clock counts milliseconds; it may wake us that much too late."""


class Lateness:
    """The longest that the event loop came late, and the longest of that without waiting for a processor."""

    def __init__(self) -> None:
        self._longest_s = self._own_s = 0.0

    async def watch(self) -> None:
        """Look until cancelled. In the event loop's thread."""
        schedule = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        try:
            waited = _waited_s(schedule)
            while True:
                due = time.monotonic() + _INTERVAL_S
                await asyncio.sleep(_INTERVAL_S)
                late = max(time.monotonic() - due, 0.0)
                before, waited = waited, _waited_s(schedule)
                self._longest_s = max(self._longest_s, late)
                self._own_s = max(self._own_s, late - (waited - before))
        finally:
            os.close(schedule)

    def take(self) -> dict[str, float]:
        """What it was since the last call. A turn that ends just now may be counted in neither."""
        told = {"longest_s": self._longest_s, "own_s": self._own_s}
        self._longest_s = self._own_s = 0.0
        return told


def _waited_s(schedule: int) -> float:
    """How long the thread has waited for a processor (proc(5), schedstat)."""
    return int(os.pread(schedule, 64, 0).split()[1]) / 1e9


class _Door(socketserver.StreamRequestHandler):
    lateness: Lateness

    @override
    def handle(self) -> None:
        match self.rfile.readline().decode().split():
            case ["lateness"]:
                answer = self.lateness.take()
            case ["hold", seconds]:
                # PyDLL keeps the GIL during the call.
                ctypes.PyDLL(None).usleep(round(float(seconds) * 1e6))
                answer = {}
            case other:
                raise ValueError(f"asked {other}")
        self.wfile.write(json.dumps(answer).encode() + b"\n")


def _main() -> None:
    door = Path(os.environ[SOCKET_VARIABLE])
    # Of the node before, which may have been killed.
    door.unlink(missing_ok=True)
    lateness = _Door.lateness = Lateness()
    run = uvloop.run

    async def watched(work: Coroutine[Any, Any, Any]) -> Any:
        watching = asyncio.create_task(lateness.watch())
        try:
            return await work
        finally:
            watching.cancel()

    with (
        socketserver.ThreadingUnixStreamServer(str(door), _Door) as server,
        patch.object(uvloop, "run", lambda work: run(watched(work))),
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        main()


if __name__ == "__main__":
    _main()
