"""The application: one factory for the endpoints' port and for the operator's socket."""

from fastapi import FastAPI
from starlette.types import ASGIApp

from telerelay import __version__
from telerelay.audit.auditing import Auditor
from telerelay.node.administration import Administration
from telerelay.node.api import (
    attempts,
    audit,
    documents,
    enrol,
    operator,
    org_documents,
    organisation,
    running,
)
from telerelay.node.api.failures import FAILURES, Refusals, register
from telerelay.node.standing import Standing


def create_app(
    administration: Administration,
    standing: Standing,
    refusals: Refusals,
    auditor: Auditor,
    *,
    is_operators: bool,
) -> ASGIApp:
    """The API; the operator's own is on the operator's socket only."""
    app = FastAPI(
        title="telerelay node",
        version=__version__,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        # It would send whoever asks to the address that its own Host header names, without a word of ours.
        redirect_slashes=False,
        responses=FAILURES,
    )
    app.state.administration = administration
    app.state.standing = standing
    app.state.auditor = auditor
    register(app, refusals)
    of_endpoints = (enrol, documents, organisation, org_documents, attempts)
    of_operators = (operator, running, audit)
    for part in (*of_endpoints, *of_operators) if is_operators else of_endpoints:
        app.include_router(part.router)
    return app
