"""What an administrator sees of the organisation: the node's list beside what was really signed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from telerelay.org.api import Device
from telerelay.org.publishing import Publisher
from telerelay_core import format_computer_id
from telerelay_endpoint.payloads import ComputerDocument, Grant, Stamp


@dataclass(frozen=True)
class ComputerState:
    """One computer: its newest document and stamp, both verified."""

    document: ComputerDocument
    stamp: Stamp | None
    revocations: int

    @property
    def computer(self) -> str:
        """As it is shown."""
        return format_computer_id(self.document.computer)

    @property
    def label(self) -> str:
        """As people call it."""
        return self.document.label

    @property
    def clients(self) -> list[str]:
        """The labels of who may reach it."""
        return [grant.label for grant in self.document.grants]

    @property
    def stamped(self) -> bool:
        """Whether the stamp names the newest document and revocation list."""
        return (
            self.stamp is not None
            and self.stamp.document_version == self.document.version
            and self.stamp.revocations_version == self.revocations
        )

    def record(self, time: Callable[[int], str]) -> dict[str, Any]:
        """For JSON."""
        return {
            "computer": self.computer,
            "label": self.label,
            "agent": self.document.agent.hex(),
            "version": self.document.version,
            "expires": time(self.document.expires),
            "stamped": self.stamped,
            "stamp_expires": time(self.stamp.expires) if self.stamp else None,
            "grants": [_grant_record(grant, time) for grant in self.document.grants],
        }


def computer_states(publisher: Publisher, computers: Iterable[bytes]) -> list[ComputerState]:
    """The state of each computer (IDs of 10 bytes). Raises TelerelayError for what does not verify."""
    newest = publisher.revocations()
    revocations = newest.version if newest else 0
    states = []
    for computer in computers:
        document = publisher.computer_document(computer)
        if document is not None:
            states.append(ComputerState(document, publisher.stamp(computer), revocations))
    return sorted(states, key=lambda state: state.label)


def device_record(device: Device, time: Callable[[int], str]) -> dict[str, Any]:
    """For JSON."""
    return {
        "device": device.device.hex(),
        "kind": device.kind,
        "label": device.label,
        "computer": None if device.computer is None else format_computer_id(device.computer),
        "enrolled": time(device.enrolled),
        "last_seen": None if device.last_seen is None else time(device.last_seen),
        "revoked": device.revoked,
        "flagged": device.flagged,
        "flagged_at": None if device.flagged_at is None else time(device.flagged_at),
    }


def _grant_record(grant: Grant, time: Callable[[int], str]) -> dict[str, Any]:
    return {
        "client": grant.client.hex(),
        "label": grant.label,
        "not_before": None if grant.not_before is None else time(grant.not_before),
        "not_after": None if grant.not_after is None else time(grant.not_after),
    }
