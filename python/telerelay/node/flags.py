"""What an administrator should look at: a device that two machines use (PROTOCOL.md §5.8)."""

from typing import Final

from sqlalchemy import ColumnElement

from telerelay.store.tables import Device
from telerelay_endpoint.limits import LIMITS

FLAG_S: Final = LIMITS["flag_d"] * 86_400


def is_flagged(now: int) -> ColumnElement[bool]:
    """Devices whose flag stands. `now`: Unix seconds."""
    return Device.flagged_at > now - FLAG_S


def stands(device: Device, now: int) -> bool:
    """Whether the device's flag does. Two machines raise it every five minutes; it falls by itself."""
    return device.flagged_at is not None and device.flagged_at > now - FLAG_S
