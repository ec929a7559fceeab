"""One ready connection and more who want it: who is served, who waits, who is told that nobody is there."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from telerelay_core import SessionEnded, SessionOpened, format_attempt_id
from telerelay_endpoint.certificates import Role
from telerelay_endpoint.payloads import Grant
from tests.kit.beside import beside, counting
from tests.kit.condition import eventually
from tests.kit.hostile.desktop import open_desktop
from tests.kit.hostile.endpoints import RunningClient, end_of
from tests.kit.machines import Machines, is_stopped, stopped
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import NodeProcess
from tests.kit.outer_leg import OuterLeg
from tests.kit.rfb import look, ring, ring_once
from tests.kit.tenant import Tenant

GAP_WAIT_MS = 3_000
ACCEPT_MS = 5_000


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with NodeProcess(tmp_path_factory.mktemp("n")) as running:
        yield running


def _admitted(node: NodeProcess) -> Tenant:
    made = Tenant(now=int(time.time()))
    node.admit(made)
    node.publish(made)
    return made


@pytest.fixture
def tenant(node: NodeProcess) -> Tenant:
    return _admitted(node)


async def _decided(node: NodeProcess, count: int) -> None:
    """Wait until so many requests were decided, since the node began."""
    await eventually(lambda: node.statistics()["routes_decided"] >= count)


async def _ends(node: NodeProcess, *attempts: str) -> list[dict[str, Any]]:
    """The END of each attempt; each has one START before it, and nothing else."""
    ends = [await asyncio.to_thread(node.record, kind="END", attempt=attempt) for attempt in attempts]
    recorded = node.records()
    for attempt in attempts:
        kinds = [record["kind"] for record in recorded if record.get("attempt") == attempt]
        assert kinds == ["START", "END"]
    return ends


# ---------------------------------------------------------------- two for one


async def _outcome(client: RunningClient) -> str:
    """`open`, or the code of a refusal."""
    await eventually(lambda: bool(client.of(SessionOpened) or client.of(SessionEnded)))
    return "open" if client.of(SessionOpened) else client.of(SessionEnded)[0].code


async def test_two_race_for_one_ready_connection(node: NodeProcess, tenant: Tenant, tmp_path: Path) -> None:
    rival = tenant.colleague()
    grants = [Grant(tenant.client, "one"), Grant(rival.client, "the other")]
    with node.organisation(tenant, Role.ADMIN) as admin, node.organisation(tenant, Role.KEEPER) as keeper:
        admin.post_document(tenant.document(2, grants))
        keeper.post_document(tenant.stamp(2, 2))
    before = node.statistics()["routes_decided"]
    async with (
        open_desktop(ring) as desktop,
        Machines(node, tenant, tmp_path).agent(desktop.address) as agent,
        AsyncExitStack() as clients,
    ):
        # Stopped, it takes no request and dials nothing before both have asked for its one connection.
        with stopped(agent.program.pid):
            await is_stopped(agent.program.pid)
            one = await clients.enter_async_context(client_of(node, tenant))
            other = await clients.enter_async_context(client_of(node, rival))
            await _decided(node, before + 2)
            assert node.statistics()["attempts"] == 2
        outcomes = {await _outcome(one): one, await _outcome(other): other}
        # The agent has one person at a time, and the second came as far as to hear that from it.
        assert set(outcomes) == {"open", "BUSY"}
        reader, writer = await outcomes["open"].viewer()
        await look(reader, writer)
        await ring_once(reader, writer)
        won, lost = outcomes["open"].of(SessionOpened)[0], outcomes["BUSY"].of(SessionEnded)[0]
    ends = await _ends(node, won.attempt, lost.attempt)
    assert [(end["code"], end["path_kind"]) for end in ends] == [("DONE", "direct"), ("BUSY", "direct")]
    assert ends[0]["path"] != ends[1]["path"]


async def test_those_who_wait_are_served_in_order_and_the_fifth_is_not_let_wait(
    node: NodeProcess, tenant: Tenant
) -> None:
    instance = os.urandom(16).hex()
    agent = await _ready(node, tenant, instance, 1)
    before = node.statistics()["routes_decided"]
    clients = []
    for number in range(6):
        clients.append(await _asks(node, tenant, number))
        await _decided(node, before + 1 + number)
    # The first has the connection, four wait for the next, and that is how many may.
    assert (await _incoming(agent))["attempt"] == _attempt(0)
    assert await _refusal(clients[5]) == "BUSY"

    again = await _ready(node, tenant, instance, 2)
    incoming = await _incoming(again)
    assert incoming["attempt"] == _attempt(1)
    await again.send("REFUSE", path=incoming["path"], attempt=_attempt(1), code="POLICY_STALE")
    assert await _refusal(clients[1]) == "POLICY_STALE"
    # Whoever refuses is ready again at once; whoever leaves instead is not.
    assert (await _incoming(again))["attempt"] == _attempt(2)
    again.close()
    assert [await _refusal(client) for client in clients[2:5]] == ["ABSENT"] * 3
    # It never answered.
    assert await _refusal(clients[0]) == "ABSENT"

    ends = await _ends(node, *(format_attempt_id(bytes.fromhex(_attempt(number))) for number in range(6)))
    codes = ["ABSENT", "POLICY_STALE", "ABSENT", "ABSENT", "ABSENT", "BUSY"]
    assert [end["code"] for end in ends] == codes
    assert [end["stage"] for end in ends] == ["accept", "accept", "accept", "claim", "claim", "claim"]
    lasted = [end["duration_ms"] for end in ends]
    assert lasted[0] >= ACCEPT_MS > lasted[3] >= GAP_WAIT_MS
    assert max(lasted[1], lasted[2], lasted[5]) < GAP_WAIT_MS
    agent.close()
    for client in clients:
        client.close()


async def _ready(node: NodeProcess, tenant: Tenant, instance: str, counter: int) -> OuterLeg:
    """A ready connection of the tenant's agent, by hand."""
    leg = await OuterLeg.dial(node.address, tenant.files(node.folder, Role.AGENT))
    assert (await leg.hello("agent", instance=instance, counter=counter)).name == "WELCOME"
    return leg


async def _incoming(agent: OuterLeg) -> Mapping[str, Any]:
    """What the agent is asked next, behind whatever NEWS there is."""
    while (frame := await agent.receive()).name == "NEWS":
        pass
    assert frame.name == "INCOMING"
    return frame.fields


async def _asks(node: NodeProcess, tenant: Tenant, number: int) -> OuterLeg:
    """A client that has asked for the tenant's computer."""
    leg = await OuterLeg.dial(node.address, tenant.files(node.folder, Role.CLIENT))
    assert (await leg.hello("client")).name == "WELCOME"
    await leg.send("CONNECT", computer=tenant.computer.hex(), service="rfb", attempt=_attempt(number))
    return leg


def _attempt(number: int) -> str:
    return f"{number:010x}"


async def _refusal(client: OuterLeg) -> str:
    frame = await client.receive()
    assert frame.name == "ERROR"
    return str(frame.fields["code"])


# ---------------------------------------------------------------- the gap


async def test_who_asks_while_the_agent_is_away_gets_it_when_it_comes_back(
    node: NodeProcess, tenant: Tenant, tmp_path: Path
) -> None:
    before = node.statistics()["routes_decided"]
    async with open_desktop() as desktop, Machines(node, tenant, tmp_path).agent(desktop.address) as agent:
        os.kill(agent.program.pid, signal.SIGKILL)
        await eventually(lambda: node.statistics()["ready_agents"] == 0)
        async with client_of(node, tenant) as client:
            await _decided(node, before + 1)
            assert not client.of(SessionEnded)
            # As the machine comes back: the same key, another process.
            async with agent_of(node, tenant):
                opened = await client.wait(SessionOpened)
                reader, _ = await client.viewer()
                assert await reader.readexactly(12) == b"RFB 003.008\n"
                client.handle.stop()
                await end_of(client)
    (end,) = await _ends(node, opened.attempt)
    assert end["code"] == "DONE"


async def test_an_agent_that_is_gone_is_waited_for_and_one_that_never_was_is_not(
    node: NodeProcess, tenant: Tenant
) -> None:
    async with agent_of(node, tenant):
        pass
    await eventually(lambda: node.statistics()["ready_agents"] == 0)
    never = _admitted(node)
    async with client_of(node, tenant) as gone, client_of(node, never) as unseen:
        ended = [await end_of(gone), await end_of(unseen)]
    assert [end.code for end in ended] == ["ABSENT", "ABSENT"]
    waited, at_once = await _ends(node, *(end.attempt for end in ended))
    assert waited["duration_ms"] >= GAP_WAIT_MS
    assert at_once["duration_ms"] < waited["duration_ms"] / 2


# ---------------------------------------------------------------- two machines, one key


async def test_a_second_machine_with_the_key_is_turned_away_and_the_session_goes_on(
    node: NodeProcess, tenant: Tenant, tmp_path: Path
) -> None:
    machines = Machines(node, tenant, tmp_path)
    clone = tmp_path / "clone"
    shutil.copytree(machines.folder(Role.AGENT), clone)
    async with (
        beside(node),
        counting(node, {"refused.ID_IN_USE": 1, "ended.SUPERSEDED": 1, "ended.DONE": 1}),
        open_desktop(ring) as desktop,
        machines.agent(desktop.address) as agent,
        client_of(node, tenant) as client,
    ):
        await client.wait(SessionOpened)
        reader, writer = await client.viewer()
        async with machines.running_agent(desktop.address, clone) as second:
            offline = await second.event(lambda event: event.get("event") == "offline", 20)
            assert offline["code"] == "ID_IN_USE"
            # Not for some minutes, so that two clones do not take turns.
            assert offline["retry_ms"] >= 300_000
            assert "online" not in [event.get("event") for event in second.told()]
            await look(reader, writer)
            await ring_once(reader, writer)
        # The first one has its ready connection still: it is asked, and lets the same person in once more.
        async with client_of(node, tenant) as again:
            attempt = (await again.wait(SessionOpened)).attempt
            opened = {"event": "session_opened", "attempt": attempt}
            await agent.program.event(lambda event: opened.items() <= event.items(), 10)
            assert "offline" not in [event.get("event") for event in agent.program.told()]
    assert "a certificate is used by two machines" in node.log.read_text()
