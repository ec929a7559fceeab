"""The office desktop at the client's door, all that is real in between: node, agent, client, organisation."""

import asyncio
import os
import signal

import pytest

from telerelay.demo.capture import capture_desktop
from telerelay.demo.desktop import Desktop
from telerelay.demo.pair import Client
from telerelay.demo.programs import ProgramError
from tests.kit.desktop import open_terminal, paint, random_picture
from tests.kit.world import World

SIZE = (640, 480)


async def test_a_random_picture_arrives_identical_to_the_bit(world: World, desktop: Desktop) -> None:
    picture = random_picture(SIZE, seed=21)
    async with world.open(desktop) as (_, _, client), capture_desktop(client.host, client.port) as capture:
        before = await capture.picture()
        await paint(desktop, picture)
        seen = await capture.picture_when(lambda image: image.tobytes() == picture.tobytes())
        again = await capture.picture()
    assert before.tobytes() != picture.tobytes()
    assert seen.tobytes() == picture.tobytes() == again.tobytes()


async def test_typed_text_appears_on_the_desktop(world: World, desktop: Desktop) -> None:
    text = "Hello, office! 7KQ2-M9XB ~`{}[]|\\"
    async with world.open(desktop) as (_, _, client), capture_desktop(client.host, client.port) as capture:
        terminal = await open_terminal(desktop)
        await capture.type(f"{text}\nsecond\n")
        assert await terminal.line(1) == text
        assert await terminal.line(2) == "second"


async def test_the_picture_freezes_while_the_node_is_stopped(world: World, desktop: Desktop) -> None:
    first, second = random_picture(SIZE, seed=22), random_picture(SIZE, seed=23)
    async with (
        world.open(desktop) as (node, _, client),
        capture_desktop(client.host, client.port, timeout=3) as capture,
    ):
        await paint(desktop, first)
        await capture.picture_when(lambda image: image.tobytes() == first.tobytes())
        os.kill(node.program.pid, signal.SIGSTOP)
        try:
            await paint(desktop, second)
            waiting = asyncio.create_task(
                capture.picture_when(lambda image: image.tobytes() == second.tobytes())
            )
            done, _ = await asyncio.wait([waiting], timeout=2)
            assert not done
        finally:
            os.kill(node.program.pid, signal.SIGCONT)
        assert (await waiting).tobytes() == second.tobytes()


async def test_two_viewers_at_one_door_have_a_session_each(world: World, desktop: Desktop) -> None:
    picture = random_picture(SIZE, seed=24)
    async with world.open(desktop) as (_, agent, client):
        async with (
            capture_desktop(client.host, client.port) as one,
            capture_desktop(client.host, client.port) as two,
        ):
            await paint(desktop, picture)
            for capture in (one, two):
                await capture.picture_when(lambda image: image.tobytes() == picture.tobytes())
        opened = [event for event in client.program.told() if event.get("event") == "opened"]
        assert len({event["session"] for event in opened}) == 2
        assert await client.program.end() == "ended with status 0"
        ended = await agent.program.event(lambda event: event.get("event") == "session_ended", 10)
        assert ended["code"] == "DONE"


async def probe(client: Client, *, patient: bool) -> None:
    """Knock at the door and leave without having sent a byte; a patient one leaves when it was let in."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    if patient:
        assert await reader.readexactly(12) == b"RFB 003.008\n"
    writer.close()
    await writer.wait_closed()
    # One that is gone before it was looked at cannot be told from a stranger.
    known = {"ended"} if patient else {"ended", "door_refused"}
    await client.program.event(lambda event: event.get("event") in known, timeout=15)


@pytest.mark.parametrize("patient", [True, False])
async def test_a_probe_at_the_door_leaves_the_picture_of_a_viewer_alone(
    world: World, desktop: Desktop, *, patient: bool
) -> None:
    first, second = random_picture(SIZE, seed=25), random_picture(SIZE, seed=26)
    async with world.open(desktop) as (_, _, client), capture_desktop(client.host, client.port) as capture:
        await paint(desktop, first)
        await capture.picture_when(lambda image: image.tobytes() == first.tobytes())
        await probe(client, patient=patient)
        await paint(desktop, second)
        await capture.picture_when(lambda image: image.tobytes() == second.tobytes())


@pytest.mark.parametrize("patient", [True, False])
async def test_a_probe_before_the_viewer_leaves_the_door_open(
    world: World, desktop: Desktop, *, patient: bool
) -> None:
    picture = random_picture(SIZE, seed=27)
    async with world.open(desktop) as (_, _, client):
        await probe(client, patient=patient)
        async with capture_desktop(client.host, client.port) as capture:
            await paint(desktop, picture)
            await capture.picture_when(lambda image: image.tobytes() == picture.tobytes())


async def test_the_inner_tls_has_the_hybrid_group(world: World, desktop: Desktop) -> None:
    async with world.open(desktop) as (_, _, client):
        inner = await client.program.event(lambda event: event.get("stage") == "inner", timeout=5)
        assert inner["detail"] == "X25519MLKEM768"


async def test_with_the_node_stopped_nothing_is_shown(world: World, desktop: Desktop) -> None:
    async with world.node(), world.agent(desktop):
        pass
    with pytest.raises(ProgramError, match="client ended with status 4") as failed:
        async with world.client():
            pass
    assert "error[UNREACHABLE]" in failed.value.said
