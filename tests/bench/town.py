"""An organisation as routing knows it: so many computers, each of which one client may reach."""

from typing import Final

from telerelay.store.snapshot import Computer, Freshness, Snapshot

NOW: Final = 1_800_000_000
AGENT_SIZE: Final = 32
_ORGANISATION: Final = b"o" * 32


def client_of(number: int) -> bytes:
    """The client that may reach the computer with this number."""
    return number.to_bytes(32, "big")


def computer_of(number: int) -> bytes:
    """The computer with this number."""
    return number.to_bytes(10, "big")


def town(computers: int) -> Snapshot:
    """Everything in it is granted and current at `NOW`."""
    desks = {
        computer_of(number): Computer(
            agent=bytes(AGENT_SIZE),
            version=1,
            expires=NOW + 1,
            services=("rfb",),
            grants={client_of(number): [(None, None)]},
            stamp=Freshness(document_version=1, revocations_version=1, expires=NOW + 1),
        )
        for number in range(computers)
    }
    return Snapshot(
        organisation=_ORGANISATION,
        version=1,
        suspended=False,
        revocations_version=1,
        revoked=frozenset(),
        computers=desks,
    )
