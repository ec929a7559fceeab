"""Locks the desktop once nobody looks at it from home any more, by a program of the desktop's own."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
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

    def __init__(self, command: Sequence[str], log: structlog.typing.FilteringBoundLogger) -> None:
        """An empty `command`: this desktop cannot be locked."""
        self._command = command
        self._log = log
        self._works = bool(command)
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
        status = await asyncio.to_thread(self._run)
        self._works = status == 0
        if self._works:
            self._log.info("desktop_locked")
        else:
            self._log.error("desktop_not_locked", status=status)

    def _run(self) -> int | None:
        """What the command ended with; 0 too while it stays, as a locker does that draws the lock itself."""
        if self._running is not None and self._running.poll() is None:
            return 0
        try:
            # Not asyncio's: that kills what runs when the agent goes, and with it the lock. In a session of
            # its own, so that Ctrl-C at the agent's terminal unlocks nothing either.
            self._running = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            return self._running.wait(_ANSWER_S)
        except subprocess.TimeoutExpired:
            return 0
        except OSError:
            return None
