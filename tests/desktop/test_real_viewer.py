"""Somebody at home: a real viewer, TigerVNC's, on a screen of its own, opened by `connect`."""

from dataclasses import replace
from statistics import fmean

from PIL import Image, ImageChops, ImageStat

from telerelay.demo.capture import capture_desktop
from telerelay.demo.desktop import Desktop, open_desktop
from tests.desktop.test_commands import connecting
from tests.kit.condition import eventually
from tests.kit.desktop import open_terminal, paint, random_picture
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


async def test_a_person_sees_the_office_and_types_into_it(world: World, desktop: Desktop) -> None:
    picture = random_picture(SIZE, seed=41)
    text = "written at home"
    async with (
        open_desktop(size=HOME_SIZE) as home,
        world.node(),
        world.agent(desktop),
        connecting(_at(world, home)) as program,
    ):
        search = ("search", "--sync", "--onlyvisible", "--class", "TigerVNC Viewer")
        # Nobody manages windows here: somebody has to put it where we look, and to give it the keys.
        await home.run("xdotool", *search, "windowmove", "--sync", "0", "0", "windowfocus", "--sync")
        await home.run("xdotool", "mousemove", "--sync", "900", "700")
        await paint(desktop, picture)
        async with capture_desktop(home.host, home.port) as capture:
            await capture.picture_when(lambda image: _difference(image.crop((0, 0, *SIZE)), picture) < LOSS)
        terminal = await open_terminal(desktop)
        await home.run("xdotool", "mousemove", "--sync", "60", "60", "type", "--delay", "20", f"{text}\n")
        assert await terminal.line(1) == text
        await home.run("xdotool", *search, "windowclose")
        await eventually(lambda: program.process.returncode is not None)
        assert await program.end() == "ended with status 0"
