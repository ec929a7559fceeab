"""What the allocator does with memory that was freed."""

import ctypes
import sys
from typing import Final

from telerelay_endpoint.limits import LIMITS

_M_TRIM_THRESHOLD: Final = -1
"""Of mallopt(3)."""
_KEPT: Final = 2 * LIMITS["window_screen"]


def keep_freed_memory() -> None:
    """Let malloc keep what a session frees, up to twice its window, instead of giving it back to the kernel.

    A session takes and frees its window with every few megabytes of screen. Whatever the kernel took back
    meanwhile it clears page by page when it is touched again: that costs more than encrypting what comes to
    stand there. Of glibc only; elsewhere nothing happens.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
