"""Finding a device or computer by what a person types, and not believing the node about who is who."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from telerelay.org.api import Device
from telerelay.org.journal import Entry
from telerelay_core import CoreError, format_computer_id, parse_computer_id
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.invite_keys import InviteKind
from telerelay_endpoint.limits import LIMITS

PREFIX_MINIMUM: Final = LIMITS["prefix_digits"]


@dataclass(frozen=True)
class Registry:
    """The devices that the node lists, beside those that the keeper approved (by invite id)."""

    devices: tuple[Device, ...]
    approved: Mapping[bytes, Entry]

    def find(self, typed: str, kind: InviteKind | None = None) -> Device:
        """The device of a label, or of the beginning of a device ID in hex.

        Raises TelerelayError: USAGE when none or several fit, IDENTITY when another was approved.
        """
        candidates = [device for device in self.devices if kind is None or device.kind is kind]
        found = [device for device in candidates if device.label == typed]
        if not found and len(typed) >= PREFIX_MINIMUM:
            found = [device for device in candidates if device.device.hex().startswith(typed.lower())]
        return self._checked(_only(found, typed, kind or "device", _device))

    def find_computer(self, typed: str) -> Device:
        """The agent of a computer ID or label. Raises as `find`."""
        agents = [device for device in self.devices if device.kind is InviteKind.AGENT and not device.revoked]
        found = [device for device in agents if device.label == typed]
        if not found:
            try:
                computer = parse_computer_id(typed)
            except CoreError as error:
                problem = f"{typed!r} is no computer's label; {error.detail}"
                raise TelerelayError("USAGE", problem) from error
            found = [device for device in agents if device.computer == computer]
        return self._checked(_only(found, typed, InviteKind.AGENT, _computer))

    def is_approved(self, device: Device) -> bool:
        """Whether the journal on this machine knows the device: else there is only the node's word."""
        return any(entry.device == device.device for entry in self.approved.values())

    def _checked(self, device: Device) -> Device:
        shown = device.device.hex()[:12]
        for entry in self.approved.values():
            things = (entry.kind, entry.label, entry.computer)
            if entry.device == device.device:
                if things != (device.kind, device.label, device.computer):
                    raise TelerelayError(
                        "IDENTITY", f"the node renamed {shown}: approved was {entry.label!r}"
                    )
                return device
        for entry in self.approved.values():
            same_computer = entry.computer is not None and entry.computer == device.computer
            if entry.kind is device.kind and (same_computer or entry.label == device.label):
                approved = entry.device.hex()[:12]
                raise TelerelayError("IDENTITY", f"the node shows {shown} where {approved} was approved")
        return device


def _only(found: list[Device], typed: str, what: str, shown: Callable[[Device], str]) -> Device:
    """The one that was found. `shown` names a device so that the person can type it instead."""
    if len(found) == 1:
        return found[0]
    if not found:
        raise TelerelayError("USAGE", f"no {what} is called {typed!r}")
    names = ", ".join(f"{shown(device)} ({device.label})" for device in found)
    raise TelerelayError("USAGE", f"{typed!r} fits several: {names}")


def _device(device: Device) -> str:
    return device.device.hex()[:12]


def _computer(device: Device) -> str:
    return _device(device) if device.computer is None else format_computer_id(device.computer)
