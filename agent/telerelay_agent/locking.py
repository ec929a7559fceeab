"""Locks the desktop once nobody looks at it from home any more, by a program of the desktop's own."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS

_ANSWER_S: Final = LIMITS["desktop_lock_s"]
# Each asks a program of the running desktop, says by its status whether that heard it, and is content with a
# desktop that is locked already. `loginctl lock-session` is none: it cannot tell whether anybody listens.
KNOWN: Final = (
    ("xscreensaver-command", "-lock"),
    ("xfce4-screensaver-command", "--lock"),
    ("mate-screensaver-command", "--lock"),
    ("cinnamon-screensaver-command", "--lock"),
    ("gnome-screensaver-command", "--lock"),
    ("light-locker-command", "--lock"),
)
_ASK: Final = {*(command[0] for command in KNOWN), "loginctl"}
"""Programs that only ask another to lock: one that does not come to an end has locked nothing."""


def find_command(
    chosen: Sequence[str],
    environment: Mapping[str, str] = os.environ,
    installed: Callable[[str], str | None] = shutil.which,
) -> tuple[str, ...]:
    """The command that locks the desktop: what was chosen, else a known one; empty where there is none.

    Raises TelerelayError(USAGE) where what was chosen is not there.
    """
    if chosen:
        if installed(chosen[0]) is None:
            raise TelerelayError("USAGE", f"desktop_lock_command: {chosen[0]} is not installed")
        return tuple(chosen)
    if not environment.get("DISPLAY"):
        return ()
    return next((command for command in KNOWN if installed(command[0])), ())


class Locker:
    """Runs the command. One that failed is not promised again: nobody is let in under the rule any more."""

    def __init__(
        self,
        command: Sequence[str],
        log: structlog.typing.FilteringBoundLogger,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """An empty `command`: this desktop cannot be locked. `failed` is told when it could not be."""
        self._command = command
        self._log = log
        self._failed = failed
        self._works = bool(command)
        # One that draws the lock itself stays as long as it is locked.
        self._may_stay = bool(command) and Path(command[0]).name not in _ASK
        self._running: subprocess.Popen[bytes] | None = None
        self._locking: asyncio.Task[None] | None = None

    @property
    def works(self) -> bool:
        """Whether the desktop can be locked, as far as is known."""
        return self._works

    def lock(self) -> None:
        """Lock the desktop now. Returns at once."""
        if self._locking is None or self._locking.done():
            self._locking = asyncio.create_task(self._lock())

    async def finish(self) -> None:
        """Wait until what was begun is done."""
        if self._locking is not None:
            await self._locking

    async def _lock(self) -> None:
        why_not = await asyncio.to_thread(self._run)
        if why_not is None:
            self._log.info("desktop_locked")
            return
        self._works = False
        self._log.error("desktop_not_locked", reason=why_not)
        self._failed()

    def _run(self) -> str | None:
        """Why the command did not lock the desktop; None: it did, or stays because it draws the lock."""
        if not self._command:
            return "no program is known that does it"
        if self._may_stay and self._running is not None and self._running.poll() is None:
            return None
        try:
            # Not asyncio's: that kills what runs when the agent goes, and with it the lock. In a session of
            # its own, so that Ctrl-C at the agent's terminal unlocks nothing either.
            running = self._running = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            return str(error)
        try:
            status = running.wait(_ANSWER_S)
        except subprocess.TimeoutExpired:
            if self._may_stay:
                return None
            running.kill()
            with suppress(subprocess.TimeoutExpired):
                running.wait(_ANSWER_S)
            return f"{self._command[0]} gave no answer within {_ANSWER_S} s"
        return None if status == 0 else f"{self._command[0]} ended with status {status}"
