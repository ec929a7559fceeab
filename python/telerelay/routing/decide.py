"""Where a connection request goes, decided from a snapshot: no I/O, no clock, one answer (PROTOCOL.md §5.3).

The node refuses early by what the organisation signed; the agent decides again and surely. Whoever is not
granted learns nothing: an unknown computer, another organisation's and one not granted are one answer.

Cython compiles this very file (`hatch_build.py`, with the types of `decide.pxd`); both give the same answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from telerelay.store.snapshot import Computer, Snapshot, Times

COMPILED: Final = not __file__.endswith(".py")
"""Whether this is the compiled one."""


@dataclass(frozen=True)
class Request:
    """What a client asks for. `organisation` and `client`: 32 bytes, `computer`: 10 bytes."""

    organisation: bytes
    client: bytes
    computer: bytes
    service: str


@dataclass(frozen=True)
class Deny:
    """Refused, with the code of §13 that the client is told."""

    code: str


@dataclass(frozen=True)
class Here:
    """Joined at this node, with the agent whose device ID (32 bytes) this is."""

    agent: bytes


Decision: TypeAlias = Deny | Here

_DENIED = Deny("DENIED")
_STALE = Deny("POLICY_STALE")


def route(request: Request, snapshot: Snapshot | None, now: int) -> Decision:
    """The decision on `request` at `now` (Unix seconds), by the snapshot of the client's organisation."""
    if snapshot is None or snapshot.organisation != request.organisation:
        return _DENIED
    if snapshot.suspended:
        return Deny("SUSPENDED")
    if request.client in snapshot.revoked:
        return Deny("REVOKED")
    computer = snapshot.computers.get(request.computer)
    if computer is None or not _granted(computer.grants.get(request.client, ()), now):
        return _DENIED
    if request.service not in computer.services:
        return _DENIED
    # Only who is granted gets here, so naming the document's state tells nobody of the computer.
    if not _current(computer, snapshot.revocations_version, now):
        return _STALE
    return Here(computer.agent)


def _granted(times: Sequence[Times], now: int) -> bool:
    for not_before, not_after in times:
        if (not_before is None or not_before <= now) and (not_after is None or now < not_after):
            return True
    return False


def _current(computer: Computer, revocations_version: int, now: int) -> bool:
    """What an agent asks for as well: a document, its stamp and the revocation list that the stamp names."""
    stamp = computer.stamp
    return (
        stamp is not None
        and now < computer.expires
        and now < stamp.expires
        and stamp.document_version == computer.version
        and 0 < revocations_version >= stamp.revocations_version
    )
