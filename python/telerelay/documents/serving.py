"""Gives stored documents out, and tells which stamps are behind (PROTOCOL.md §11)."""

from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from telerelay.store.tables import ComputerDocument, NodeList, RevocationList, Stamp
from telerelay_endpoint.documents import Kind


@dataclass(frozen=True)
class Changes:
    """What a keeper has to stamp. `next` rises with each new document or revocation list, not with stamps."""

    next: int
    computers: tuple[bytes, ...]
    revocations: int


async def stored_document(
    session: AsyncSession, organisation: bytes, kind: Kind, computer: bytes | None
) -> bytes | None:
    """The newest document of this kind: of `computer` (10 bytes), or where it is None of the organisation."""
    query = {
        Kind.COMPUTER: select(ComputerDocument.body).where(
            ComputerDocument.organisation == organisation, ComputerDocument.computer == computer
        ),
        Kind.STAMP: select(Stamp.body).where(Stamp.organisation == organisation, Stamp.computer == computer),
        Kind.REVOCATIONS: select(RevocationList.body).where(RevocationList.organisation == organisation),
        Kind.NODES: select(NodeList.body),
    }[kind]
    return await session.scalar(query)


async def revocations_version(session: AsyncSession, organisation: bytes) -> int:
    """Version of the organisation's newest revocation list; 0 where there is none."""
    query = select(RevocationList.version).where(RevocationList.organisation == organisation)
    return await session.scalar(query) or 0


async def last_change(session: AsyncSession, organisation: bytes) -> int:
    """A number that rises whenever a computer document or revocation list is stored."""
    documents = await session.scalar(
        select(func.max(ComputerDocument.changed)).where(ComputerDocument.organisation == organisation)
    )
    revocations = await session.scalar(
        select(RevocationList.changed).where(RevocationList.organisation == organisation)
    )
    return max(documents or 0, revocations or 0)


async def changes(session: AsyncSession, organisation: bytes) -> Changes:
    """Computers whose newest stamp does not name their document's version and the revocation list's."""
    revocations = await revocations_version(session, organisation)
    behind = await session.scalars(
        select(ComputerDocument.computer)
        .outerjoin(
            Stamp,
            (Stamp.organisation == ComputerDocument.organisation)
            & (Stamp.computer == ComputerDocument.computer),
        )
        .where(
            ComputerDocument.organisation == organisation,
            or_(
                Stamp.epoch.is_(None),
                Stamp.document_version != ComputerDocument.version,
                Stamp.revocations_version != revocations,
            ),
        )
        .order_by(ComputerDocument.computer)
    )
    return Changes(await last_change(session, organisation), tuple(behind), revocations)
