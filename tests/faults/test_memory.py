"""A node at the end of its memory: newcomers go, the idle, the newest who wait; no session (§1.3)."""

import asyncio
import contextlib
import os
import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from telerelay_endpoint.certificates import Role
from telerelay_endpoint.keys import make_key
from telerelay_endpoint.limits import LIMITS
from tests.kit.beside import beside, newcomer
from tests.kit.condition import eventually
from tests.kit.node import NodeProcess
from tests.kit.outer_leg import OuterLeg
from tests.kit.tenant import Files, Tenant

MIB: Final = 1 << 20
ROOM: Final = 5 * MIB
"""Between the low mark and what the node has with its first agents: more than a quiet node's memory moves."""
FIRST: Final = 20
"""Agents that were there before the flood."""
AT_ONCE: Final = 32
API: Final = 6
SOON_S: Final = 1.0
"""What was sent before it was counted is read by then."""
WORDS: Final = {
    "nobody new": "new",
    '"idle"': "idle",
    '"api"': "api",
    '"ready"': "ready",
    "memory again": "again",
}
"""What the log says of each step, and of its end."""

pytestmark = pytest.mark.timeout(180)


@dataclass
class Flood:
    """Real agents, each a computer of its own, in the order in which they came."""

    node: NodeProcess
    tenant: Tenant
    folder: Path
    legs: list[OuterLeg]

    async def come(self, count: int) -> bool:
        """So many more; whether the node took all of them."""
        came = await asyncio.gather(*(self._one() for _ in range(count)))
        self.legs += [leg for leg in came if leg]
        return all(came)

    async def _one(self) -> OuterLeg | None:
        files = self.tenant.sibling(agent_key=make_key(), computer=os.urandom(10)).files(
            self.folder, Role.AGENT
        )
        leg = await _dialled(self.node, files)
        if leg is not None:
            assert (await leg.hello("agent")).name == "WELCOME"
        return leg

    def close(self) -> None:
        for leg in self.legs:
            leg.close()


async def _dialled(node: NodeProcess, files: Files) -> OuterLeg | None:
    """A leg, or None where the node says in clear that it is busy."""
    try:
        return await OuterLeg.dial(node.address, files)
    except ssl.SSLError as error:
        if error.reason != "TLSV1_ALERT_INTERNAL_ERROR":
            raise
        return None


async def _sent_away(leg: OuterLeg) -> bool:
    """Whether the leg ends with BUSY, rather than going on."""
    try:
        async with asyncio.timeout(SOON_S):
            while (frame := await leg.receive()).name == "NEWS":
                pass
    except TimeoutError:
        return False
    assert (frame.name, frame.fields["code"], frame.fields["retry"]) == ("ERROR", "BUSY", 15)
    return True


async def _all_sent_away(legs: Sequence[OuterLeg]) -> list[bool]:
    return list(await asyncio.gather(*map(_sent_away, legs)))


async def _count(node: NodeProcess, name: str) -> int:
    return (await asyncio.to_thread(node.statistics))[name]


@asynccontextmanager
async def _api(node: NodeProcess) -> AsyncIterator[asyncio.StreamReader]:
    """A connection of the API of nobody known, whose request never ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    host, _, port = node.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    writer.write(b"GET / HTTP/1.1\r\n")
    yield reader
    writer.transport.abort()


async def _at_rest(folder: Path) -> int:
    """Bytes that a node of this machine has with a session and its first agents."""
    folder.mkdir()
    with NodeProcess(folder) as node:
        async with beside(node):
            flood = Flood(node, await asyncio.to_thread(newcomer, node), folder, [])
            assert await flood.come(FIRST)
            await eventually(lambda: _is_at_rest(node.statistics()))
            used = _anonymous(node.process.pid)
            flood.close()
    return used


def _is_at_rest(counts: Mapping[str, int]) -> bool:
    """Whether everybody is told of what there is, and everything about them is written down."""
    return not any(counts[name] for name in ("newcomers_waiting", "sightings_waiting", "audit_backlog_bytes"))


def _anonymous(pid: int) -> int:
    """Bytes of the process that no file backs, swapped out or not (proc_pid_status(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * sum(
        int(kib) for kib in re.findall(r"^(?:RssAnon|VmSwap):\s+(\d+) kB$", status, re.MULTILINE)
    )


def _steps(node: NodeProcess) -> list[str]:
    """What the log tells of memory, in order."""
    lines = [line for line in node.log.read_text().splitlines() if "memory" in line]
    assert all('"BUSY"' in line for line in lines if "short" in line)
    return [word for line in lines for part, word in WORDS.items() if part in line]


async def test_a_flood_beyond_the_budget_costs_no_session(tmp_path: Path) -> None:
    low = await _at_rest(tmp_path / "rest") + ROOM
    budget = low * 100 // LIMITS["memory_low_percent"]
    environment = {"TELERELAY_NODE_MEMORY_BUDGET": str(budget), "TELERELAY_NODE_LOG_JSON": "true"}
    with NodeProcess(tmp_path, environment=environment) as node:
        async with beside(node) as session, contextlib.AsyncExitStack() as stack:
            tenant = await asyncio.to_thread(newcomer, node)
            flood = Flood(node, tenant, tmp_path, [])
            stack.callback(flood.close)
            assert await flood.come(FIRST)
            assert await _count(node, "memory_budget") == budget
            # Up to just below the budget with agents, then those who are idle, then over it. Each time all
            # are told of their documents: many look-ups at once would take the node over it too early.
            while await _count(node, "memory_used") < budget - MIB:
                assert await flood.come(AT_ONCE)
                await eventually(lambda: not node.statistics()["newcomers_waiting"])
            await session.runs()
            assert not await _count(node, "memory_short")
            readers = [await stack.enter_async_context(_api(node)) for _ in range(API)]
            idle: list[OuterLeg] = []
            client = tenant.files(tmp_path, Role.CLIENT)
            while not await _count(node, "memory_short"):
                # One who is idle first: a single flood may be the one that takes the node over it.
                if (leg := await _dialled(node, client)) is not None:
                    await leg.hello("client")
                    idle.append(leg)
                if not await flood.come(AT_ONCE):
                    break
            await session.runs()
            # First newcomers; by the next look who is idle, the API, and the newest who wait.
            await eventually(lambda: "ready" in _steps(node))
            assert await _dialled(node, client) is None
            assert _steps(node)[:4] == ["new", "idle", "api", "ready"]
            await session.runs()
            # And when it is over, whoever comes is let in.
            await eventually(lambda: _steps(node)[-1] == "again", timeout=40)
            counts = await asyncio.to_thread(node.statistics)
            assert counts["shed.new"] > 0
            assert counts["shed.idle"] == sum(await _all_sent_away(idle[-counts["shed.idle"] :])) > 0
            assert counts["shed.api"] == API
            assert [await reader.read() for reader in readers] == [b""] * API
            gone = await _all_sent_away(flood.legs)
            assert counts["shed.ready"] == sum(gone)
            # The newest went, of those who came at once some, and nobody of those who were there before.
            assert all(gone[gone.index(True) + AT_ONCE :])
            assert not any(gone[:FIRST])
            assert counts["live_paths"] == 1
            assert await flood.come(1)
            await session.runs()
