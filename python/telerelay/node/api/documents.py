"""What endpoints fetch: an agent its documents, a client the computers it is granted (PROTOCOL.md §11)."""

from fastapi import APIRouter, Response
from sqlalchemy import or_, select

from telerelay.documents.serving import stored_document
from telerelay.node.api.caller import Acting, Agent, Client, MissingError
from telerelay.node.api.fields import Body, Computer, Label
from telerelay.store.tables import ComputerDocument, Grant
from telerelay_endpoint.documents import Kind

router = APIRouter(tags=["endpoints"])

COSE = "application/cose"


class CoseResponse(Response):
    """A signed document, as it was posted."""

    media_type = COSE


class GrantedComputer(Body):
    """A computer that the client may ask for; `present` is a hint."""

    computer: Computer
    label: Label
    present: bool


@router.get("/v1/documents/{kind}", response_class=CoseResponse)
async def own_document(kind: Kind, agent: Agent, acting: Acting) -> Response:
    """The agent's own computer document or stamp, its organisation's revocation list, the cluster's nodes."""
    computer = agent.computer if kind in (Kind.COMPUTER, Kind.STAMP) else None
    async with acting.store.reading() as session:
        body = await stored_document(session, agent.organisation, kind, computer)
    if body is None:
        raise MissingError("REQUEST", f"there is no {kind} document yet")
    return CoseResponse(body)


@router.get("/v1/computers")
async def computers(client: Client, acting: Acting) -> list[GrantedComputer]:
    """The computers that the client is granted at this moment."""
    now = acting.now()
    async with acting.store.reading() as session:
        rows = await session.execute(
            select(ComputerDocument.computer, ComputerDocument.label, ComputerDocument.agent)
            .join(
                Grant,
                (Grant.organisation == ComputerDocument.organisation)
                & (Grant.computer == ComputerDocument.computer),
            )
            .where(
                Grant.organisation == client.organisation,
                Grant.client == client.device,
                or_(Grant.not_before.is_(None), Grant.not_before <= now),
                or_(Grant.not_after.is_(None), Grant.not_after > now),
            )
            .distinct()
            .order_by(ComputerDocument.label, ComputerDocument.computer)
        )
        granted = rows.tuples().all()
    present = acting.presence.present(agent for _, _, agent in granted)
    return [
        GrantedComputer(computer=computer, label=label, present=agent in present)
        for computer, label, agent in granted
    ]
