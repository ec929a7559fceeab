"""Enrolment, without a certificate: an invite's k1 admits the request (PROTOCOL.md §10.3)."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse

from telerelay.node import enrolling
from telerelay.node.api.caller import Acting, address
from telerelay.node.api.fields import Body, Der, Empty, Hash, Id, Number
from telerelay.node.waiting import WAIT_MAXIMUM_S

router = APIRouter(tags=["enrolment"])


class Terms(Body):
    """The terms of use that were accepted: their version, and SHA-256 of their text."""

    version: Number
    hash: Hash


class EnrolmentRequest(Body):
    """What an endpoint asks with."""

    id: Id
    k1: Hash
    csr: Der
    mac: Hash
    terms: Terms


class Chain(Body):
    """Leaf, issuer, root."""

    chain: list[Der]


@router.post("/v1/enrol", status_code=HTTPStatus.ACCEPTED)
async def ask(body: EnrolmentRequest, request: Request, acting: Acting) -> Empty:
    """Ask for a certificate. The same request again changes nothing."""
    await acting.ask(
        enrolling.Request(
            invite=body.id,
            k1=body.k1,
            csr=body.csr,
            mac=body.mac,
            terms_version=body.terms.version,
            terms_hash=body.terms.hash,
            address=address(request),
        )
    )
    return Empty()


@router.get(
    "/v1/enrol/{invite}",
    response_model=Chain,
    responses={HTTPStatus.ACCEPTED.value: {"model": Empty, "description": "Nobody answered yet"}},
)
async def answer(
    invite: Id, acting: Acting, telerelay_invite: Annotated[Hash, Header(description="k1")]
) -> Response:
    """Wait for the organisation's answer, at most 25 s."""

    async def look() -> list[bytes] | None:
        async with acting.store.reading() as session:
            return await enrolling.answer(session, invite, telerelay_invite)

    chain = await acting.waiting.until(
        ("answer", invite), look, lambda seen: seen is not None, WAIT_MAXIMUM_S
    )
    if chain is None:
        return JSONResponse({}, HTTPStatus.ACCEPTED)
    return JSONResponse(Chain(chain=chain).model_dump(mode="json"))
