"""An organisation's administration: invites, requests, devices (PROTOCOL.md §11)."""

from http import HTTPStatus
from typing import Annotated, Self

from fastapi import APIRouter, Query, Response
from pydantic import model_validator
from sqlalchemy import func, select

from telerelay.documents.serving import revocations_version
from telerelay.node import enrolling
from telerelay.node.api.caller import Acting, Admin, AdminOrKeeper, ConflictError
from telerelay.node.api.enrol import Terms
from telerelay.node.api.fields import Body, Code, Computer, Der, Empty, Hash, Id, Label, Number
from telerelay.node.flags import stands
from telerelay.node.waiting import WAIT_MAXIMUM_S
from telerelay.store import tables
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.invite_keys import InviteKind, InviteTerms

router = APIRouter(tags=["organisation"])

Wait = Annotated[
    int, Query(ge=0, le=WAIT_MAXIMUM_S, description="Seconds to wait where there is nothing yet")
]


class PostedInvite(Body):
    """An invite as the node may know it; `admit` is SHA-256(k1)."""

    id: Id
    kind: InviteKind
    computer: Computer | None = None
    label: Label
    expiry: Number
    admit: Hash


class ShownInvite(Body):
    """An invite and how far it got."""

    id: Id
    kind: InviteKind
    computer: Computer | None
    label: Label
    expiry: Number
    state: enrolling.State


class WaitingRequest(Body):
    """A request that waits for the organisation's answer."""

    id: Id
    kind: InviteKind
    computer: Computer | None
    label: Label
    expiry: Number
    csr: Der
    mac: Hash
    terms: Terms


class Answer(Body):
    """Exactly one of: the chain (leaf, issuer, root), or the code that the request is refused with."""

    chain: list[Der] | None = None
    refuse: Code | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.chain is None) is (self.refuse is None):
            raise ValueError("there must be a chain or a code to refuse with")
        return self


class Counts(Body):
    """How many of each there are; invites that are open, requests that wait."""

    agents: Number
    clients: Number
    computers: Number
    invites: Number
    enrolments: Number


class Versions(Body):
    """The newest version of each; 0 = none yet."""

    revocations: Number
    nodes: Number


class Overview(Body):
    """What the node knows of the organisation. `until`: when its admission for a test ends, None: never."""

    organisation: Hash
    until: Number | None
    counts: Counts
    versions: Versions


class ShownDevice(Body):
    """An enrolled device. `flagged`: the code of what somebody should look at, last seen at `flagged_at`."""

    device: Hash
    kind: InviteKind
    label: Label
    computer: Computer | None
    enrolled: Number
    last_seen: Number | None
    revoked: bool
    flagged: Code | None
    flagged_at: Number | None


# ---------------------------------------------------------------- overview


@router.get("/v1/org", response_model_exclude_none=True)
async def overview(who: AdminOrKeeper, acting: Acting) -> Overview:
    """Counts and versions, and whether it is a test's."""
    own = tables.Device.organisation == who.organisation
    async with acting.store.reading() as session:
        kinds = dict(
            (
                await session.execute(
                    select(tables.Device.kind, func.count()).where(own).group_by(tables.Device.kind)
                )
            )
            .tuples()
            .all()
        )
        computers = await session.scalar(
            select(func.count())
            .select_from(tables.ComputerDocument)
            .where(tables.ComputerDocument.organisation == who.organisation)
        )
        states = [
            state
            for terms, state in await enrolling.invites(session, who.organisation)
            if terms.expiry > acting.now()
        ]
        return Overview(
            organisation=who.organisation,
            until=await session.scalar(
                select(tables.Organisation.until).where(tables.Organisation.id == who.organisation)
            ),
            counts=Counts(
                agents=kinds.get(InviteKind.AGENT, 0),
                clients=kinds.get(InviteKind.CLIENT, 0),
                computers=computers or 0,
                invites=states.count(enrolling.State.OPEN),
                enrolments=states.count(enrolling.State.WAITING),
            ),
            versions=Versions(
                revocations=await revocations_version(session, who.organisation),
                nodes=await session.scalar(select(tables.NodeList.version)) or 0,
            ),
        )


@router.get("/v1/org/devices", response_model_exclude_none=True)
async def devices(who: AdminOrKeeper, acting: Acting) -> list[ShownDevice]:
    """Every device that enrolled."""
    own = tables.Device.organisation == who.organisation
    now = acting.now()
    async with acting.store.reading() as session:
        rows = await session.execute(
            select(tables.Device, tables.RevokedDevice.device)
            .outerjoin(
                tables.RevokedDevice,
                (tables.RevokedDevice.organisation == tables.Device.organisation)
                & (tables.RevokedDevice.device == tables.Device.id),
            )
            .where(own)
            .order_by(tables.Device.enrolled, tables.Device.id)
        )
        return [
            ShownDevice(
                device=device.id,
                kind=InviteKind(device.kind),
                label=device.label,
                computer=device.computer,
                enrolled=device.enrolled,
                last_seen=device.last_seen,
                revoked=revoked is not None,
                flagged=device.flagged if stands(device, now) else None,
                flagged_at=device.flagged_at if stands(device, now) else None,
            )
            for device, revoked in rows.tuples()
        ]


# ---------------------------------------------------------------- enrolment


@router.post("/v1/org/invites", status_code=HTTPStatus.CREATED)
async def post_invite(body: PostedInvite, who: Admin, acting: Acting, response: Response) -> Empty:
    """Let the node admit one request that knows this invite's secret."""
    terms = InviteTerms(body.id, body.kind, body.computer, body.label, body.expiry)
    try:
        new = await acting.add_invite(who.organisation, terms, body.admit)
    except TelerelayError as error:
        if error.code == "INVITE":
            raise ConflictError(error.code, error.detail) from error
        raise
    response.status_code = HTTPStatus.CREATED if new else HTTPStatus.OK
    return Empty()


@router.get("/v1/org/invites", response_model_exclude_none=True)
async def invites(who: Admin, acting: Acting) -> list[ShownInvite]:
    """Every invite and how far it got."""
    async with acting.store.reading() as session:
        found = await enrolling.invites(session, who.organisation)
    return [
        ShownInvite(
            id=terms.id,
            kind=terms.kind,
            computer=terms.computer,
            label=terms.label,
            expiry=terms.expiry,
            state=state,
        )
        for terms, state in found
    ]


@router.get("/v1/org/enrolments", response_model_exclude_none=True)
async def enrolments(who: AdminOrKeeper, acting: Acting, wait: Wait = 0) -> list[WaitingRequest]:
    """The requests that wait; where there are none, those that come within `wait` seconds."""

    async def look() -> list[tuple[InviteTerms, tables.Enrolment]]:
        async with acting.store.reading() as session:
            return await enrolling.waiting(session, who.organisation, acting.now())

    found = await acting.waiting.until(("enrolments", who.organisation), look, bool, wait)
    return [
        WaitingRequest(
            id=terms.id,
            kind=terms.kind,
            computer=terms.computer,
            label=terms.label,
            expiry=terms.expiry,
            csr=request.csr,
            mac=request.mac,
            terms=Terms(version=request.terms_version, hash=request.terms_hash),
        )
        for terms, request in found
    ]


@router.post("/v1/org/enrolments/{invite}")
async def answer(invite: Id, body: Answer, who: AdminOrKeeper, acting: Acting) -> Empty:
    """Answer a waiting request: with its chain, or by refusing it."""
    if body.chain is not None:
        await acting.release(who.organisation, invite, body.chain)
    elif body.refuse is not None:
        await acting.refuse(who.organisation, invite, body.refuse)
    return Empty()
