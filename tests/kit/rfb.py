"""RFB as a guard has both ends speak it: a viewer that says anything, a desktop that rings for each key."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from struct import pack

from tests.kit.condition import eventually
from tests.kit.hostile.desktop import FakeDesktop

GREETING = b"RFB 003.008\n"
LET_IN = GREETING + b"\x01\x01" + bytes(4)
"""What a desktop without a password says before its ServerInit."""
BELL = b"\x02"
KEY_A = b"\x04\x01\x00\x00\x00\x00\x00a"
# RFC 6143 §7.3.2, of 64 x 48 pixels of 32 bits, up to the length of the name.
INIT = bytes.fromhex("0040 0030 20 18 00 01 00ff 00ff 00ff 10 08 00 000000")
_NAME = b"desk 4"

# ---------------------------------------------------------------- what a viewer says (RFC 6143 §7.5)


def key(keysym: int, *, down: bool) -> bytes:
    """A key by what it means."""
    return pack(">BB2xI", 4, down, keysym)


def qemu_key(keysym: int, code: int, *, down: bool) -> bytes:
    """A key by its place: `code` is that of a PC's keyboard, with bit 7 where it has the prefix E0."""
    return pack(">BBHII", 255, 0, down, keysym, code)


def pointer(x: int, y: int, buttons: int = 0) -> bytes:
    """The pointer at a pixel."""
    return pack(">BBHH", 5, buttons, x, y)


def encodings(*numbers: int) -> bytes:
    """What the viewer understands."""
    return pack(f">BxH{len(numbers)}i", 2, len(numbers), *numbers)


def request(size: tuple[int, int], *, whole: bool) -> bytes:
    """Asks for the picture: all of it, or what changed since."""
    return pack(">BBHHHH", 3, not whole, 0, 0, *size)


def cut_text(text: bytes) -> bytes:
    """A cut text in its plain form."""
    return pack(">B3xi", 6, len(text)) + text


class Clipboard:
    """The extended clipboard: a negative length, what it is, its content. All is text."""

    TEXT = 1
    CAPS, REQUEST, PEEK, NOTIFY, PROVIDE = (1 << bit for bit in range(24, 29))

    @classmethod
    def able(cls) -> bytes:
        """The viewer understands all of it, and texts of a mebibyte unasked."""
        return cls._said(
            cls.CAPS | cls.REQUEST | cls.PEEK | cls.NOTIFY | cls.PROVIDE | cls.TEXT, pack(">I", 1 << 20)
        )

    @classmethod
    def announced(cls) -> bytes:
        """There is a text."""
        return cls._said(cls.NOTIFY | cls.TEXT)

    @classmethod
    def requested(cls) -> bytes:
        """The text is wanted."""
        return cls._said(cls.REQUEST | cls.TEXT)

    @classmethod
    def provided(cls, text: bytes) -> bytes:
        """The text."""
        return cls._said(cls.PROVIDE | cls.TEXT, zlib.compress(pack(">I", len(text) + 1) + text + b"\0"))

    @classmethod
    def request_of_a_desktop(cls) -> bytes:
        """The same of a desktop."""
        return b"\x03" + cls.requested()[1:]

    @staticmethod
    def _said(flags: int, content: bytes = b"") -> bytes:
        return pack(">B3xiI", 6, -4 - len(content), flags) + content


# ---------------------------------------------------------------- a desktop


def introduction(name: bytes = _NAME) -> bytes:
    """A desktop's ServerInit."""
    return INIT + len(name).to_bytes(4) + name


async def let_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: bytes = _NAME) -> None:
    """A desktop's handshake with somebody who needs no password."""
    writer.write(GREETING)
    await reader.readexactly(len(GREETING))
    writer.write(b"\x01\x01")
    await reader.readexactly(1)
    writer.write(bytes(4))
    await reader.readexactly(1)
    writer.write(introduction(name))


async def answer_keys(
    desktop: FakeDesktop, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Ring for each key."""
    while True:
        desktop.received += await reader.readexactly(len(KEY_A))
        writer.write(BELL)


async def ring(desktop: FakeDesktop, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let everybody in without a password, then answer each key event with a bell."""
    await let_in(reader, writer)
    await answer_keys(desktop, reader, writer)


# ---------------------------------------------------------------- a viewer


async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[tuple[int, int], bytes]:
    """A viewer's handshake up to its end; what follows are messages. The desktop's size, and its name."""
    assert await reader.readexactly(len(GREETING)) == GREETING
    writer.write(GREETING)
    assert await reader.readexactly(2) == b"\x01\x01"
    writer.write(b"\x01")
    assert await reader.readexactly(4) == bytes(4)
    writer.write(b"\x01")
    return await introduced(reader)


async def introduced(reader: asyncio.StreamReader) -> tuple[tuple[int, int], bytes]:
    """The size and the name of a ServerInit."""
    head = await reader.readexactly(24)
    name = await reader.readexactly(int.from_bytes(head[20:]))
    return (int.from_bytes(head[:2]), int.from_bytes(head[2:4])), name


async def ring_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A key goes to the desktop, and its answer comes back."""
    writer.write(KEY_A)
    assert await reader.readexactly(1) == BELL


class Viewer:
    """A viewer behind its handshake. `seen`: all that came since."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.seen = bytearray()
        self.is_over = False

    def say(self, message: bytes) -> None:
        """Send it as it is."""
        self._writer.write(message)

    def ask(self) -> None:
        """Ask for one picture, of 16 x 16 pixels."""
        self.say(request((16, 16), whole=True))

    async def sees(self, more: int) -> None:
        """Wait until this many bytes have come since."""
        wanted = len(self.seen) + more
        await eventually(lambda: len(self.seen) >= wanted)

    async def is_put_out(self) -> None:
        """Wait until the session is over."""
        await eventually(lambda: self.is_over)

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await self._reader.read(65_536):
                self.seen += piece
        self.is_over = True


@asynccontextmanager
async def open_viewer(host: str, port: int) -> AsyncIterator[Viewer]:
    """A viewer at a client's door."""
    reader, writer = await asyncio.open_connection(host, port)
    await asyncio.wait_for(look(reader, writer), 20)
    viewer = Viewer(reader, writer)
    reading = asyncio.create_task(viewer._read())
    try:
        yield viewer
    finally:
        writer.close()
        await reading
