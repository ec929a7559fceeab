"""A node that pairs without consent, twice, or under another name (PROTOCOL.md §5.4, §5.5, §8.1)."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from telerelay_core import AgentOffline, DoorOpen, Incoming, SessionEnded, SessionOpened
from tests.kit.condition import eventually
from tests.kit.hostile.endpoints import RULES, end_of, online
from tests.kit.hostile.node.leg import Leg
from tests.kit.hostile.scripts import ATTEMPT, FirstLeg, ask_agent, pair_agent, pair_client
from tests.kit.hostile.world import World, open_world

GREETING = b"RFB 003.008\n"
Act = Callable[[Leg, World], Awaitable[str]]


# ---------------------------------------------------------------- the agent did not consent


async def paired_before_incoming(leg: Leg, _: World) -> str:
    await leg.send("PAIRED", path=os.urandom(16).hex())
    return "BAD_FRAME"


async def paired_before_accept(leg: Leg, world: World) -> str:
    path = await ask_agent(leg, world.client_certificate.id)
    await leg.send("PAIRED", path=path.hex())
    return "BAD_FRAME"


async def paired_with_another_path(leg: Leg, world: World) -> str:
    await ask_agent(leg, world.client_certificate.id)
    await leg.expect("ACCEPT")
    await leg.send("PAIRED", path=os.urandom(16).hex())
    return "PATH_UNKNOWN"


async def path_before_paired(leg: Leg, world: World) -> str:
    await ask_agent(leg, world.client_certificate.id)
    await leg.expect("ACCEPT")
    await leg.send_path(b"\x16\x03\x01\x00\x01\x01")
    return "BAD_FRAME"


async def asked_twice(leg: Leg, world: World) -> str:
    path = await ask_agent(leg, world.client_certificate.id)
    await ask_agent(leg, world.client_certificate.id, path=path.hex())
    return "BAD_FRAME"


async def asked_again_after_accept(leg: Leg, world: World) -> str:
    path = await ask_agent(leg, world.client_certificate.id)
    await leg.expect("ACCEPT")
    await ask_agent(leg, world.client_certificate.id, path=path.hex())
    return "BAD_FRAME"


@pytest.mark.parametrize(
    "act",
    [
        paired_before_incoming,
        paired_before_accept,
        paired_with_another_path,
        path_before_paired,
        asked_twice,
        asked_again_after_accept,
    ],
)
async def test_an_agent_begins_nothing_that_it_did_not_accept(tmp_path: Path, act: Act) -> None:
    world = World(tmp_path)
    expected: list[str] = []

    async def lie(leg: Leg) -> None:
        expected.append(await act(leg, world))
        assert (await leg.ended())[-1].fields["code"] == expected[0]

    first = FirstLeg(lie)
    world.gate.serve = first
    async with open_world(world), world.agent() as agent:
        accepts = act in {paired_with_another_path, path_before_paired, asked_again_after_accept}
        agent.verdict = (lambda _: RULES) if accepts else (lambda _: None)
        await first.done.wait()
        # It comes back, and has nothing to report: there was no path.
        await online(agent, 2)
        assert [event.code for event in agent.of(AgentOffline)] == ([] if accepts else expected)
        assert not agent.of(SessionEnded)
        assert not first.reports
        assert not world.desktop.connections


async def test_an_agent_that_refused_is_not_paired(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def lie(leg: Leg) -> None:
        path = await ask_agent(leg, world.client_certificate.id)
        refused = await leg.expect("REFUSE")
        assert (refused["path"], refused["attempt"]) == (path.hex(), ATTEMPT)
        assert refused["code"] == "DENIED"
        await leg.send("PAIRED", path=path.hex())
        assert (await leg.ended())[-1].fields["code"] == "BAD_FRAME"

    first = FirstLeg(lie)
    world.gate.serve = first
    async with open_world(world), world.agent() as agent:
        agent.verdict = lambda _: "DENIED"
        await first.done.wait()
        assert not agent.of(SessionEnded)
        assert not world.desktop.connections


async def test_an_agent_serves_no_other_service_than_its_own(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.relay.incoming["service"] = "rdp"
    async with open_world(world), world.session() as (agent, client):
        assert await client.code() == "UNSUPPORTED"
        assert not agent.of(SessionEnded)


async def test_an_agent_resumes_no_session_that_it_does_not_know(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.relay.incoming["resume"] = {"session": os.urandom(16).hex(), "generation": 1}
    async with open_world(world), world.session() as (agent, client):
        assert await client.code() == "SESSION_GONE"
        assert not agent.of(SessionEnded)


# ---------------------------------------------------------------- what both ends were told does not agree


@pytest.mark.parametrize(
    ("to_agent", "to_client"),
    [({"attempt": ATTEMPT}, {}), ({}, {"path": os.urandom(16).hex()})],
    ids=["attempt", "path"],
)
async def test_both_ends_must_mean_the_same_attempt_and_path(
    tmp_path: Path, to_agent: dict[str, str], to_client: dict[str, str]
) -> None:
    """Inside inner TLS OPEN says what the client was told, and the agent compares (§8.1)."""
    world = World(tmp_path)
    world.relay.incoming.update(to_agent)
    world.relay.paired_client.update(to_client)
    async with open_world(world), world.session() as (agent, client):
        assert await client.code() == "IDENTITY"
        end = await end_of(agent)
        assert (end.code, end.bytes_sent, end.bytes_received) == ("IDENTITY", 0, 0)
        assert not agent.of(SessionOpened)
        assert not client.of(DoorOpen)
        assert not world.desktop.connections


async def test_a_path_that_lives_is_not_given_again(tmp_path: Path) -> None:
    """Two sessions of one path would be told apart by nobody: a revocation would end one of them."""
    world = World(tmp_path)
    world.relay.path = os.urandom(16)
    async with open_world(world), world.session() as (agent, client):
        reader, writer = await client.viewer()
        assert await reader.readexactly(len(GREETING)) == GREETING
        await online(agent, 2)
        again = await world.relay.claim(world.agent_certificate.id)
        await ask_agent(again.leg, world.client_certificate.id, path=world.relay.path.hex())
        await eventually(lambda: again.leg.heard[-1].name == "ERROR")
        assert again.leg.heard[-1].fields["code"] == "PATH_UNKNOWN"
        assert len(agent.of(Incoming)) == 1
        writer.write(b"still here")
        assert await reader.readexactly(10) == b"still here"
        await online(agent, 3)
        agent.handle.set_revoked([world.client_certificate.id])
        assert await client.code() == "REVOKED"


# ---------------------------------------------------------------- the client


async def test_a_client_that_is_paired_twice_ends(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def lie(leg: Leg) -> None:
        path = await pair_client(leg)
        await leg.send("PAIRED", path=path.hex())
        assert [frame.name for frame in await leg.ended()] == ["PATH"]

    world.gate.serve = FirstLeg(lie)
    async with open_world(world), world.client() as client:
        assert await client.code() == "PATH_LOST"
        assert (await end_of(client)).stage == "inner"


async def test_an_agent_that_is_paired_twice_ends(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def lie(leg: Leg) -> None:
        path = await pair_agent(leg, world.client_certificate.id)
        await leg.send("PAIRED", path=path.hex())
        assert await leg.ended() == []

    first = FirstLeg(lie)
    world.gate.serve = first
    async with open_world(world), world.agent() as agent:
        end = await end_of(agent)
        assert (end.code, end.stage) == ("PATH_LOST", "inner")
        await eventually(lambda: [report["code"] for report in first.reports] == ["PATH_LOST"])
        assert not world.desktop.connections


async def test_a_client_that_is_paired_with_nobody_ends_with_the_leg(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def lie(leg: Leg) -> None:
        await pair_client(leg)
        await leg.receive()
        leg.close()

    world.gate.serve = FirstLeg(lie)
    async with open_world(world), world.client() as client:
        assert await client.code() == "PATH_LOST"
        assert not client.of(DoorOpen)


async def test_a_client_is_not_paired_before_welcome(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.gate.welcomes = False

    async def lie(leg: Leg) -> None:
        await pair_client(leg)
        assert (await leg.ended())[-1].fields["code"] == "BAD_FRAME"

    world.gate.serve = FirstLeg(lie)
    async with open_world(world), world.client() as client:
        assert await client.code() == "BAD_FRAME"
        assert (await end_of(client)).stage == "hello"
