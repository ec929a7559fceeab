"""What is seen behind the guard is what the desktop shows, to the bit, update by update (SECURITY.md, 27)."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from struct import pack
from typing import Final

import pytest

from telerelay.demo.desktop import Desktop, open_desktop
from tests.kit.condition import eventually
from tests.kit.crossing import crossing
from tests.kit.desktop import Tap, moving_picture, open_x11vnc
from tests.kit.node import NodeProcess
from tests.kit.rfb import LET_IN, encodings, introduced, look, request
from tests.kit.screen import SET_FORMAT, Encoding, Message, Screen, Seen

SIZE: Final = (320, 240)
UPDATES: Final = 48
TEXT: Final = b"salary list 4711"
SHAPES: Final = (Encoding.CURSOR, Encoding.LAST_RECT, Encoding.DESKTOP_SIZE, Encoding.NAME)
UPDATE_IN_A_TEXT: Final = b"\0\0\0\1" + pack(">HHHHi", 0, 0, 1, 1, Encoding.RAW) + b"\xff" * 4
CUT_TEXTS: Final = [
    b"\x03\0\0\0" + pack(">i", length) + content
    for length, content in (
        (len(TEXT), TEXT),
        (0, b""),
        (len(UPDATE_IN_A_TEXT), UPDATE_IN_A_TEXT),
        (-4 - len(TEXT), pack(">I", 1 << 28 | 1) + TEXT),
        (70_000, TEXT.ljust(70_000, b"\0")),
    )
]


class View:
    """A viewer that asks for the next update whenever it has one. `seen`: all that it was told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.seen: list[Seen] = []

    async def begin(self, *asked: Encoding) -> None:
        """Shake hands, and have a whole picture."""
        size, title = await look(self._reader, self._writer)
        self.screen = Screen(self._reader, size, title)
        self._writer.write(SET_FORMAT + encodings(*asked, *SHAPES))
        await self.ask(whole=True)

    async def ask(self, *, whole: bool = False) -> Seen:
        """Have one update more."""
        self._writer.write(request(self.screen.size, whole=whole))
        while True:
            self.seen.append(await self.screen.message())
            if self.seen[-1].kind == Message.UPDATE:
                return self.seen[-1]


async def said_by_the_desktop(tap: Tap) -> list[Seen]:
    """Everything, as a viewer in the guard's place would have seen it."""
    assert tap.said.startswith(LET_IN)
    reader = asyncio.StreamReader()
    reader.feed_data(tap.said[len(LET_IN) :])
    reader.feed_eof()
    screen = Screen(reader, *await introduced(reader))
    seen = []
    while not reader.at_eof():
        seen.append(await screen.message())
    return seen


async def watch(view: View, desktop: Desktop, between: Callable[[], Awaitable[None]]) -> None:
    """Watch a picture that moves; `between` two updates the desktop is quiet."""
    async with moving_picture(desktop):
        for number in range(UPDATES):
            if number % 8 == 0:
                # Into the terminal and out of it: the pointer has another shape there.
                at = "20" if number % 16 else "300"
                await desktop.run("xdotool", "mousemove", "--sync", at, at)
            await view.ask()
            await between()


async def agree(view: View, direct: View) -> None:
    """Return when both show the same; TimeoutError where they never do."""
    async with asyncio.timeout(10):
        while (await view.ask(whole=True)).shown != (await direct.ask(whole=True)).shown:
            pass
    assert view.screen.picture.tobytes() == direct.screen.picture.tobytes()


@asynccontextmanager
async def looking_directly(address: tuple[str, int]) -> AsyncIterator[View]:
    """A viewer at the desktop itself."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        yield View(reader, writer)
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("is_x11vnc", "asked", "needed"),
    [
        (False, (Encoding.RAW,), {Encoding.RAW, Encoding.CURSOR, Encoding.LAST_RECT}),
        (False, (Encoding.ZRLE, Encoding.COPY_RECT), {Encoding.ZRLE, Encoding.COPY_RECT, Encoding.CURSOR}),
        (True, (Encoding.ZLIB, Encoding.COPY_RECT), {Encoding.ZLIB, Encoding.CURSOR}),
    ],
)
async def test_a_moving_picture_is_identical_to_the_bit(
    guarded_node: NodeProcess, *, is_x11vnc: bool, asked: tuple[Encoding, ...], needed: set[Encoding]
) -> None:
    async def quietly() -> None:
        pass

    async with open_desktop(size=SIZE) as desktop:
        address = await open_x11vnc(desktop) if is_x11vnc else (desktop.host, desktop.port)
        tap = Tap(*address)
        async with crossing(guarded_node, tap) as at, looking_directly(address) as direct:
            view = View(*await at.client.viewer())
            await view.begin(*asked)
            await direct.begin(*asked)
            await watch(view, desktop, quietly)
            await agree(view, direct)
            assert view.seen == await said_by_the_desktop(tap)
        assert {encoding for seen in view.seen for encoding in seen.encodings} >= needed
        assert len({seen.shown for seen in view.seen}) > UPDATES // 2


async def test_cut_texts_in_pieces_behind_each_update_leave_no_trace(
    guarded_node: NodeProcess, desktop: Desktop
) -> None:
    tap = Tap(desktop.host, desktop.port)
    said = itertools.cycle(CUT_TEXTS)

    async def cutting() -> None:
        text = next(said)
        await tap.say(*(text[place : place + 1] for place in range(40)), text[40:])

    async with crossing(guarded_node, tap) as at:
        view = View(*await at.client.viewer())
        await view.begin(Encoding.ZRLE, Encoding.COPY_RECT)
        await watch(view, desktop, cutting)
        (desktop.folder / "text").write_bytes(TEXT[::-1])
        await desktop.start("xclip", "-i", "-selection", "clipboard", str(desktop.folder / "text"))
        # The desktop's own, this time, behind an update that a LastRect has ended.
        await eventually(lambda: TEXT[::-1] in tap.said)
        await view.ask(whole=True)
        everything = await said_by_the_desktop(tap)
    assert {seen.text for seen in everything} > {TEXT, b"", UPDATE_IN_A_TEXT, TEXT[::-1]}
    assert view.seen == [seen for seen in everything if seen.kind != Message.CUT_TEXT]
    assert any(Encoding.LAST_RECT in seen.encodings for seen in view.seen)
