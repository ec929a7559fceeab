"""What routing needs to know about one organisation: read from SQL once, then kept up to date by version."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from telerelay.store.engine import Store
from telerelay.store.tables import (
    ComputerDocument,
    Grant,
    Organisation,
    RevocationList,
    RevokedDevice,
    Stamp,
)
from telerelay_endpoint.limits import LIMITS

ORGANISATIONS: Final = LIMITS["snapshots"]


Times: TypeAlias = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Freshness:
    """What a computer's newest stamp names, and until when it holds (Unix seconds)."""

    document_version: int
    revocations_version: int
    expires: int


@dataclass(frozen=True, slots=True)
class Computer:
    """What a computer's newest document says, as far as a node uses it (PROTOCOL.md §9).

    `grants`: client device → its times (not before, not after) in Unix seconds, None where there is no bound.
    """

    agent: bytes
    version: int
    expires: int
    services: tuple[str, ...]
    grants: Mapping[bytes, Sequence[Times]]
    stamp: Freshness | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One organisation at one version. `revocations_version` is 0 where there is no revocation list."""

    organisation: bytes
    version: int
    suspended: bool
    revocations_version: int
    revoked: frozenset[bytes]
    computers: Mapping[bytes, Computer]


class Snapshots:
    """The snapshots in use. `current` answers without waiting wherever nothing changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: OrderedDict[bytes, Snapshot] = OrderedDict()
        self._behind: dict[bytes, object] = {}
        """What was changed behind its snapshot, with a mark of its newest change."""
        self._turns: dict[bytes, asyncio.Lock] = {}

    def current(self, organisation: bytes) -> Snapshot | None:
        """The snapshot where it is held and up to date."""
        if organisation in self._behind:
            return None
        snapshot = self._held.get(organisation)
        if snapshot is not None:
            self._held.move_to_end(organisation)
        return snapshot

    def changed(self, organisation: bytes) -> None:
        """A transaction that raised the organisation's version was committed."""
        if organisation in self._held or organisation in self._turns:
            self._behind[organisation] = object()

    async def load(self, organisation: bytes) -> Snapshot | None:
        """The snapshot, read where needed; None for one not admitted. Raises TelerelayError(STORE)."""
        # Hundreds of requests of one organisation arrive together; one of them reads.
        turn = self._turns.setdefault(organisation, asyncio.Lock())
        try:
            async with turn:
                return self.current(organisation) or await self._read(organisation)
        finally:
            self._turns.pop(organisation, None)

    async def _read(self, organisation: bytes) -> Snapshot | None:
        # Until it is read, nobody is answered by the older one. A change meanwhile has another mark.
        mark = self._behind.get(organisation)
        async with self._store.reading() as session:
            snapshot = await read_snapshot(session, organisation, self._held.get(organisation))
        if self._behind.get(organisation) is mark:
            self._behind.pop(organisation, None)
        if snapshot is not None:
            self._held[organisation] = snapshot
            self._held.move_to_end(organisation)
            if len(self._held) > ORGANISATIONS:
                dropped, _ = self._held.popitem(last=False)
                self._behind.pop(dropped, None)
        return snapshot


async def read_snapshot(session: AsyncSession, organisation: bytes, held: Snapshot | None) -> Snapshot | None:
    """The organisation now: `held` and whatever changed behind its version."""
    row = await session.get(Organisation, organisation)
    if row is None:
        return None
    since = held.version if held else -1
    revocations = await session.scalar(
        select(RevocationList.version).where(RevocationList.organisation == organisation)
    )
    if held and held.revocations_version == (revocations or 0):
        revoked = held.revoked
    else:
        revoked = frozenset(
            await session.scalars(
                select(RevokedDevice.device).where(RevokedDevice.organisation == organisation)
            )
        )
    return Snapshot(
        organisation=organisation,
        version=row.version,
        suspended=row.suspended is not None,
        revocations_version=revocations or 0,
        revoked=revoked,
        computers={
            **(held.computers if held else {}),
            **await _computers(session, organisation, since),
        },
    )


async def _computers(session: AsyncSession, organisation: bytes, since: int) -> dict[bytes, Computer]:
    """Every computer whose document or stamp is newer than version `since`."""
    newer = (ComputerDocument.changed > since) | (Stamp.changed > since)
    same = (ComputerDocument.organisation == Stamp.organisation) & (
        ComputerDocument.computer == Stamp.computer
    )
    mine = ComputerDocument.organisation == organisation
    rows = (
        await session.execute(
            select(
                ComputerDocument.computer,
                ComputerDocument.agent,
                ComputerDocument.version,
                ComputerDocument.expires,
                ComputerDocument.services,
                Stamp.document_version,
                Stamp.revocations_version,
                Stamp.expires,
            )
            .outerjoin(Stamp, same)
            .where(mine, newer)
        )
    ).all()
    grants: dict[bytes, dict[bytes, list[Times]]] = {row[0]: {} for row in rows}
    granted = await session.execute(
        select(Grant.computer, Grant.client, Grant.not_before, Grant.not_after)
        .join(
            ComputerDocument,
            (Grant.organisation == ComputerDocument.organisation)
            & (Grant.computer == ComputerDocument.computer),
        )
        .outerjoin(Stamp, same)
        .where(mine, newer)
    )
    for computer, client, not_before, not_after in granted:
        grants[computer].setdefault(client, []).append((not_before, not_after))
    return {row[0]: _computer(*row[1:], grants=grants[row[0]]) for row in rows}


def _computer(
    agent: bytes,
    version: int,
    expires: int,
    services: str,
    # The outer join has none of these three where there is no stamp.
    named: int | None,
    revocations: int | None,
    until: int | None,
    *,
    grants: Mapping[bytes, Sequence[Times]],
) -> Computer:
    stamp = (
        None
        if named is None or revocations is None or until is None
        else Freshness(named, revocations, until)
    )
    return Computer(agent, version, expires, tuple(services.split()), grants, stamp)
