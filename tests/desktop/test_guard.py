"""The guard in the installed programs: screen, keyboard and mouse pass, nothing else (docs/GUARD.md)."""

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from telerelay.demo.capture import capture_desktop
from telerelay.demo.desktop import Desktop, open_desktop
from telerelay.demo.programs import Program
from tests.desktop.conftest import SIZE
from tests.kit.desktop import paint, random_picture, selection
from tests.kit.rfb import cut_text, open_viewer
from tests.kit.world import World

FROM_HOME = b"salary list 4711"
FROM_OFFICE = b"list of voters"
UPDATE = 16 * 16 * 4
"""The least that an answer to `Viewer.ask` has."""


async def code_of_the_end(program: Program) -> str:
    """The code with which the agent's session ended."""
    ended = await program.event(lambda event: event.get("event") == "session_ended", 15)
    return str(ended["code"])


async def test_no_text_crosses_and_a_file_ends_its_session_alone(world: World, desktop: Desktop) -> None:
    async with world.open(desktop) as (_, agent, client), AsyncExitStack() as stack:
        viewer, other, direct = [
            await stack.enter_async_context(open_viewer(host, port))
            for host, port in (
                (client.host, client.port),
                (client.host, client.port),
                (desktop.host, desktop.port),
            )
        ]
        viewer.say(cut_text(FROM_HOME))
        for one in (viewer, direct):
            one.ask()
            await one.sees(UPDATE)
        assert await selection(desktop) == b""
        direct.say(cut_text(FROM_HOME))
        direct.ask()
        await direct.sees(UPDATE)
        assert await selection(desktop) == FROM_HOME

        (desktop.folder / "text").write_bytes(FROM_OFFICE)
        await desktop.start("xclip", "-i", "-selection", "clipboard", str(desktop.folder / "text"))
        # The one who looks without a guard has it: so the other was told as well.
        while FROM_OFFICE not in direct.seen:
            await direct.sees(1)
        viewer.ask()
        await viewer.sees(UPDATE)
        assert FROM_OFFICE not in viewer.seen

        # A file transfer of TightVNC.
        other.say(b"\x84" + bytes(8))
        await other.is_put_out()
        assert await code_of_the_end(agent.program) == "POLICY_FILE"
        viewer.ask()
        await viewer.sees(UPDATE)


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
