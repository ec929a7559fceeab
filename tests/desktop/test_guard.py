"""The guard in front of a real desktop: screen, keyboard and mouse pass, nothing else (docs/GUARD.md)."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from telerelay.demo.capture import capture_desktop
from telerelay.demo.desktop import Desktop, open_desktop
from telerelay.demo.pair import Agent
from telerelay.demo.programs import Program
from tests.desktop.conftest import SIZE
from tests.kit.desktop import paint, random_picture
from tests.kit.rfb import Viewer, open_viewer
from tests.kit.world import World

LATIN = b"salary list 4711"
FULL_UPDATE = 16 * 16 * 4
EXTENDED_CLIPBOARD = bytes.fromhex("02 00 0002 c0a1e5ce 00000000")
CUT_TEXT = b"\x06\0\0\0" + len(LATIN).to_bytes(4) + LATIN


@asynccontextmanager
async def looking(world: World, desktop: Desktop) -> AsyncIterator[tuple[Agent, Viewer]]:
    """A viewer in front of the desktop, by way of everything."""
    async with world.open(desktop) as (_, agent, client), open_viewer(client.host, client.port) as viewer:
        yield agent, viewer


async def code_of_the_end(program: Program) -> str:
    """The code with which the agent's session ended."""
    ended = await program.event(lambda event: event.get("event") == "session_ended", 15)
    return str(ended["code"])


async def selection(desktop: Desktop) -> bytes:
    """What somebody at the office would paste; empty where nobody owns it."""
    return (await desktop.run("sh", "-c", "xclip -o -selection clipboard 2>/dev/null || true")).encode()


async def test_what_is_copied_at_home_does_not_reach_the_office(world: World, desktop: Desktop) -> None:
    async with looking(world, desktop) as (_, viewer):
        viewer.say(EXTENDED_CLIPBOARD + CUT_TEXT)
        # Behind it, so that it would have been there before this is answered.
        viewer.ask()
        await viewer.sees(FULL_UPDATE)
        assert await selection(desktop) == b""
    async with open_viewer(desktop.host, desktop.port) as direct:
        direct.say(CUT_TEXT)
        direct.ask()
        await direct.sees(FULL_UPDATE)
        assert await selection(desktop) == LATIN


async def test_what_is_copied_at_the_office_does_not_go_home(world: World, desktop: Desktop) -> None:
    async with open_viewer(desktop.host, desktop.port) as direct, looking(world, desktop) as (_, viewer):
        for one in (direct, viewer):
            one.ask()
            await one.sees(FULL_UPDATE)
        await desktop.start("sh", "-c", f"printf '%s' '{LATIN.decode()}' | xclip -i -selection clipboard")
        # The one who looks without a guard has it: so the other was told as well.
        while LATIN not in direct.seen:
            await direct.sees(1)
        viewer.ask()
        await viewer.sees(FULL_UPDATE)
        assert LATIN not in viewer.seen


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"\x07\x01\x00\x00" + bytes(8), "POLICY_FILE"),
        (b"\x84" + bytes(8), "POLICY_FILE"),
        (b"\x0b" + bytes(8), "POLICY_UNKNOWN"),
        (b"\xfa\x00\x01\x02", "POLICY_UNKNOWN"),
    ],
)
async def test_a_message_that_is_not_screen_keyboard_or_mouse_ends_its_session_alone(
    world: World, desktop: Desktop, message: bytes, code: str
) -> None:
    async with world.open(desktop) as (_, agent, client), AsyncExitStack() as stack:
        honest = await stack.enter_async_context(open_viewer(client.host, client.port))
        other = await stack.enter_async_context(open_viewer(client.host, client.port))
        other.say(message)
        await other.is_put_out()
        assert await code_of_the_end(agent.program) == code
        honest.ask()
        await honest.sees(FULL_UPDATE)


async def test_the_agent_logs_in_to_a_desktop_that_has_a_password(world: World, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret!\n")
    file.chmod(0o600)
    told = {"TELERELAY_AGENT_DESKTOP_PASSWORD_FILE": str(file)}
    knowing = replace(world.commands, environment={**world.commands.environment, **told})
    picture = random_picture(SIZE, seed=61)
    async with open_desktop(size=SIZE, password="s3cret!") as desktop, world.node():
        async with (
            world.agent(desktop, knowing) as agent,
            world.client() as client,
            capture_desktop(client.host, client.port) as capture,
        ):
            await paint(desktop, picture)
            await capture.picture_when(lambda image: image.tobytes() == picture.tobytes())
            assert "s3cret" not in agent.program.log.read_text()
        async with world.agent(desktop) as agent, world.client():
            assert await code_of_the_end(agent.program) == "DESKTOP_PASSWORD"
