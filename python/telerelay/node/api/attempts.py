"""What the records tell an administrator of one attempt of the own organisation (PROTOCOL.md §11)."""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from telerelay.audit.reading import Wanted
from telerelay.node.api.audit import ATTEMPT, SEARCH_MAXIMUM, Auditing
from telerelay.node.api.caller import Admin

router = APIRouter(tags=["organisation"])


@router.get("/v1/org/attempts/{attempt}", response_class=Response)
async def records(
    attempt: Annotated[str, Field(pattern=ATTEMPT)], who: Admin, auditing: Auditing
) -> Response:
    """The attempt's records (§14), oldest first; of no other organisation, whatever attempt is named."""
    found = await auditing.search(Wanted(who.organisation, attempt=attempt), SEARCH_MAXIMUM)
    return Response(b"[" + b",".join(found) + b"]", media_type="application/json")
