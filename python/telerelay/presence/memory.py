"""Presence within one process: eight bytes an agent, and no Python object for any of them.

A device ID is a hash, so its first eight bytes are as good a name as any for a hint. Tens of thousands of
agents stand in one sorted array: a look-up halves it, a change moves part of it, and that is microseconds.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable


class PresenceInMemory:
    """Implements `Presence`."""

    def __init__(self) -> None:
        self._ready = array("Q")

    def __len__(self) -> int:
        return len(self._ready)

    def ready(self, device: bytes) -> None:
        """The device has a ready connection; told again, nothing changes."""
        name, place, known = self._find(device)
        if not known:
            self._ready.insert(place, name)

    def gone(self, device: bytes) -> None:
        """The device has none any more; told again, nothing changes."""
        _, place, known = self._find(device)
        if known:
            del self._ready[place]

    def present(self, devices: Iterable[bytes]) -> set[bytes]:
        """Those of `devices` that have one."""
        return {device for device in devices if self._find(device)[2]}

    def _find(self, device: bytes) -> tuple[int, int, bool]:
        """The device's name, its place in the array, and whether it stands there."""
        name = int.from_bytes(device[:8], "big")
        place = bisect_left(self._ready, name)
        return name, place, place < len(self._ready) and self._ready[place] == name
