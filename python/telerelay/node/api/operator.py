"""The operator's requests, on the node's Unix socket only: whoever can open it is the operator (§11)."""

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Request, Response
from pydantic import Field

from telerelay.audit.records import REASON_MAXIMUM
from telerelay.node import admission
from telerelay.node.api.caller import Acting
from telerelay.node.api.fields import Body, Empty, Hash, Number
from telerelay.node.standing import Standing
from telerelay_endpoint.certificates import organisation_id
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS

router = APIRouter(tags=["operator"])

PEM = "application/x-pem-file"
_PEM_MAXIMUM: Final = LIMITS["api_root_bytes"]


Quota = Annotated[int, Field(ge=1, le=1_000_000)]
# Calendars end with the year 9999.
Until = Annotated[int, Field(ge=0, le=253_402_300_799)]


class AdmittedRoot(Body):
    """What the operator hands to the organisation's administrator."""

    organisation: Hash
    new: bool
    cluster_line: str


class ShownOrganisation(Body):
    """An admitted organisation; `name` is what its root calls itself, and no identity."""

    organisation: Hash
    name: str
    admitted: Number
    suspended: Number | None
    devices: Number
    sessions: Number | None
    until: Number | None
    flagged: Number


class Reason(Body):
    """Why an organisation is suspended; it stands in the audit."""

    reason: Annotated[str, Field(min_length=1, max_length=REASON_MAXIMUM)]


class Counted(Body):
    """How much of what size there was (`telerelay.metrics.distribution`)."""

    upper: list[float]
    counts: list[int]
    sum: float


class Overview(Body):
    """The node: who it is, where it listens, what it counts."""

    name: str
    program: str
    listening: list[str]
    advertised: list[str]
    statistics: dict[str, int]
    distributions: dict[str, Counted]


class ClusterLine(Body):
    """What an administrator needs to know of the cluster; no secret."""

    cluster_line: str


@router.post(
    "/v1/node/organisations",
    status_code=HTTPStatus.CREATED,
    openapi_extra={"requestBody": {"required": True, "content": {PEM: {"schema": {"type": "string"}}}}},
)
async def admit(
    request: Request,
    acting: Acting,
    response: Response,
    sessions: Quota | None = None,
    until: Until | None = None,
) -> AdmittedRoot:
    """Admit the organisation of this root, or lift its suspension.

    `sessions`: its most at once; `until`: when its admission for a test ends.
    """
    pem = await request.body()
    if len(pem) > _PEM_MAXIMUM:
        raise TelerelayError("REQUEST", f"a root has at most {_PEM_MAXIMUM} bytes")
    root = admission.read_root(pem)
    new = await acting.admitting.admit(root, "", sessions, until)
    response.status_code = HTTPStatus.CREATED if new else HTTPStatus.OK
    return AdmittedRoot(
        organisation=organisation_id(root), new=new, cluster_line=_standing(request).cluster_line
    )


@router.get("/v1/node/organisations", response_model_exclude_none=True)
async def organisations(acting: Acting) -> list[ShownOrganisation]:
    """Every admitted organisation."""
    async with acting.store.reading() as session:
        found = await admission.admitted(session, acting.now())
    return [
        ShownOrganisation(
            organisation=row.organisation,
            name=row.name,
            admitted=row.admitted,
            suspended=row.suspended,
            devices=row.devices,
            sessions=row.sessions,
            until=row.until,
            flagged=row.flagged,
        )
        for row in found
    ]


@router.post("/v1/node/organisations/{organisation}/suspend")
async def suspend(organisation: Hash, body: Reason, acting: Acting) -> Empty:
    """Suspend an organisation and end its sessions."""
    await acting.admitting.suspend(organisation, body.reason)
    return Empty()


@router.get("/v1/node")
async def overview(request: Request) -> Overview:
    """The node as it stands."""
    standing = _standing(request)
    snapshot = standing.snapshot()
    return Overview(
        name=standing.name,
        program=standing.program,
        listening=list(standing.listening),
        advertised=list(standing.node.addresses),
        statistics=dict(snapshot.numbers),
        distributions={
            name: Counted(upper=list(shown.upper), counts=list(shown.counts), sum=shown.sum)
            for name, shown in snapshot.distributions.items()
        },
    )


@router.get("/v1/node/cluster-line")
async def cluster_line(request: Request) -> ClusterLine:
    """The line that `node admit` prints."""
    return ClusterLine(cluster_line=_standing(request).cluster_line)


def _standing(request: Request) -> Standing:
    standing: Standing = request.app.state.standing
    return standing
