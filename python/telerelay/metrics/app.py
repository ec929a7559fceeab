"""What monitoring asks a node over HTTP: /metrics, /healthz, /readyz."""

from http import HTTPStatus

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from telerelay.metrics.collector import NodeCollector
from telerelay.metrics.readiness import Readiness


def create_app(collector: NodeCollector, readiness: Readiness) -> ASGIApp:
    """The application. It answers whoever reaches it and names nobody."""
    # Without describing it first: that would be a scrape of its own.
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)

    async def metrics(request: Request) -> Response:
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": media_type})

    async def healthz(_request: Request) -> Response:
        # Whoever reads this was answered by the event loop, so it turns.
        return JSONResponse({"healthy": True})

    async def readyz(_request: Request) -> Response:
        reasons = await readiness.reasons()
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return JSONResponse({"ready": not reasons, "reasons": reasons}, status)

    return Starlette(
        routes=[Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)]
    )
