"""Somebody at home: a real viewer, TigerVNC's, on a screen of its own, opened by `connect`."""

import asyncio
import json
import re
from dataclasses import replace
from statistics import fmean

from PIL import Image, ImageChops, ImageStat

from telerelay.demo.capture import capture_desktop
from telerelay.demo.desktop import Desktop, open_desktop
from tests.desktop.test_commands import LINE, connecting, said
from tests.kit.condition import eventually
from tests.kit.desktop import THE_VIEWER, face_viewer, open_terminal, paint, random_picture
from tests.kit.node import NodeProcess
from tests.kit.world import World

SIZE = (640, 480)
# The office's screen, and around it what a viewer's window may need.
HOME_SIZE = (1024, 768)
# Of 256, on average: the viewer asks for JPEG, which costs one; pictures with nothing in common differ by 85.
LOSS = 4


def _at(world: World, home: Desktop) -> World:
    """The same world, its client in front of `home`."""
    shown = {"DISPLAY": home.display, "XAUTHORITY": str(home.folder / "Xauthority")}
    commands = replace(world.commands, environment={**world.commands.environment, **shown})
    return replace(world, commands=commands)


def _difference(seen: Image.Image, picture: Image.Image) -> float:
    return fmean(ImageStat.Stat(ImageChops.difference(seen, picture)).mean)


async def _path_kinds(world: World) -> dict[str, str]:
    """How the sessions of the office travel, by their attempts, as `status` says it there."""
    said = await world.commands.run("telerelay-agent", "status", "--data", str(world.agent_data), "--json")
    kinds: dict[str, str] = json.loads(said)["path_kinds"]
    return kinds


def _live(node: NodeProcess) -> dict[str, int]:
    """Live sessions by path kind, as monitoring reads them."""
    found = re.findall(
        r'^telerelay_sessions{path_kind="(\w+)",traffic="staff"} (\d+)',
        node.ask("/metrics").text,
        re.MULTILINE,
    )
    return {kind: int(count) for kind, count in found}


async def test_a_person_sees_the_office_and_types_into_it(world: World, desktop: Desktop) -> None:
    picture = random_picture(SIZE, seed=41)
    text = "written at home"
    with world.node_process() as node:
        async with (
            open_desktop(size=HOME_SIZE) as home,
            world.agent(desktop),
            connecting(_at(world, home)) as program,
        ):
            await face_viewer(home)
            await paint(desktop, picture)
            async with capture_desktop(home.host, home.port) as capture:
                await capture.picture_when(
                    lambda image: _difference(image.crop((0, 0, *SIZE)), picture) < LOSS
                )
            terminal = await open_terminal(desktop)
            typing = ("type", "--delay", "20", f"{text}\n")
            await home.run("xdotool", "mousemove", "--sync", "60", "60", *typing)
            assert await terminal.line(1) == text
            shown = LINE.search(said(program))
            assert shown is not None
            kind, attempt = shown.groups()
            assert kind == "direct"
            assert await _path_kinds(world) == {attempt: "direct"}
            assert await asyncio.to_thread(_live, node) == {"wrapped": 0, "mixed": 0, "direct": 1}
            # Every byte of what was seen and typed went through the engine.
            counted = await asyncio.to_thread(node.statistics)
            assert counted["engine.bytes_to_client"] > picture.width * picture.height // 10
            await home.run("xdotool", *THE_VIEWER, "windowclose")
            await eventually(lambda: program.process.returncode is not None)
            assert await program.end() == "ended with status 0"
        end = await asyncio.to_thread(node.record, kind="END", attempt=attempt)
        # Whether viewer or `connect` was the first to go does not matter.
        assert end["code"] in ("DONE", "VIEWER_GONE")
        assert end["path_kind"] == "direct"
