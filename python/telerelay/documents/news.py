"""What an agent is told on its ready connection: which documents there are (NEWS, PROTOCOL.md §4)."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from sqlalchemy import select, tuple_, union
from sqlalchemy.ext.asyncio import AsyncSession

from telerelay.store.tables import ComputerDocument, Device, NodeList, RevocationList, Stamp
from telerelay_endpoint.documents import Kind
from telerelay_endpoint.limits import LIMITS

CARRIED_MAXIMUM: Final = LIMITS["news_bytes"]

Agent: TypeAlias = tuple[bytes, bytes, bytes]
"""Organisation, computer ID, device."""


@dataclass(frozen=True)
class News:
    """One NEWS for one agent."""

    organisation: bytes
    device: bytes
    kind: Kind
    version: int
    document: bytes | None = None


async def news_for(session: AsyncSession, agents: Collection[Agent]) -> list[News]:
    """Everything that these agents may have missed; one look-up for all, of whatever organisations."""
    keys = [(organisation, computer) for organisation, computer, _ in agents]
    documents: dict[tuple[bytes, bytes], int] = {
        (row.organisation, row.computer): row.version
        for row in await session.execute(
            select(ComputerDocument.organisation, ComputerDocument.computer, ComputerDocument.version).where(
                tuple_(ComputerDocument.organisation, ComputerDocument.computer).in_(keys)
            )
        )
    }
    stamps: dict[tuple[bytes, bytes], tuple[int, bytes]] = {
        (organisation, computer): (epoch, body)
        for organisation, computer, epoch, body in await session.execute(
            select(Stamp.organisation, Stamp.computer, Stamp.epoch, Stamp.body).where(
                tuple_(Stamp.organisation, Stamp.computer).in_(keys)
            )
        )
    }
    revocations: dict[bytes, int] = {
        row.organisation: row.version
        for row in await session.execute(
            select(RevocationList.organisation, RevocationList.version).where(
                RevocationList.organisation.in_({organisation for organisation, _, _ in agents})
            )
        )
    }
    nodes = await session.scalar(select(NodeList.version))

    def told(agent: Agent) -> Iterator[News]:
        organisation, computer, device = agent
        # In the order in which an agent needs them: a stamp names versions of the two before it.
        if (version := revocations.get(organisation)) is not None:
            yield News(organisation, device, Kind.REVOCATIONS, version)
        if (version := documents.get((organisation, computer))) is not None:
            yield News(organisation, device, Kind.COMPUTER, version)
        if (stamp := stamps.get((organisation, computer))) is not None:
            epoch, body = stamp
            yield News(organisation, device, Kind.STAMP, epoch, _carried(body))
        if nodes is not None:
            yield News(organisation, device, Kind.NODES, nodes)

    return [news for agent in agents for news in told(agent)]


async def news_of_document(
    session: AsyncSession, organisation: bytes, kind: Kind, computer: bytes | None, version: int
) -> list[News]:
    """Whom to tell that a document was stored: its computer's agent, or all of the organisation."""
    # Enrolled here, or named by a document: an organisation may bring devices that enrolled elsewhere.
    enrolled = select(Device.id).where(Device.organisation == organisation, Device.computer.is_not(None))
    named = select(ComputerDocument.agent).where(ComputerDocument.organisation == organisation)
    if computer is not None:
        enrolled = enrolled.where(Device.computer == computer)
        named = named.where(ComputerDocument.computer == computer)
    body = None
    if kind is Kind.STAMP:
        body = await session.scalar(
            select(Stamp.body).where(Stamp.organisation == organisation, Stamp.computer == computer)
        )
    document = None if body is None else _carried(body)
    return [
        News(organisation, device, kind, version, document)
        for device in await session.scalars(union(enrolled, named))
    ]


def _carried(body: bytes) -> bytes | None:
    return body if len(body) <= CARRIED_MAXIMUM else None
