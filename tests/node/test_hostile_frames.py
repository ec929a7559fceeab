"""Frames that have no place, and bytes that are none: their leg ends, and nothing else (PROTOCOL.md §4)."""

import os
from pathlib import Path
from typing import Any

import pytest

from telerelay_core import AgentOffline, DoorOpen, News, SessionEnded
from tests.kit.condition import eventually
from tests.kit.hostile.endpoints import end_of, online
from tests.kit.hostile.node.leg import Leg
from tests.kit.hostile.scripts import ATTEMPT, FirstLeg, pair_agent, pair_client
from tests.kit.hostile.world import World, open_world
from tests.kit.malformed import KEEPALIVE, MALFORMED, NEWS, raw

NODE = {"name": "first", "addresses": ["127.0.0.1:1"]}
PATH_ID = bytes(16).hex()
MISPLACED: dict[str, dict[str, Any]] = {
    "SWITCH": {},
    "ACCEPT": {"path": PATH_ID},
    "REFUSE": {"path": PATH_ID, "attempt": ATTEMPT, "code": "DENIED"},
    "CONNECT": {"computer": bytes(10).hex(), "service": "rfb", "attempt": ATTEMPT},
    "SESSION_END": {"path": PATH_ID, "code": "DONE", "stage": "session", "notices": []},
    "HELLO": {
        "version": 1,
        "role": "client",
        "features": [],
        "instance": PATH_ID,
        "counter": 1,
        "program": "x",
    },
    "WELCOME": {
        "version": 1,
        "features": [],
        "node": "first",
        "keepalive": 45,
        "nodes_version": 0,
        "return_window": 1,
    },
}
FOR_AGENTS: dict[str, dict[str, Any]] = {
    "KEEPALIVE": {"ask": True},
    "GOAWAY": {"nodes": [NODE], "spread": 1},
    "CUT": {"path": PATH_ID, "code": "CUT"},
    "NEWS": {"kind": "stamp", "version": 1},
    "INCOMING": {
        "path": PATH_ID,
        "attempt": ATTEMPT,
        "client": bytes(32).hex(),
        "service": "rfb",
        "address": "x",
        "program": "x",
    },
}


async def send(leg: Leg, what: str) -> None:
    """A case of the tables above."""
    if what in MALFORMED:
        await leg.send_bytes(MALFORMED[what])
    elif what == "PATH":
        await leg.send_path(b"\x16\x03\x01\x00\x01\x01")
    else:
        await leg.send(what, **(MISPLACED | FOR_AGENTS)[what])


# ---------------------------------------------------------------- before there is a path


@pytest.mark.parametrize("what", [*MALFORMED, *MISPLACED, "PATH"])
async def test_a_ready_agent_ends_the_leg(tmp_path: Path, what: str) -> None:
    world = World(tmp_path)

    async def lie(leg: Leg) -> None:
        await send(leg, what)
        last = (await leg.ended())[-1]
        assert (last.name, last.fields["code"]) == ("ERROR", "BAD_FRAME")

    first = FirstLeg(lie)
    world.gate.serve = first
    async with open_world(world), world.agent() as agent:
        await first.done.wait()
        assert (await agent.wait(AgentOffline)).code == "BAD_FRAME"


@pytest.mark.parametrize("what", [*MALFORMED, *MISPLACED, *FOR_AGENTS, "PATH"])
async def test_an_asking_client_ends(tmp_path: Path, what: str) -> None:
    world = World(tmp_path)

    async def lie(leg: Leg) -> None:
        await leg.expect("CONNECT")
        await send(leg, what)
        last = (await leg.ended())[-1]
        assert (last.name, last.fields["code"]) == ("ERROR", "BAD_FRAME")

    world.gate.serve = FirstLeg(lie)
    async with open_world(world), world.client() as client:
        assert await client.code() == "BAD_FRAME"
        assert (await end_of(client)).stage == "route"
        assert not client.of(DoorOpen)


async def test_an_unknown_frame_that_is_not_critical_is_skipped(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def go_on(leg: Leg) -> None:
        await leg.send_bytes(raw(0x7F, os.urandom(1024), flags=0))
        await leg.send("KEEPALIVE", ask=True)
        assert await leg.expect("KEEPALIVE") == {"ask": False, "return_window": None}

    first = FirstLeg(go_on)
    world.gate.serve = first
    async with open_world(world), world.agent() as agent:
        await first.done.wait()
        assert not agent.of(AgentOffline)


async def test_a_frame_may_come_byte_by_byte(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def dribble(leg: Leg) -> None:
        for byte in raw(KEEPALIVE, b"\xa1\x00\xf5"):
            await leg.send_bytes(bytes([byte]))
        assert await leg.expect("KEEPALIVE") == {"ask": False, "return_window": None}

    first = FirstLeg(dribble)
    world.gate.serve = first
    async with open_world(world), world.agent():
        await first.done.wait()


async def test_an_agent_follows_no_redirect(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def lie(leg: Leg) -> None:
        await leg.send("REDIRECT", node=NODE)
        assert (await leg.ended())[-1].fields["code"] == "UNSUPPORTED"

    first = FirstLeg(lie)
    world.gate.serve = first
    async with open_world(world), world.agent():
        await first.done.wait()


async def test_another_version_is_told(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.gate.welcome["version"] = 2
    world.gate.serve = Leg.ended
    async with open_world(world), world.client() as client:
        assert await client.code() == "VERSION"


async def test_a_code_that_is_not_known_yet_is_shown_as_it_is(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def refuse(leg: Leg) -> None:
        asked = await leg.expect("CONNECT")
        await leg.send("ERROR", code="OUT_OF_COFFEE", retry=7, server_time=1, attempt=asked["attempt"])

    world.gate.serve = FirstLeg(refuse)
    async with open_world(world), world.client() as client:
        assert await client.code() == "OUT_OF_COFFEE"
        assert (await end_of(client)).retry_after_s == 7


async def test_a_circle_of_redirects_ends(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def on(leg: Leg) -> None:
        asked = await leg.expect("CONNECT")
        node = {"name": "first", "addresses": [world.gate.address]}
        await leg.send("REDIRECT", node=node, attempt=asked["attempt"])
        await leg.ended()

    world.gate.serve = on
    async with open_world(world), world.client() as client:
        assert await client.code() == "UNREACHABLE"
        assert len(world.gate.legs) == 4


# ---------------------------------------------------------------- on a path


@pytest.mark.parametrize("what", [*MALFORMED, *MISPLACED, *FOR_AGENTS])
async def test_a_path_of_a_client_ends(tmp_path: Path, what: str) -> None:
    world = World(tmp_path)

    async def lie(leg: Leg) -> None:
        await pair_client(leg)
        await leg.receive()
        await send(leg, what)
        # Behind PAIRED a node is told nothing any more.
        assert await leg.ended() == []

    world.gate.serve = FirstLeg(lie)
    async with open_world(world), world.client() as client:
        assert await client.code() == "PATH_LOST"
        assert (await end_of(client)).stage == "inner"
        assert not client.of(DoorOpen)


@pytest.mark.parametrize("what", [*MALFORMED, *MISPLACED, *FOR_AGENTS])
async def test_a_path_of_an_agent_ends(tmp_path: Path, what: str) -> None:
    world = World(tmp_path)

    async def lie(leg: Leg) -> None:
        await pair_agent(leg, world.client_certificate.id)
        await send(leg, what)
        assert await leg.ended() == []

    first = FirstLeg(lie)
    world.gate.serve = first
    async with open_world(world), world.agent() as agent:
        end = await end_of(agent)
        assert (end.code, end.stage) == ("PATH_LOST", "inner")
        await eventually(lambda: [report["code"] for report in first.reports] == ["PATH_LOST"])
        assert not world.desktop.connections


@pytest.mark.parametrize("end", ["agent", "client"])
@pytest.mark.parametrize("what", ["SWITCH", "KEEPALIVE", "unknown critical type", "PATH above its maximum"])
async def test_a_session_ends_with_its_path_and_takes_no_harm_before(
    tmp_path: Path, what: str, end: str
) -> None:
    world = World(tmp_path)
    async with open_world(world), world.session() as (agent, client):
        reader, _ = await client.viewer()
        assert await reader.readexactly(12) == b"RFB 003.008\n"
        await online(agent, 2)
        pairing = world.relay.pairings[0]
        await send(pairing.agent if end == "agent" else pairing.client, what)
        # The session ended with its path at the agent, where the client asks for it once more.
        assert await client.code() == "SESSION_GONE"
        assert (await end_of(agent)).code == "PATH_LOST"
        assert await reader.read() == b""
        assert world.desktop.received == b""


# ---------------------------------------------------------------- too much


async def test_a_flood_on_the_ready_connection_ends_nothing_but_that(tmp_path: Path) -> None:
    """A node that never reads what it asks for: the agent gives that leg up, and comes back."""
    world = World(tmp_path)

    async def flood(leg: Leg) -> None:
        ping = raw(KEEPALIVE, b"\xa1\x00\xf5")
        news = raw(NEWS, b"\xa2\x00\x01\x01\x01", flags=0)
        for _ in range(500):
            await leg.send_bytes((ping + news) * 200)
        leg.close()

    first = FirstLeg(flood)
    world.gate.serve = first
    async with open_world(world), world.agent() as agent:
        await first.done.wait()
        await online(agent, 2)
        assert agent.of(News)
        assert not agent.of(SessionEnded)
