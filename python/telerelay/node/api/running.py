"""The operator's word on what runs: drained, taken back, cut (§5.9). On the node's Unix socket only."""

import os
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field

from telerelay.audit.records import REASON_MAXIMUM
from telerelay.node.api.caller import Acting
from telerelay.node.api.fields import Body, Hash, Number
from telerelay.node.cutting import Target, Word
from telerelay.node.draining import State
from telerelay_endpoint.errors import TelerelayError

router = APIRouter(tags=["operator"])

Said = Annotated[str, Field(min_length=1, max_length=REASON_MAXIMUM)]


class ShownDrain(Body):
    """A drain since `since`; of its sessions some ended by themselves, some were cut."""

    since: Number
    sessions: Number
    ended: Number
    cut: Number


class ShownState(Body):
    """What the node does and carries. `load_percent`: of the machine's processors, in the last minute."""

    name: str
    state: State
    sessions: Number
    attempts: Number
    ready_agents: Number
    load_percent: Number
    drain: ShownDrain | None


class SaidBy(Body):
    """Who ends something, and why."""

    by: Said
    reason: Said

    @property
    def word(self) -> Word:
        """For the record."""
        return Word(self.by, self.reason)


class Cut(SaidBy):
    """Whose sessions end: exactly one of the three. `device`: hex digits that begin its ID."""

    organisation: Hash | None = None
    device: Annotated[str, Field(pattern="^[0-9a-f]{6,64}$")] | None = None
    attempt: Annotated[str, Field(pattern="^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$")] | None = None


class Ended(Body):
    """How many sessions and requests there were."""

    ended: Number


@router.get("/v1/node/state", response_model_exclude_none=True)
async def state(request: Request, acting: Acting) -> ShownState:
    """The node as it stands."""
    return _state(request, acting)


@router.post("/v1/node/drain", response_model_exclude_none=True)
async def drain(request: Request, acting: Acting) -> ShownState:
    """Take nothing new; what runs goes on for as long as it wants."""
    acting.draining.begin()
    return _state(request, acting)


@router.delete("/v1/node/drain", response_model_exclude_none=True)
async def cancel(request: Request, acting: Acting) -> ShownState:
    """Take everybody again."""
    acting.draining.cancel()
    return _state(request, acting)


@router.post("/v1/node/drain/force")
async def force(body: SaidBy, acting: Acting) -> Ended:
    """Take nothing new, and end what runs."""
    return Ended(ended=await acting.cutting.force_drain(body.word))


@router.post("/v1/node/cut")
async def cut(body: Cut, acting: Acting) -> Ended:
    """End the sessions of an attempt, a device or an organisation."""
    named = [body.organisation, body.device, body.attempt]
    if sum(name is not None for name in named) != 1:
        raise TelerelayError("REQUEST", "one attempt, one device or one organisation is named")
    if body.device is not None:
        target = await acting.cutting.find_device(body.device)
    else:
        target = Target(organisation=body.organisation, attempt=body.attempt)
    return Ended(ended=await acting.cutting.cut(target, body.word))


def _state(request: Request, acting: Acting) -> ShownState:
    counted = acting.draining.counted()
    progress = acting.draining.progress()
    return ShownState(
        name=request.app.state.standing.name,
        state=acting.draining.state,
        sessions=counted["live_paths"],
        attempts=counted["attempts"],
        ready_agents=counted["ready_agents"],
        load_percent=round(100 * os.getloadavg()[0] / (os.cpu_count() or 1)),
        drain=None
        if progress is None
        else ShownDrain(
            since=progress.since, sessions=progress.sessions, ended=progress.ended, cut=progress.cut
        ),
    )
