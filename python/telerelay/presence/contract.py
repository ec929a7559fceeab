"""What the node asks about agents' ready connections. A hint: the agent's ACCEPT is the truth."""

from collections.abc import Iterable
from typing import Protocol


class Presence(Protocol):
    """Which agent devices (IDs of 32 bytes) have a ready connection in this cluster."""

    def __len__(self) -> int:
        """How many have one, as far as this node knows."""

    def ready(self, device: bytes) -> None:
        """The device has a ready connection; told again, nothing changes."""

    def gone(self, device: bytes) -> None:
        """The device has none any more; told again, nothing changes."""

    def present(self, devices: Iterable[bytes]) -> set[bytes]:
        """Those of `devices` that have one."""
