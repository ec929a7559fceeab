"""A session of a new organisation through a real node, of an agent that guards its desktop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from telerelay_core import DoorOpen, SessionRules
from tests.kit.beside import newcomer
from tests.kit.hostile.desktop import Serve
from tests.kit.hostile.endpoints import RULES, RunningAgent, RunningClient, end_of
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import NodeProcess
from tests.kit.rfb import Viewer, open_viewer

WATCHING = SessionRules(sessions=8, resume_limit_s=0, idle_timeout_s=0, view_only=True, shown=[])


@dataclass(frozen=True)
class Crossing:
    """Both ends, and the node between them."""

    node: NodeProcess
    agent: RunningAgent
    client: RunningClient

    async def door(self) -> tuple[str, int]:
        """Where a viewer connects; each connection is a session of its own."""
        host, _, port = (await self.client.wait(DoorOpen)).address.rpartition(":")
        return host, int(port)

    @asynccontextmanager
    async def viewer(self) -> AsyncIterator[Viewer]:
        """A viewer there."""
        async with open_viewer(*await self.door()) as viewer:
            yield viewer

    async def ends_with(self, code: str) -> None:
        """The first session that ends, ends so: both are told, and the audit has it."""
        ended = await end_of(self.agent)
        assert ended.code == code
        record: dict[str, Any] = await asyncio.to_thread(self.node.record, kind="END", attempt=ended.attempt)
        assert record["code"] == code
        assert (await end_of(self.client)).code == code


@asynccontextmanager
async def crossing(
    node: NodeProcess,
    serve: Serve,
    *,
    guarded: bool = True,
    password: bytes | None = None,
    rules: SessionRules = RULES,
) -> AsyncIterator[Crossing]:
    """A client of an agent whose desktop is `serve`. `guarded`: False stands for an agent without a guard."""
    tenant = await asyncio.to_thread(newcomer, node)
    async with agent_of(node, tenant, serve, guarded=guarded, password=password) as agent:
        agent.verdict = lambda _incoming: rules
        async with client_of(node, tenant) as client:
            yield Crossing(node, agent, client)
