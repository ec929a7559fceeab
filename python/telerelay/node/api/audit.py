"""The auditor's requests, on the node's Unix socket only (docs/AUDIT.md)."""

import time
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from telerelay.audit.auditing import Auditor, Demand
from telerelay.audit.reading import Wanted
from telerelay.audit.records import REASON_MAXIMUM
from telerelay.node.api.fields import Body, Code, Computer, Hash
from telerelay_core import format_computer_id
from telerelay_endpoint.limits import LIMITS

router = APIRouter(tags=["audit"])

LINES: Final = "application/jsonl"
ATTEMPT: Final = "^[0-9A-Z]{4}-[0-9A-Z]{4}$"
SEARCH_MAXIMUM: Final = LIMITS["api_records"]
_BLOCK_BYTES: Final = LIMITS["api_block"]

Moment = Annotated[int, Field(ge=0, le=253_402_300_799_999)]
"""Unix milliseconds, up to the year 9999: RFC 3339 knows no later one."""
Reason = Annotated[str, Field(min_length=1, max_length=REASON_MAXIMUM)]


class Asked(Body):
    """What to look for; times are Unix milliseconds, `end_ms` not included."""

    organisation: Hash | None = None
    begin_ms: Moment | None = None
    end_ms: Moment | None = None
    attempt: Annotated[str, Field(pattern=ATTEMPT)] | None = None
    device: Hash | None = None
    computer: Computer | None = None
    code: Code | None = None
    limit: Annotated[int, Field(ge=1, le=SEARCH_MAXIMUM)] = 100


class Export(Body):
    """Whose records of which time (up to now) are given out, who asked for them, and on what ground."""

    organisation: Hash
    begin_ms: Moment = 0
    end_ms: Moment = Field(default_factory=lambda: int(time.time() * 1000))
    requested_by: Reason
    ground: Reason


def _auditor(request: Request) -> Auditor:
    auditor: Auditor = request.app.state.auditor
    return auditor


Auditing = Annotated[Auditor, Depends(_auditor)]


@router.get("/v1/node/audit/records", response_class=Response)
async def records(asked: Annotated[Asked, Query()], auditing: Auditing) -> Response:
    """The newest records that fit with all that tells of the same attempts, oldest first; one a line."""
    wanted = Wanted(
        asked.organisation,
        asked.begin_ms,
        asked.end_ms,
        asked.attempt,
        None if asked.device is None else asked.device.hex(),
        None if asked.computer is None else format_computer_id(asked.computer),
        asked.code,
    )
    found = await auditing.search(wanted, asked.limit)
    return Response(b"".join(record + b"\n" for record in found), media_type=LINES)


@router.get("/v1/node/audit/chain", response_class=StreamingResponse)
async def everything(auditing: Auditing) -> StreamingResponse:
    """Every record with the chain's proof."""
    return await _streamed(auditing.everything())


@router.post("/v1/node/audit/exports", response_class=StreamingResponse)
async def export(body: Export, auditing: Auditing) -> StreamingResponse:
    """One organisation's records with the chain's proof. The export is recorded first."""
    demand = Demand(body.organisation, body.begin_ms, body.end_ms, body.requested_by, body.ground)
    return await _streamed(auditing.export(demand))


async def _streamed(lines: AsyncIterator[bytes]) -> StreamingResponse:
    """A refusal comes before the first line, and then it is an answer of its own."""
    first = await anext(lines)
    return StreamingResponse(_blocks(first, lines), media_type=LINES)


async def _blocks(first: bytes, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Lines by the block: each piece of an answer costs a turn of the event loop."""
    block = bytearray(first)
    async for line in lines:
        block += line
        if len(block) >= _BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    yield bytes(block)
