"""A real node between a real agent and a real client: what it decides, what it records, how it ends."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from telerelay_core import News, SessionOpened, format_computer_id
from telerelay_endpoint.certificates import Role
from telerelay_endpoint.payloads import Grant
from tests.kit.hostile.endpoints import (
    RunningClient,
    end_of,
)
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import NodeProcess
from tests.kit.outer_leg import OuterLeg
from tests.kit.tenant import Tenant


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with NodeProcess(tmp_path_factory.mktemp("n")) as running:
        yield running


@pytest.fixture
def tenant(node: NodeProcess) -> Tenant:
    made = Tenant(now=int(time.time()))
    node.admit(made)
    return made


def _of(node: NodeProcess, tenant: Tenant) -> list[dict[str, Any]]:
    """The START and END records of the tenant's attempts."""
    records = [record for record in node.records() if record["kind"] in ("START", "END")]
    mine = {record["attempt"] for record in records if record.get("organisation") == tenant.id.hex()}
    return [record for record in records if record["attempt"] in mine]


# ---------------------------------------------------------------- a session


async def test_a_session_from_end_to_end_and_its_records(node: NodeProcess, tenant: Tenant) -> None:
    node.publish(tenant)
    async with agent_of(node, tenant), client_of(node, tenant) as client:
        opened = await client.wait(SessionOpened)
        reader, writer = await client.viewer()
        assert await reader.readexactly(12) == b"RFB 003.008\n"
        writer.write(b"typed")
        assert await reader.readexactly(5) == b"typed"
        # While it runs there is a START and no terminal record.
        (start,) = _of(node, tenant)
        writer.close()
        await writer.wait_closed()
        assert await client.code() in ("DONE", "VIEWER_GONE")
    end = await asyncio.to_thread(node.record, kind="END", attempt=opened.attempt)
    assert start["kind"] == "START"
    assert (start["client"], start["agent"]) == (tenant.client.hex(), tenant.agent.hex())
    assert (start["computer"], start["service"]) == (format_computer_id(tenant.computer), "rfb")
    assert start["organisation"] == tenant.id.hex()
    assert start["node"] == "relay-1"
    assert start["address"].startswith("127.0.0.1:")
    assert end["path"] == start["path"]
    assert (end["routed"], end["path_kind"], end["code"], end["stage"]) == (
        True,
        "direct",
        "DONE",
        "session",
    )
    assert end["session"] == opened.session.hex()
    assert end["bytes_to_client"] > 17
    assert end["bytes_to_agent"] > 5
    assert end["seq"] > start["seq"]
    assert len(_of(node, tenant)) == 2


async def test_presence_and_last_seen(node: NodeProcess, tenant: Tenant) -> None:
    node.publish(tenant)

    def present() -> bool:
        with node.api(tenant, Role.CLIENT) as api:
            (computer,) = api.computers()
        return computer.present

    assert not await asyncio.to_thread(present)
    async with agent_of(node, tenant):
        await _eventually(present)
    await _eventually(lambda: not present())


async def _eventually(check: Any, timeout_s: float = 10) -> None:
    async with asyncio.timeout(timeout_s):
        while not await asyncio.to_thread(check):
            await asyncio.sleep(0.05)


async def test_an_agent_is_told_of_its_documents(node: NodeProcess, tenant: Tenant) -> None:
    stamp = tenant.stamp()

    def publish() -> None:
        with node.organisation(tenant, Role.ADMIN) as admin, node.organisation(tenant, Role.KEEPER) as keeper:
            admin.post_document(tenant.document())
            keeper.post_document(stamp)

    async with agent_of(node, tenant) as agent:
        await agent.wait(News)  # the node list
        await asyncio.to_thread(publish)
        await agent.wait(News, 3)
        told = [(news.kind, news.version, news.document) for news in agent.of(News)]
        assert told == [("nodes", 1, None), ("computer", 1, None), ("stamp", 1, stamp)]
    async with agent_of(node, tenant) as agent:
        await agent.wait(News, 3)
        assert {news.kind for news in agent.of(News)} == {"computer", "stamp", "nodes"}


# ---------------------------------------------------------------- refusals


async def test_a_refused_request_has_one_record(node: NodeProcess, tenant: Tenant) -> None:
    async with agent_of(node, tenant), client_of(node, tenant) as client:
        ended = await end_of(client)
        assert ended.code == "DENIED"
    record = await asyncio.to_thread(node.record, kind="END", attempt=ended.attempt)
    assert (record["routed"], record["code"], record["stage"]) == (False, "DENIED", "route")
    assert (record["organisation"], record["client"]) == (tenant.id.hex(), tenant.client.hex())
    assert len(_of(node, tenant)) == 1


async def test_unknown_foreign_and_not_granted_are_one_answer(node: NodeProcess, tenant: Tenant) -> None:
    foreign = Tenant(now=tenant.now)
    node.admit(foreign)
    node.publish(foreign)
    node.publish(tenant)
    with node.organisation(tenant, Role.ADMIN) as admin:
        admin.post_document(tenant.document(2, grants=[]))
    codes = set()
    for computer in (b"\x00" * 10, foreign.computer, tenant.computer):
        async with client_of(node, tenant, computer) as client:
            codes.add((await end_of(client)).code)
    assert codes == {"DENIED"}


@pytest.mark.parametrize("missing", ["stamp", "revocations"])
async def test_without_fresh_documents_nobody_is_joined(
    node: NodeProcess, tenant: Tenant, missing: str
) -> None:
    with node.organisation(tenant, Role.ADMIN) as admin:
        admin.post_document(tenant.document())
        if missing != "revocations":
            admin.post_document(tenant.revocations())
    if missing != "stamp":
        with node.organisation(tenant, Role.KEEPER) as keeper:
            keeper.post_document(tenant.stamp())
    async with agent_of(node, tenant), client_of(node, tenant) as client:
        assert (await end_of(client)).code == "POLICY_STALE"


async def test_an_absent_agent_is_said_to_be_absent(node: NodeProcess, tenant: Tenant) -> None:
    node.publish(tenant)
    async with client_of(node, tenant) as client:
        ended = await end_of(client)
        assert ended.code == "ABSENT"
    record = await asyncio.to_thread(node.record, kind="END", attempt=ended.attempt)
    assert (record["routed"], record["code"]) == (True, "ABSENT")
    # `here` was decided, so there is a START, and one END.
    assert [record["kind"] for record in _of(node, tenant)] == ["START", "END"]


# ---------------------------------------------------------------- taking away


async def _open_session(client: RunningClient) -> str:
    return (await client.wait(SessionOpened)).attempt


async def test_a_revocation_ends_the_live_session(node: NodeProcess, tenant: Tenant) -> None:
    node.publish(tenant)
    async with agent_of(node, tenant), client_of(node, tenant) as client:
        attempt = await _open_session(client)
        began = time.monotonic()

        def revoke() -> None:
            with node.organisation(tenant, Role.ADMIN) as admin:
                admin.post_document(tenant.revocations(2, [tenant.client]))

        await asyncio.to_thread(revoke)
        await end_of(client)
        assert time.monotonic() - began < 5
    end = await asyncio.to_thread(node.record, kind="END", attempt=attempt)
    assert end["code"] == "REVOKED"
    async with client_of(node, tenant) as client:
        assert (await end_of(client)).code == "REVOKED"


async def test_a_suspension_ends_the_live_session(node: NodeProcess, tenant: Tenant) -> None:
    node.publish(tenant)
    async with agent_of(node, tenant), client_of(node, tenant) as client:
        attempt = await _open_session(client)

        def suspend() -> None:
            with node.control() as control:
                control.suspend(tenant.id, "test")

        await asyncio.to_thread(suspend)
        await end_of(client)
    end = await asyncio.to_thread(node.record, kind="END", attempt=attempt)
    assert end["code"] == "SUSPENDED"


# ---------------------------------------------------------------- what Python is asked


async def test_only_connect_is_asked_of_python(node: NodeProcess, tenant: Tenant) -> None:
    node.publish(tenant)
    agent = tenant.files(node.folder, Role.AGENT)
    before = node.statistics()["routes_decided"]
    instance = "ab" * 16
    for counter in range(1, 1_001):
        leg = await OuterLeg.dial(node.address, agent)
        assert (await leg.hello("agent", instance=instance, counter=counter)).name == "WELCOME"
        if counter % 100 == 0:
            await leg.send("KEEPALIVE", ask=True)
        leg.close()
    assert node.statistics()["routes_decided"] == before
    # The count can rise: it is the right one.
    client = await OuterLeg.dial(node.address, tenant.files(node.folder, Role.CLIENT))
    assert (await client.hello("client")).name == "WELCOME"
    await client.send("CONNECT", computer=tenant.computer.hex(), service="rfb", attempt="0102030405")
    await client.receive()
    client.close()
    assert node.statistics()["routes_decided"] == before + 1


# ---------------------------------------------------------------- one after another


async def test_a_client_that_answers_paired_at_once_is_heard(tmp_path: Path) -> None:
    # The record becomes durable in one thread while the worker runs in another: the first bytes of a path
    # must never meet a leg that does not know yet that it is one.
    with NodeProcess(tmp_path, environment={"TELERELAY_NODE_WORKERS": "1"}) as node:
        tenant = Tenant(now=int(time.time()))
        # No device may ask so often that it could be guessing.
        devices = [tenant.colleague() for _ in range(4)]
        node.admit(tenant)
        node.publish(tenant)
        with node.organisation(tenant, Role.ADMIN) as admin:
            admin.post_document(tenant.document(2, [Grant(one.client, "a client") for one in devices]))
        with node.organisation(tenant, Role.KEEPER) as keeper:
            keeper.post_document(tenant.stamp(epoch=2, document_version=2))
        async with agent_of(node, tenant):
            for device in devices * 25:
                async with client_of(node, device) as client:
                    await client.wait(SessionOpened, timeout=8)
