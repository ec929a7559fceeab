"""What tests do with a real desktop: paint a known picture, read what was typed, listen to what it says."""

import asyncio
import random
import re
import shlex
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from PIL import Image

from telerelay.demo.desktop import Desktop
from tests.kit.condition import eventually
from tests.kit.hostile.desktop import FakeDesktop

# An X bitmap without a single point.
_BLANK: Final = """\
#define blank_width 8
#define blank_height 1
#define blank_x_hot 0
#define blank_y_hot 0
static char blank_bits[] = {
0x00 };
"""
# What xev prints of a key.
_KEY: Final = re.compile(
    r"^Key(Press|Release) event,.*?keycode (\d+) \(keysym 0x([0-9a-f]+),", re.MULTILINE | re.DOTALL
)


def random_picture(size: tuple[int, int], seed: int) -> Image.Image:
    """A picture of which no two pixels agree by accident: RGB, of `size` pixels."""
    return Image.frombytes("RGB", size, random.Random(seed).randbytes(3 * size[0] * size[1]))


async def paint(desktop: Desktop, picture: Image.Image) -> None:
    """Put `picture` on the root window, without a pointer on top of it."""
    blank = desktop.folder / "blank.xbm"
    blank.write_text(_BLANK)
    await desktop.run("xsetroot", "-cursor", str(blank), str(blank))
    file = desktop.folder / "picture.ppm"
    picture.save(file)
    await desktop.run("xloadimage", "-quiet", "-onroot", str(file))


THE_VIEWER: Final = ("search", "--sync", "--onlyvisible", "--class", "TigerVNC Viewer")
"""How xdotool finds TigerVNC's window."""


async def face_viewer(home: Desktop) -> None:
    """Put TigerVNC's viewer where one looks, and give it the keys: nobody manages windows here."""
    await home.run("xdotool", *THE_VIEWER, "windowmove", "--sync", "0", "0", "windowfocus", "--sync")
    await home.run("xdotool", "mousemove", "--sync", "900", "700")


class Terminal:
    """An xterm in the upper left corner that keeps every line typed into it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def line(self, count: int) -> str:
        """The line of this number, from 1, when it was typed to its end."""
        await eventually(lambda: self._file.read_text().count("\n") >= count)
        return self._file.read_text().splitlines()[count - 1]


async def open_terminal(desktop: Desktop) -> Terminal:
    """Show it and wait until it takes keys. Without a window manager they go where the pointer is."""
    file = desktop.folder / "typed.txt"
    await desktop.start("xterm", "-geometry", "80x24+0+0", "-e", "sh", "-c", f"cat > {file}")
    await desktop.run("xdotool", "search", "--sync", "--onlyvisible", "--class", "xterm")
    await desktop.run("xdotool", "mousemove", "--sync", "60", "60")
    await eventually(file.exists)
    return Terminal(file)


@asynccontextmanager
async def moving_picture(desktop: Desktop) -> AsyncIterator[None]:
    """Coloured lines that scroll in a terminal, until the end of the block: then the last of them stay."""
    stop, stopped = (desktop.folder / name for name in ("stop", "stopped"))
    line = r"\033[3$((i % 8));4$((i / 8 % 8))mline $i of what moves\033[0m\n"
    lines = f'while [ ! -e {stop} ]; do i=$((i + 1)); printf "{line}"; sleep 0.005; done'
    await desktop.start(
        "xterm", "-geometry", "40x12+0+0", "-e", "sh", "-c", f"i=0; {lines}; : >{stopped}; exec cat"
    )
    await desktop.run("xdotool", "search", "--sync", "--onlyvisible", "--class", "xterm")
    yield
    stop.touch()
    await eventually(stopped.exists)


class InputLog:
    """A window in the upper left corner that tells of keys and of the pointer's buttons."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def keys(self) -> list[tuple[int, int, bool]]:
        """Each key so far: its code in X, its keysym, whether it went down."""
        found = _KEY.findall(self._file.read_text())
        return [(int(code), int(keysym, 16), kind == "Press") for kind, code, keysym in found]

    @property
    def clicks(self) -> int:
        """How often a button went down."""
        return self._file.read_text().count("ButtonPress event,")

    async def counts_keys(self, count: int) -> list[tuple[int, int, bool]]:
        """The keys, once there are so many."""
        await eventually(lambda: len(self.keys) >= count)
        return self.keys


async def open_input_log(desktop: Desktop) -> InputLog:
    """Show it and wait until it takes keys. Without a window manager they go where the pointer is."""
    file = desktop.folder / "input.txt"
    command = f"exec stdbuf -oL xev -event keyboard -event button -geometry 300x200+0+0 >{file}"
    await desktop.start("sh", "-c", command)
    await desktop.run("xdotool", "search", "--sync", "--onlyvisible", "--name", "Event Tester")
    await desktop.run("xdotool", "mousemove", "--sync", "60", "60")
    return InputLog(file)


async def selection(desktop: Desktop, name: str = "clipboard") -> bytes:
    """What somebody at the office would paste; empty where nobody owns it."""
    return (await desktop.run("sh", "-c", f"xclip -o -selection {name} 2>/dev/null || true")).encode()


async def open_x11vnc(desktop: Desktop, *switches: str) -> tuple[str, int]:
    """Show the same screen by x11vnc: where it speaks RFB."""
    ready = desktop.folder / "x11vnc.port"
    command = [
        *("x11vnc", "-display", desktop.display, "-localhost", "-no6", "-autoport", "5950"),
        *("-flag", str(ready), "-desktop", "office", "-shared", "-forever", "-noxdamage", "-norc", "-nosel"),
        *switches,
    ]
    # Told to end, it may take seconds for it.
    at_once = f"{shlex.join(command)} & trap 'kill -9 $!' TERM; wait"
    await desktop.start("sh", "-c", at_once)
    await eventually(lambda: ready.exists() and ready.read_text().endswith("\n"))
    return "127.0.0.1", int(ready.read_text().removeprefix("PORT="))


class Tap:
    """Serves a real desktop to an agent, and has all that both say of one session: the last."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._agent: StreamWriter | None = None
        self.said = bytearray()
        self.told = bytearray()

    async def __call__(self, _desktop: FakeDesktop, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve one session."""
        self.said, self.told, self._agent = bytearray(), bytearray(), writer
        from_desktop, to_desktop = await asyncio.open_connection(*self._address)
        ways = [
            asyncio.create_task(_pump(reader, to_desktop, self.told)),
            asyncio.create_task(_pump(from_desktop, writer, self.said)),
        ]
        try:
            # Whoever leaves leaves for both: a desktop may wait for the other half for ever.
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            to_desktop.close()

    async def say(self, *pieces: bytes) -> None:
        """Say something in the desktop's place, which must be between two messages; each piece by itself."""
        assert self._agent is not None, "nobody listens"
        for piece in pieces:
            self.said += piece
            self._agent.write(piece)
            await self._agent.drain()


async def _pump(reader: StreamReader, writer: StreamWriter, kept: bytearray) -> None:
    """Hand on until the end."""
    with suppress(ConnectionError):
        while piece := await reader.read(65_536):
            kept += piece
            writer.write(piece)
            await writer.drain()
