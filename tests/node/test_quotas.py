"""What one device and one organisation may use of a node; whoever else is there does not notice (§5.10)."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from telerelay_core import SessionEnded, SessionOpened
from telerelay_endpoint.limits import LIMITS
from tests.kit.beside import beside, counting, newcomer
from tests.kit.hostile.endpoints import RunningClient, end_of
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import TELERELAY, NodeProcess
from tests.kit.tenant import Tenant

UNKNOWN = bytes(10)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    # More at once than a real node would be given, so that arrivals are not what is met here.
    with NodeProcess(
        tmp_path_factory.mktemp("node"), environment={"TELERELAY_NODE_ARRIVALS_PER_S": "10000"}
    ) as made:
        yield made


async def _is_live(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"typed")
    assert await reader.readexactly(5) == b"typed"


async def _guess(node: NodeProcess, tenant: Tenant) -> SessionEnded:
    async with client_of(node, tenant, UNKNOWN) as client:
        return await end_of(client)


async def test_who_guesses_is_throttled_and_nobody_else(node: NodeProcess) -> None:
    ours, attacker = newcomer(node), newcomer(node)
    tries = LIMITS["connects_per_minute"]
    async with beside(node) as session:
        ends: list[SessionEnded] = []
        while len(ends) < tries + 3:
            ends += await asyncio.gather(*(_guess(node, attacker) for _ in range(11)))
        codes = [end.code for end in ends]
        assert set(codes) == {"DENIED", "THROTTLED"}
        assert codes.count("DENIED") >= tries
        throttled = next(end for end in ends if end.code == "THROTTLED")
        assert throttled.retry_after_s is not None
        assert 0 < throttled.retry_after_s <= 3
        await session.runs()
        record = node.record(kind="END", attempt=throttled.attempt)
        assert (record["code"], record["routed"]) == ("THROTTLED", False)
    counted = node.statistics()
    assert counted["refused.THROTTLED"] == codes.count("THROTTLED")
    assert counted["throttled.connects_per_minute"] == codes.count("THROTTLED")
    # Whom the attacker wanted to lock out comes in as before.
    async with agent_of(node, ours), client_of(node, ours) as owner:
        await owner.wait(SessionOpened)


def _admit(node: NodeProcess, tenant: Tenant, folder: Path, sessions: int) -> None:
    root = folder / "root.pem"
    root.write_bytes(tenant.root.public_bytes(Encoding.PEM))
    command = ("node", "admit", str(root), "--sessions", str(sessions), "--data", str(node.data))
    subprocess.run([TELERELAY, *command], check=True, capture_output=True, timeout=30)


async def test_an_organisation_has_what_the_operator_gives_it(node: NodeProcess, tmp_path: Path) -> None:
    ours, theirs = newcomer(node), newcomer(node)
    await asyncio.to_thread(_admit, node, ours, tmp_path, 1)
    admit = node.record(kind="ADMIT", organisation=ours.id.hex(), sessions=1)
    assert admit["action"] == "admitted"
    async with (
        beside(node),
        agent_of(node, ours),
        agent_of(node, theirs),
        client_of(node, ours) as client,
    ):
        await client.wait(SessionOpened)
        reader, writer = await client.viewer()
        assert await reader.readexactly(12) == b"RFB 003.008\n"
        async with counting(node, {"refused.QUOTA": 1, "ended.QUOTA": 1}), client_of(node, ours) as late:
            end = await end_of(late)
            assert end.code == "QUOTA"
        record = await asyncio.to_thread(node.record, kind="END", attempt=end.attempt)
        assert record["code"] == "QUOTA"
        assert node.statistics()["throttled.organisation_sessions"] == 1
        async with client_of(node, theirs) as other:
            await other.wait(SessionOpened)
        await _is_live(reader, writer)
        await asyncio.to_thread(_admit, node, ours, tmp_path, 2)
        async with client_of(node, ours) as second:
            assert await _opens(second)
    with node.control() as control:
        (listed,) = [row for row in control.organisations() if row.organisation == ours.id]
    assert listed.sessions == 2


async def _opens(client: RunningClient) -> bool:
    return (await client.wait(SessionOpened)).attempt != ""


async def test_arrivals_beyond_the_plan_wait_and_the_rest_hears_its_place(tmp_path: Path) -> None:
    environment = {"TELERELAY_NODE_ARRIVALS_PER_S": "2"}
    with NodeProcess(tmp_path, environment=environment) as node:
        tenant = newcomer(node)
        async with beside(node) as session:
            ends = await asyncio.gather(*(_guess(node, tenant) for _ in range(12)))
            busy = [end for end in ends if end.code == "BUSY"]
            assert {end.code for end in ends} == {"DENIED", "BUSY"}
            assert len(busy) >= 6
            # Before each are the four who wait, and those who were sent away since.
            places = [end.place for end in busy if end.place is not None]
            assert len(places) == len(busy)
            assert min(places) > 4
            assert len(set(places)) > len(places) / 2
            assert all(end.retry_after_s is not None and end.retry_after_s >= 2 for end in busy)
            await session.runs()
            codes = [end.code for end in ends]
            record = await asyncio.to_thread(node.record, kind="END", attempt=busy[0].attempt)
            assert (record["code"], record["routed"]) == ("BUSY", False)
        counted = node.statistics()
        assert counted["refused.BUSY"] == counted["throttled.arrivals_wait_ms"] == codes.count("BUSY")
