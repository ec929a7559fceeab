"""An organisation's documents: brought by administrator and keeper, and shown to them (PROTOCOL.md §11)."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import select

from telerelay.documents.serving import changes, last_change, stored_document
from telerelay.node.api.caller import Acting, AdminOrKeeper, Caller, Keeper, MissingError
from telerelay.node.api.documents import COSE, CoseResponse
from telerelay.node.api.fields import NUMBER_MAXIMUM, Body, Computer, Empty, Number
from telerelay.node.api.organisation import Wait
from telerelay.store import tables
from telerelay_endpoint import cose
from telerelay_endpoint.documents import Kind
from telerelay_endpoint.errors import TelerelayError

router = APIRouter(tags=["organisation"])

Since = Annotated[int, Query(ge=0, le=NUMBER_MAXIMUM, description="The `next` of the answer before")]


class ShownComputer(Body):
    """A computer that has a document."""

    computer: Computer
    version: Number


class ShownStamp(Body):
    """A computer's newest stamp."""

    computer: Computer
    epoch: Number
    document_version: Number
    revocations_version: Number
    issued: Number


class Changed(Body):
    """Which computers' newest stamp is behind; `next` is the number to ask with."""

    next: Number
    computers: list[Computer]
    revocations: Number


@router.post(
    "/v1/org/documents",
    status_code=HTTPStatus.CREATED,
    openapi_extra={"requestBody": {"required": True, "content": {COSE: {"schema": {"type": "string"}}}}},
)
async def post_document(request: Request, who: AdminOrKeeper, acting: Acting, response: Response) -> Empty:
    """Store a signed document; its typ says what it is."""
    if request.headers.get("content-type") != COSE:
        raise TelerelayError("REQUEST", f"a document comes as {COSE}")
    encoded = await _read_document(request)
    stored = await acting.post_document(who.organisation, who.device, who.role, encoded)
    response.status_code = HTTPStatus.CREATED if stored.new else HTTPStatus.OK
    return Empty()


@router.get("/v1/org/documents/computer")
async def computers(who: AdminOrKeeper, acting: Acting) -> list[ShownComputer]:
    """Every computer that has a document, with its version."""
    document = tables.ComputerDocument
    async with acting.store.reading() as session:
        rows = await session.execute(
            select(document.computer, document.version)
            .where(document.organisation == who.organisation)
            .order_by(document.computer)
        )
        return [ShownComputer(computer=computer, version=version) for computer, version in rows.tuples()]


@router.get("/v1/org/documents/stamp")
async def stamps(who: AdminOrKeeper, acting: Acting) -> list[ShownStamp]:
    """Every computer's newest stamp."""
    async with acting.store.reading() as session:
        rows = await session.scalars(
            select(tables.Stamp)
            .where(tables.Stamp.organisation == who.organisation)
            .order_by(tables.Stamp.computer)
        )
        return [
            ShownStamp(
                computer=stamp.computer,
                epoch=stamp.epoch,
                document_version=stamp.document_version,
                revocations_version=stamp.revocations_version,
                issued=stamp.issued,
            )
            for stamp in rows
        ]


@router.get("/v1/org/documents/revocations", response_class=CoseResponse)
async def revocations(who: AdminOrKeeper, acting: Acting) -> Response:
    """The newest revocation list."""
    return await _document(who, acting, Kind.REVOCATIONS, None)


@router.get("/v1/org/documents/nodes", response_class=CoseResponse)
async def nodes(who: AdminOrKeeper, acting: Acting) -> Response:
    """The cluster's node list."""
    return await _document(who, acting, Kind.NODES, None)


@router.get("/v1/org/documents/computer/{computer}", response_class=CoseResponse)
async def computer_document(computer: Computer, who: AdminOrKeeper, acting: Acting) -> Response:
    """A computer's newest document."""
    return await _document(who, acting, Kind.COMPUTER, computer)


@router.get("/v1/org/documents/stamp/{computer}", response_class=CoseResponse)
async def stamp(computer: Computer, who: AdminOrKeeper, acting: Acting) -> Response:
    """A computer's newest stamp."""
    return await _document(who, acting, Kind.STAMP, computer)


@router.get("/v1/org/changes")
async def changed(who: Keeper, acting: Acting, since: Since = 0, wait: Wait = 0) -> Changed:
    """Which stamps are behind: at once when something changed after `since`, else within `wait` seconds."""

    async def look() -> int:
        async with acting.store.reading() as session:
            return await last_change(session, who.organisation)

    await acting.waiting.until(("changes", who.organisation), look, lambda last: last > since, wait)
    async with acting.store.reading() as session:
        found = await changes(session, who.organisation)
    return Changed(next=found.next, computers=list(found.computers), revocations=found.revocations)


async def _document(who: Caller, acting: Acting, kind: Kind, computer: bytes | None) -> Response:
    async with acting.store.reading() as session:
        body = await stored_document(session, who.organisation, kind, computer)
    if body is None:
        raise MissingError("REQUEST", f"there is no such {kind} document")
    return CoseResponse(body)


async def _read_document(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > cose.MAXIMUM:
            raise TelerelayError("REQUEST", f"a document has at most {cose.MAXIMUM} bytes")
    return bytes(body)
