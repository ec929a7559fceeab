"""One cluster, one organisation, one computer and one client, and the node of this kit between them."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.kit.hostile.certified import Certified, Cluster, Office
from tests.kit.hostile.desktop import FakeDesktop, Serve, greet, open_desktop
from tests.kit.hostile.endpoints import RunningAgent, RunningClient, online, running_agent, running_client
from tests.kit.hostile.node.gate import Gate
from tests.kit.hostile.node.relay import Relay
from tests.kit.hostile.node.tls import server_context


class World:
    """Everything that a test can put a lie into, before or while it runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster = Cluster(folder)
        self.office = Office(folder)
        self.agent_certificate = self.office.agent()
        self.client_certificate = self.office.client()
        self.devices = [self.agent_certificate, self.client_certificate]
        self.relay = Relay({self.computer: self.agent_certificate.id})
        self.gate = Gate(self.relay.serve)
        self.desktop = FakeDesktop()

    @property
    def computer(self) -> bytes:
        """The computer ID, 10 bytes."""
        return self.agent_certificate.computer

    @property
    def dial(self) -> dict[str, Any]:
        """How both ends reach the node."""
        return {"nodes": [("first", [self.gate.address])], "pins": list(self.cluster.pins)}

    def context(self, node: Certified | None = None) -> ssl.SSLContext:
        """The node's outer TLS, for all devices of this world."""
        node = node or self.cluster.node()
        return server_context(node.chain, node.key, [device.der for device in self.devices])

    def admit(self, device: Certified) -> Certified:
        """Let one more device in; before the node opens."""
        self.devices.append(device)
        return device

    @asynccontextmanager
    async def agent(
        self, own: Certified | None = None, desktop: str = "", *, guarded: bool = False
    ) -> AsyncIterator[RunningAgent]:
        """The agent, in front of this world's desktop."""
        certified, address = own or self.agent_certificate, desktop or self.desktop.address
        async with running_agent(certified, self.office.root, self.dial, address, guarded=guarded) as agent:
            yield agent

    @asynccontextmanager
    async def client(
        self, own: Certified | None = None, dial: dict[str, Any] | None = None
    ) -> AsyncIterator[RunningClient]:
        """A client of this world's computer."""
        async with running_client(
            own or self.client_certificate, self.office.root, dial or self.dial, self.computer
        ) as client:
            yield client

    @asynccontextmanager
    async def session(self) -> AsyncIterator[tuple[RunningAgent, RunningClient]]:
        """Agent and client, each as it should be."""
        async with self.agent() as agent:
            await online(agent)
            async with self.client() as client:
                yield agent, client


@asynccontextmanager
async def open_world(
    world: World, serve: Serve = greet, node: Certified | None = None
) -> AsyncIterator[World]:
    """A node and a desktop that listen; `node` is what the node presents."""
    async with AsyncExitStack() as stack:
        world.desktop = await stack.enter_async_context(open_desktop(serve))
        await stack.enter_async_context(world.gate.open(world.context(node)))
        yield world
