"""Keeps this PC from falling asleep while somebody may come in or is in, and at no other time.

systemd-inhibit(1) holds logind's lock for as long as a program below it runs: that is `cat`, whose input ends
with us, however we end. Only where `harden --apply` was agreed to.
"""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Final

import structlog

_INHIBIT: Final = (
    "systemd-inhibit",
    "--what=sleep:idle",
    "--who=telerelay-agent",
    "--why=this desktop can be reached through the relay",
    "--mode=block",
    "cat",
)


class Awake:
    """Holds the lock while it is needed. `consent`: a file that stands where it was agreed to."""

    def __init__(self, consent: Path, log: structlog.typing.FilteringBoundLogger) -> None:
        self._consent = consent
        self._log = log
        self._holding: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    def update(self, *, needed: bool) -> None:
        """Take the lock, keep it, or let it go."""
        if needed and self._consent.exists():
            if self._holding is None:
                self._holding = asyncio.create_task(self._hold())
        elif self._holding is not None:
            self._let_go(self._holding)

    async def close(self) -> None:
        """Let it go, and wait until it is gone."""
        self.update(needed=False)
        if self._ending:
            await asyncio.wait(self._ending)

    def _let_go(self, holding: asyncio.Task[None]) -> None:
        self._holding = None
        self._ending.add(holding)
        holding.add_done_callback(self._ending.discard)
        holding.cancel()

    async def _hold(self) -> None:
        try:
            # A group of its own, so that Ctrl-C at a terminal reaches us and we end it in order.
            process = await asyncio.create_subprocess_exec(
                *_INHIBIT, stdin=PIPE, stdout=DEVNULL, stderr=PIPE, process_group=0
            )
        except OSError as error:
            self._log.warning("not_kept_awake", reason=error.strerror)
            return
        if process.stdin is None or process.stderr is None:
            raise AssertionError("pipes were asked for")
        try:
            # It says something and ends only where logind refuses.
            said = await process.stderr.read()
            self._log.warning("not_kept_awake", reason=said.decode(errors="replace").strip())
        finally:
            process.stdin.close()
            await process.wait()
