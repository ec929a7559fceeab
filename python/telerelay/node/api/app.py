"""The application: one factory for the endpoints' port and for the operator's socket."""

from fastapi import FastAPI
from starlette.types import ASGIApp

from telerelay import __version__
from telerelay.node.administration import Administration
from telerelay.node.api import documents, enrol, operator, org_documents, organisation
from telerelay.node.api.failures import FAILURES, register
from telerelay.node.standing import Standing


def create_app(administration: Administration, standing: Standing, *, for_operator: bool) -> ASGIApp:
    """The API; the operator's requests are in it only where the connection is the operator's own socket."""
    app = FastAPI(
        title="telerelay node",
        version=__version__,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses=FAILURES,
    )
    app.state.administration = administration
    app.state.standing = standing
    register(app)
    routers = [enrol.router, documents.router, organisation.router, org_documents.router]
    for router in [*routers, operator.router] if for_operator else routers:
        app.include_router(router)
    return app
