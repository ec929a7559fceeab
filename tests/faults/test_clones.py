"""Two office PCs with one certificate: the one that runs stays, both are pointed at (PROTOCOL.md §5.8)."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from telerelay.demo.pair import Agent, run_agent
from tests.kit.beside import beside, counting
from tests.kit.hostile.desktop import open_desktop
from tests.kit.rfb import look, ring, ring_once
from tests.kit.world import World

RETRY_MS = 300_000
WRITTEN_S = 15


async def test_two_clones_do_not_take_turns_and_both_are_flagged(world: World) -> None:
    clone = world.home / "clone"
    shutil.copytree(world.agent_data, clone)
    command = ("telerelay-agent", "run", "--json", "--data", str(clone), "--desktop")
    with world.node_process() as node:
        async with (
            beside(node),
            counting(node, {"refused.ID_IN_USE": 1, "ended.DONE": 1}),
            open_desktop(ring) as desktop,
            run_agent(world.commands, "agent", world.agent_data, world.computer, desktop.address) as agent,
            _serving(agent),
            world.client() as client,
        ):
            reader, writer = await asyncio.open_connection(client.host, client.port)
            await look(reader, writer)
            async with world.commands.running("clone", *command, desktop.address) as second:
                refused = await second.event(lambda event: event.get("event") == "offline", 20)
                assert refused["code"] == "ID_IN_USE"
                # Whoever came back at once would take turns with the other.
                assert refused["retry_ms"] >= RETRY_MS
                # Its own session is as little disturbed as any other.
                await ring_once(reader, writer)
                assert not [event for event in agent.program.told() if event.get("event") == "offline"]
                device = await _flagged(world)
                assert device["flagged"] == "ID_IN_USE"
                assert device["flagged_at"] is not None
                listed = json.loads(
                    await world.commands.run("telerelay", "node", "list", "--json", "--data", str(node.data))
                )
                assert sorted(row["flagged"] for row in listed["organisations"]) == [0, 1]
            writer.close()


@asynccontextmanager
async def _serving(agent: Agent) -> AsyncIterator[None]:
    await agent.serves()
    yield


async def _flagged(world: World) -> dict[str, Any]:
    """The agent as `org list` shows it, once its flag is written."""
    organisation = str(world.home / "organisation")
    async with asyncio.timeout(WRITTEN_S):
        while True:
            said = await world.commands.run("telerelay", "org", "list", "--org", organisation, "--json")
            (agent,) = [row for row in json.loads(said)["devices"] if row["kind"] == "agent"]
            if agent["flagged"] is not None:
                return dict(agent)
