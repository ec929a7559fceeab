"""The real agent and client of a tenant at a real node."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from telerelay_endpoint.certificates import Role, encode_certificate
from tests.kit.hostile.certified import Certified
from tests.kit.hostile.desktop import Serve, greet, open_desktop
from tests.kit.hostile.endpoints import (
    PROGRAM,
    RunningAgent,
    RunningClient,
    online,
    running_agent,
    running_client,
)
from tests.kit.node import NodeProcess
from tests.kit.tenant import Tenant


@asynccontextmanager
async def agent_of(
    node: NodeProcess,
    tenant: Tenant,
    serve: Serve = greet,
    *,
    guarded: bool = False,
    password: bytes | None = None,
) -> AsyncIterator[RunningAgent]:
    """The tenant's agent in front of a desktop, by default an echo that greets first; it is online."""
    own, root = _certified(node, tenant, Role.AGENT), encode_certificate(tenant.root)
    async with (
        open_desktop(serve) as desktop,
        running_agent(
            own, root, _dial(node, tenant), desktop.address, guarded=guarded, password=password
        ) as agent,
    ):
        await online(agent)
        yield agent


@asynccontextmanager
async def client_of(
    node: NodeProcess, tenant: Tenant, computer: bytes | None = None, program: str = PROGRAM
) -> AsyncIterator[RunningClient]:
    """The tenant's client; it asks for the tenant's computer, or another (ID of 10 bytes), as `program`."""
    own, root = _certified(node, tenant, Role.CLIENT), encode_certificate(tenant.root)
    wanted = computer or tenant.computer
    async with running_client(own, root, _dial(node, tenant), wanted, program) as client:
        yield client


def _certified(node: NodeProcess, tenant: Tenant, role: Role) -> Certified:
    files = tenant.files(node.folder, role)
    device = tenant.agent if role is Role.AGENT else tenant.client
    return Certified(files.chain, files.key, tenant.chain(role)[0], device, tenant.computer)


def _dial(node: NodeProcess, tenant: Tenant) -> dict[str, Any]:
    line = node.line(tenant)
    return {"nodes": [(at.name, list(at.addresses)) for at in line.nodes], "pins": list(line.pins)}
