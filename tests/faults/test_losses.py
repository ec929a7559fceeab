"""Something dies in the middle of a session: the client ends with the right code, and soon enough."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from telerelay.demo.capture import Capture, capture_desktop
from telerelay.demo.desktop import Desktop, open_desktop
from telerelay.demo.pair import Agent, Client
from telerelay.demo.programs import Event
from telerelay.demo.relay import Node
from tests.kit.condition import eventually
from tests.kit.namespace import nft, private_network
from tests.kit.world import World

SIZE = (320, 240)


@dataclass(frozen=True)
class Running:
    """A session that somebody looks at."""

    node: Node
    agent: Agent
    client: Client
    desktop: Desktop
    capture: Capture

    async def end(self, within: float) -> Event:
        """How the client ended, which it must within so many seconds."""
        began = time.monotonic()
        finished = await self.client.program.event(lambda event: event.get("event") == "finished", within)
        how = await asyncio.wait_for(self.client.program.end(), within)
        assert time.monotonic() - began < within
        assert how == f"ended with status {finished['exit']}"
        return finished


@asynccontextmanager
async def running(world: World) -> AsyncIterator[Running]:
    async with (
        open_desktop(size=SIZE) as desktop,
        world.open(desktop) as (node, agent, client),
        capture_desktop(client.host, client.port) as capture,
    ):
        await capture.picture()
        yield Running(node, agent, client, desktop, capture)


@pytest.mark.parametrize(
    ("pid", "code"),
    [
        (lambda session: session.agent.program.pid, "ABSENT"),
        (lambda session: session.desktop.process.pid, "DESKTOP_LOST"),
        (lambda session: session.node.program.pid, "UNREACHABLE"),
    ],
    ids=["agent", "desktop", "node"],
)
async def test_a_killed_part_ends_the_client_within_5_s(
    world: World, pid: Callable[[Running], int], code: str
) -> None:
    async with running(world) as session:
        os.kill(pid(session), signal.SIGKILL)
        finished = await session.end(within=5)
    assert finished["code"] == code
    assert finished["exit"] == 4


@pytest.mark.timeout(120)
async def test_packets_that_vanish_end_the_client_within_30_s(world: World) -> None:
    with private_network():
        async with running(world) as session:
            nft(f"""
                table ip vanish {{
                    chain output {{
                        type filter hook output priority 0;
                        tcp sport {world.port} drop
                        tcp dport {world.port} drop
                    }}
                }}
            """)
            finished = await session.end(within=30)
            nft("delete table ip vanish")
    assert finished["code"] == "UNREACHABLE"
    assert finished["exit"] == 4


async def test_the_agent_comes_back_after_the_node_did_and_serves_again(world: World) -> None:
    async with open_desktop(size=SIZE) as desktop, world.node() as node, world.agent(desktop) as agent:
        os.kill(node.program.pid, signal.SIGKILL)
        await agent.program.event(lambda event: event.get("event") == "offline", 10)
        seen = len(agent.program.told())
        async with world.node():
            await eventually(
                lambda: "online" in [event.get("event") for event in agent.program.told()[seen:]], 30
            )
            async with world.client() as client, capture_desktop(client.host, client.port) as capture:
                assert (await capture.picture()).size == SIZE
