"""START is durable before PAIRED: a disk that is slow delays the session, one that fails prevents it."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from telerelay_core import Incoming, SessionOpened
from tests.kit.beside import beside, counting, newcomer
from tests.kit.hostile.endpoints import end_of
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import NodeProcess
from tests.kit.tenant import Tenant
from tests.kit.trace import bent

DELAY_S = 2.0


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    with NodeProcess(tmp_path) as running:
        yield running


@pytest.fixture
def tenant(node: NodeProcess) -> Tenant:
    return newcomer(node)


async def test_nobody_is_joined_before_the_disk_has_the_record(node: NodeProcess, tenant: Tenant) -> None:
    async with agent_of(node, tenant) as agent:
        with bent(node.process.pid, "fdatasync", f"delay_exit={int(DELAY_S * 1_000_000)}"):
            began = time.monotonic()
            async with client_of(node, tenant) as client:
                await agent.wait(Incoming)
                asked = time.monotonic() - began
                await client.wait(SessionOpened)
                opened = time.monotonic() - began
        # The agent is asked while the disk writes; the two are joined when it has written.
        assert asked < DELAY_S / 2
        assert opened >= DELAY_S
        # The delay was the disk's: without it a session opens at once.
        began = time.monotonic()
        async with client_of(node, tenant) as client:
            await client.wait(SessionOpened)
            assert time.monotonic() - began < DELAY_S / 2


async def test_a_disk_that_fails_joins_nobody_and_its_recovery_loses_nothing(
    node: NodeProcess, tenant: Tenant
) -> None:
    expected = {"refused.AUDIT_UNAVAILABLE": 1, "ended.AUDIT_UNAVAILABLE": 1, "ended.DONE": 1}
    async with beside(node) as session, counting(node, expected), agent_of(node, tenant) as agent:
        with bent(node.process.pid, "fdatasync", "error=EIO"):
            async with client_of(node, tenant) as client:
                ended = await end_of(client)
            await session.runs()
            assert ended.code == "AUDIT_UNAVAILABLE"
            assert agent.of(SessionOpened) == []
            assert not [record for record in node.records() if record.get("attempt") == ended.attempt]
        # What was kept is written once the disk takes it again, in its order.
        end = await asyncio.to_thread(node.record, kind="END", attempt=ended.attempt)
        assert end["code"] == "AUDIT_UNAVAILABLE"
        kinds = [record["kind"] for record in node.records() if record.get("attempt") == ended.attempt]
        assert kinds == ["START", "END"]
        async with client_of(node, tenant) as client:
            await client.wait(SessionOpened)
