"""What agent and client do through the independent node when it is honest; its lies stand on this."""

import asyncio
import hashlib
import time
from pathlib import Path

import pytest

from telerelay_core import DoorOpen, Finished, SessionEnded, SessionOpened, SessionRules, StageReached
from tests.kit.condition import eventually
from tests.kit.hostile.desktop import FakeDesktop, echo, open_desktop
from tests.kit.hostile.endpoints import end_of, online
from tests.kit.hostile.world import World, open_world

GREETING = b"RFB 003.008\n"
MIB = 1 << 20
WINDOW = 4 * MIB


async def test_bytes_travel_both_ways_and_a_viewer_that_leaves_ends_it(tmp_path: Path) -> None:
    async with open_world(World(tmp_path)) as world, world.session() as (agent, client):
        reader, writer = await client.viewer()
        assert await reader.readexactly(len(GREETING)) == GREETING
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        assert await client.code() == "DONE"
        ends = await end_of(agent), await end_of(client)
        assert [(end.code, end.stage) for end in ends] == [("DONE", "session")] * 2
        assert [(end.bytes_sent, end.bytes_received) for end in ends] == [(17, 5), (5, 17)]
        assert ends[0].attempt == ends[1].attempt
        assert ends[0].session is not None
        assert ends[0].session == ends[1].session
        assert ends[0].client == world.client_certificate.id
        await eventually(lambda: len(world.relay.reports) == 1)
        report = world.relay.reports[0]
        assert report["path"] == world.relay.pairings[0].path.hex()
        assert report["session"] == ends[0].session.hex()
        assert (report["code"], report["stage"], report["notices"]) == ("DONE", "session", [])


async def test_stages_are_told_in_order_with_the_hybrid_group(tmp_path: Path) -> None:
    async with open_world(World(tmp_path)) as world, world.session() as (_, client):
        await client.wait(DoorOpen)
        reached = client.of(StageReached)
        assert [stage.stage for stage in reached] == [
            "dial",
            "hello",
            "accept",
            "inner",
            "auth",
            "open",
            "session",
        ]
        assert reached[3].detail == "X25519MLKEM768"
        assert [stage.elapsed_ms for stage in reached] == sorted(stage.elapsed_ms for stage in reached)
        assert client.of(SessionOpened)[0].rules == ["sessions=8"]


@pytest.mark.timeout(120)
async def test_an_echo_of_more_than_all_buffers_comes_back_whole(tmp_path: Path) -> None:
    block = hashlib.shake_256(b"a block that is not the same twice").digest(MIB)
    blocks = 64
    async with open_world(World(tmp_path), echo) as world, world.session() as (_, client):
        world.relay.recording = False
        reader, writer = await client.viewer()

        async def send() -> None:
            for number in range(blocks):
                writer.write(number.to_bytes(4, "big") + block)
                await writer.drain()
            writer.write_eof()

        sending = asyncio.create_task(send())
        for number in range(blocks):
            assert await reader.readexactly(4) == number.to_bytes(4, "big")
            assert await reader.readexactly(MIB) == block
        assert await reader.read() == b""
        await sending
        assert await client.code() == "DONE"


async def test_a_frozen_viewer_stops_the_desktop_and_loses_nothing(tmp_path: Path) -> None:
    block = hashlib.shake_256(b"screen").digest(1 << 16)
    blocks = 48 * 16

    async def stream(desktop: FakeDesktop, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while desktop.sent < blocks * len(block):
            writer.write(block)
            await writer.drain()
            desktop.sent += len(block)

    async with open_world(World(tmp_path), stream) as world, world.session() as (agent, client):
        world.relay.recording = False
        reader, _ = await client.viewer()
        looks: list[int] = []

        def has_stopped() -> bool:
            looks.append(world.desktop.sent)
            return looks[-1] >= WINDOW and looks[-50:] == looks[-1:] * 50

        await eventually(has_stopped, timeout=30)
        assert world.desktop.sent < 4 * WINDOW
        assert not agent.of(SessionEnded)
        for _ in range(blocks):
            assert await reader.readexactly(len(block)) == block
        assert await reader.read() == b""
        assert await client.code() == "DESKTOP_LOST"


async def test_half_close_lets_the_desktop_say_the_rest(tmp_path: Path) -> None:
    async def answer_at_the_end(
        _: FakeDesktop, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(GREETING)
        asked = await reader.read()
        writer.write(asked[::-1])

    async with open_world(World(tmp_path), answer_at_the_end) as world, world.session() as (_, client):
        reader, writer = await client.viewer()
        assert await reader.readexactly(len(GREETING)) == GREETING
        writer.write(b"question")
        writer.write_eof()
        assert await reader.read() == b"noitseuq"
        assert await client.code() == "DONE"


async def test_each_viewer_has_a_session_of_its_own(tmp_path: Path) -> None:
    async with open_world(World(tmp_path)) as world, world.session() as (_, client):
        viewers = [await client.viewer() for _ in range(3)]
        for number, (reader, writer) in enumerate(viewers):
            assert await reader.readexactly(len(GREETING)) == GREETING
            writer.write(b"viewer %d" % number)
        for number, (reader, _) in enumerate(viewers):
            assert await reader.readexactly(8) == b"viewer %d" % number
        assert len({opened.session for opened in client.of(SessionOpened)}) == 3
        for number, (_, writer) in enumerate(viewers, start=1):
            assert not client.of(Finished)
            writer.close()
            await end_of(client, number)
        assert await client.code() == "DONE"


async def test_the_session_after_the_limit_is_refused(tmp_path: Path) -> None:
    rules = SessionRules(sessions=1, resume_limit_s=0, idle_timeout_s=0, shown=[])
    async with open_world(World(tmp_path)) as world, world.session() as (agent, client):
        agent.verdict = lambda _incoming: rules
        reader, _ = await client.viewer()
        await reader.readexactly(len(GREETING))
        second, _ = await client.viewer()
        assert await second.read() == b""
        assert (await end_of(client)).code == "SESSIONS"
        assert len(world.desktop.connections) == 1


async def test_a_probe_disturbs_nobody(tmp_path: Path) -> None:
    async with open_world(World(tmp_path)) as world, world.session() as (_, client):
        reader, writer = await client.viewer()
        await reader.readexactly(len(GREETING))
        for number in (1, 2):
            probed, probe = await client.viewer()
            await probed.readexactly(len(GREETING))
            probe.close()
            await end_of(client, number)
        writer.write(b"still here")
        assert await reader.readexactly(10) == b"still here"
        assert not client.of(Finished)
        writer.close()
        assert await client.code() == "DONE"


async def test_a_probe_that_comes_first_leaves_the_door_open(tmp_path: Path) -> None:
    async with open_world(World(tmp_path)) as world, world.session() as (_, client):
        probed, probe = await client.viewer()
        await probed.readexactly(len(GREETING))
        probe.close()
        await end_of(client)
        reader, writer = await client.viewer()
        await reader.readexactly(len(GREETING))
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        assert await client.code() == "DONE"


async def test_a_client_that_stops_ends_its_sessions(tmp_path: Path) -> None:
    async with open_world(World(tmp_path)) as world, world.session() as (agent, client):
        reader, _ = await client.viewer()
        await reader.readexactly(len(GREETING))
        client.handle.stop()
        assert await client.code() == "DONE"
        assert (await end_of(agent)).code == "DONE"


async def test_an_agent_that_stops_leaves_the_computer_absent(tmp_path: Path) -> None:
    async with open_world(World(tmp_path)) as world, world.session() as (agent, client):
        reader, _ = await client.viewer()
        await reader.readexactly(len(GREETING))
        agent.handle.stop()
        assert await client.code() == "ABSENT"
        await eventually(lambda: [report["code"] for report in world.relay.reports] == ["ABSENT"])


async def test_a_desktop_that_is_killed_is_lost(tmp_path: Path) -> None:
    async with open_world(World(tmp_path)) as world, world.session() as (_, client):
        reader, _ = await client.viewer()
        await reader.readexactly(len(GREETING))
        world.desktop.kill()
        assert await client.code() == "DESKTOP_LOST"
        assert await reader.read() == b""


async def test_a_desktop_that_is_not_there_is_absent(tmp_path: Path) -> None:
    async with open_desktop() as gone:
        pass
    async with open_world(World(tmp_path)) as world, world.agent(desktop=gone.address) as agent:
        await online(agent)
        async with world.client() as client:
            assert await client.code() == "DESKTOP_ABSENT"
            assert (await end_of(client)).stage == "open"
            assert (await end_of(agent)).code == "DESKTOP_ABSENT"
            assert not client.of(DoorOpen)


async def test_a_node_that_dies_is_unreachable_within_five_seconds(tmp_path: Path) -> None:
    async with open_world(World(tmp_path)) as world, world.session() as (agent, client):
        reader, _ = await client.viewer()
        await reader.readexactly(len(GREETING))
        died = time.monotonic()
        await world.gate.die()
        assert await client.code() == "UNREACHABLE"
        assert time.monotonic() - died < 5
        assert (await end_of(agent)).code == "PATH_LOST"


async def test_an_agent_that_vanishes_leaves_the_path_lost(tmp_path: Path) -> None:
    async with open_world(World(tmp_path)) as world, world.session() as (_, client):
        reader, _ = await client.viewer()
        await reader.readexactly(len(GREETING))
        agent = world.relay.pairings[0].agent
        agent.close()
        # The client asks once more, and is answered that the session does not live any more.
        assert await client.code() == "SESSION_GONE"


async def test_another_device_is_told_busy(tmp_path: Path) -> None:
    world = World(tmp_path)
    other = world.admit(world.office.client())
    async with open_world(world), world.session() as (_, client):
        reader, writer = await client.viewer()
        await reader.readexactly(len(GREETING))
        async with world.client(other) as second:
            assert await second.code() == "BUSY"
        writer.write(b"still here")
        assert await reader.readexactly(10) == b"still here"


async def test_another_run_of_the_same_device_supersedes(tmp_path: Path) -> None:
    async with open_world(World(tmp_path)) as world, world.session() as (_, client):
        reader, _ = await client.viewer()
        await reader.readexactly(len(GREETING))
        async with world.client() as second:
            reader, writer = await second.viewer()
            assert await client.code() == "SUPERSEDED"
            await reader.readexactly(len(GREETING))
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"


async def test_a_revoked_device_is_cut_and_stays_out(tmp_path: Path) -> None:
    async with open_world(World(tmp_path)) as world, world.session() as (agent, client):
        reader, _ = await client.viewer()
        await reader.readexactly(len(GREETING))
        agent.handle.set_revoked([world.client_certificate.id])
        assert await client.code() == "REVOKED"
        assert (await end_of(agent)).code == "REVOKED"
        async with world.client() as again:
            # The verdict of this agent lets it in; the inner handshake does not.
            assert await again.code() == "IDENTITY"
            end = await end_of(agent, 2)
            assert (end.code, end.stage) == ("REVOKED", "inner")
        assert len(world.desktop.connections) == 1


async def test_a_refusal_of_the_verdict_comes_to_the_client(tmp_path: Path) -> None:
    async with open_world(World(tmp_path)) as world, world.agent() as agent:
        agent.verdict = lambda _incoming: "POLICY_STALE"
        await online(agent)
        async with world.client() as client:
            assert await client.code() == "POLICY_STALE"
        assert not world.relay.pairings
        assert not agent.of(SessionEnded)
