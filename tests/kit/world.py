"""What stands between two people, set up once for all tests: cluster, organisation, enrolled machines.

What runs in a test is started by the test, on the folders and the port that were enrolled.
"""

import asyncio
import functools
import random
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from telerelay.demo.desktop import Desktop
from telerelay.demo.organisation import found_organisation
from telerelay.demo.pair import Agent, Client, enrol_agent, enrol_client, run_agent, run_client
from telerelay.demo.programs import Commands
from telerelay.demo.relay import Node, open_node
from tests.kit.node import NodeProcess

# Below the ports of outgoing connections, one of which could take it while no node listens on it.
_PORTS: Final = range(20_000, 30_000)


@dataclass(frozen=True)
class World:
    """One cluster of one node, one organisation, one office PC and one home PC that may reach it.

    Commands start as `commands` says; a test may run one of the programs as somebody else.
    """

    home: Path
    commands: Commands
    port: int
    computer: str

    @property
    def node_data(self) -> Path:
        return self.home / "node"

    @property
    def agent_data(self) -> Path:
        return self.home / "agent"

    @property
    def client_data(self) -> Path:
        return self.home / "client"

    @property
    def logs(self) -> Path:
        return self.commands.logs

    @asynccontextmanager
    async def node(self) -> AsyncIterator[Node]:
        async with open_node(self.commands, self.node_data, f"127.0.0.1:{self.port}") as node:
            yield node

    def node_process(self) -> NodeProcess:
        """The node with every way to it, not started."""
        node = NodeProcess(self.home)
        node.address = f"127.0.0.1:{self.port}"
        return node

    @asynccontextmanager
    async def agent(self, desktop: Desktop, commands: Commands | None = None) -> AsyncIterator[Agent]:
        served = f"{desktop.host}:{desktop.port}"
        used = commands or self.commands
        async with run_agent(used, "agent", self.agent_data, self.computer, served) as agent:
            await agent.serves()
            yield agent

    @asynccontextmanager
    async def client(self, commands: Commands | None = None) -> AsyncIterator[Client]:
        used = commands or self.commands
        async with run_client(used, "client", self.client_data, self.computer) as client:
            yield client

    @asynccontextmanager
    async def open(self, desktop: Desktop) -> AsyncIterator[tuple[Node, Agent, Client]]:
        """All three, with a session that waits at the client's door."""
        async with self.node() as node, self.agent(desktop) as agent, self.client() as client:
            yield node, agent, client

    def copied(self, folder: Path) -> "World":
        """The same world on files of its own, with logs of its own."""
        shutil.copytree(self.home, folder, ignore=shutil.ignore_patterns("logs", "*.sock"))
        return replace(self, home=folder, commands=Commands.under(folder))


@functools.cache
def enrolled(home: Path) -> World:
    """Set a world up in `home`, as an operator, an administrator and two employees would."""
    return asyncio.run(_enrol(home))


async def _enrol(home: Path) -> World:
    commands = Commands.under(home)
    world = World(home, commands, _free_port(), computer="")
    async with world.node() as node:
        organisation = await found_organisation(commands, home / "organisation")
        await organisation.join(await node.admit(organisation.root))
        async with organisation.keeper():
            computer = await enrol_agent(commands, organisation, "office PC", world.agent_data)
            await enrol_client(commands, organisation, "home PC", world.client_data)
            await organisation.grant("home PC", computer)
    return replace(world, computer=computer)


def _free_port() -> int:
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("a hundred ports are taken")
