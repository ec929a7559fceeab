"""A session that runs beside what a test does to its node, and what the node counts meanwhile."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from telerelay_core import AgentOffline, SessionEnded, SessionOpened
from tests.kit.condition import INTERVAL
from tests.kit.hostile.endpoints import end_of
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import NodeProcess
from tests.kit.tenant import Tenant

GREETING: Final = b"RFB 003.008\n"
# What a node counts when somebody is refused, breaks something or ends. All else is traffic and gauges.
EVENTS: Final = ("refused.", "ended.", "handshakes_failed.", "api_limited.", "api_refused.")
ALONE: Final = ("panics", "mailbox_overflows", "guests_evicted", "api_evicted", "api_full", "audit_dropped")


def newcomer(node: NodeProcess, until: int | None = None) -> Tenant:
    """An organisation that was admitted just now; its client may reach its computer.

    `until`: for a test that ends then (Unix seconds).
    """
    tenant = Tenant(now=int(time.time()))
    node.admit(tenant, until)
    node.publish(tenant)
    return tenant


@dataclass(frozen=True)
class Beside:
    """A session of an organisation that has nothing to do with the test's."""

    attempt: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def runs(self, within_s: float = 5) -> None:
        """What is typed now comes back as it was, in time."""
        typed = os.urandom(20_000)
        async with asyncio.timeout(within_s):
            self.writer.write(typed)
            assert await self.reader.readexactly(len(typed)) == typed


@asynccontextmanager
async def beside(node: NodeProcess) -> AsyncIterator[Beside]:
    """Open a session; at the end it still runs, nothing of it was cut, and its records say so."""
    tenant = await asyncio.to_thread(newcomer, node)
    async with agent_of(node, tenant) as agent, client_of(node, tenant) as client:
        opened = await client.wait(SessionOpened)
        reader, writer = await client.viewer()
        assert await reader.readexactly(len(GREETING)) == GREETING
        session = Beside(opened.attempt, reader, writer)
        await session.runs()
        yield session
        await session.runs()
        assert not client.of(SessionEnded)
        assert not agent.of(SessionEnded)
        assert not agent.of(AgentOffline)
        client.handle.stop()
        await end_of(client)
        end = await asyncio.to_thread(node.record, kind="END", attempt=session.attempt)
    kinds = [row["kind"] for row in node.records() if row.get("attempt") == session.attempt]
    assert (kinds, end["code"]) == (["START", "END"], "DONE")


@asynccontextmanager
async def counting(
    node: NodeProcess, expected: Mapping[str, int], *, timeout_s: float = 10
) -> AsyncIterator[None]:
    """What happens inside adds exactly this to the node's counters of refusals, faults and ends."""
    before = _events(await asyncio.to_thread(node.statistics))
    yield
    deadline = time.monotonic() + timeout_s
    while True:
        now = _events(await asyncio.to_thread(node.statistics))
        added = {name: now[name] - before[name] for name in now if now[name] != before[name]}
        if added == expected:
            return
        assert time.monotonic() < deadline, f"counted {added}, not {dict(expected)}"
        await asyncio.sleep(INTERVAL)


def _events(statistics: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in statistics.items() if name.startswith(EVENTS) or name in ALONE}
