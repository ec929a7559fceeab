"""RFB as a guard has both ends speak it: a viewer that says anything, a desktop that rings for each key."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.kit.condition import eventually
from tests.kit.hostile.desktop import FakeDesktop

GREETING = b"RFB 003.008\n"
BELL = b"\x02"
KEY_A = b"\x04\x01\x00\x00\x00\x00\x00a"
_NAME = b"desk 4"
# 64 x 48 pixels of 32 bits (RFC 6143 §7.3.2).
_SERVER_INIT = (
    bytes.fromhex("0040 0030 20 18 00 01 00ff 00ff 00ff 10 08 00 000000") + len(_NAME).to_bytes(4) + _NAME
)


async def ring(desktop: FakeDesktop, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let everybody in without a password, then answer each key event with a bell."""
    with contextlib.suppress(asyncio.IncompleteReadError):  # whoever left does not come back
        writer.write(GREETING)
        await reader.readexactly(len(GREETING))
        writer.write(b"\x01\x01")
        await reader.readexactly(1)
        writer.write(bytes(4))
        await reader.readexactly(1)
        writer.write(_SERVER_INIT)
        while True:
            desktop.received += await reader.readexactly(len(KEY_A))
            writer.write(BELL)


async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A viewer's handshake up to its end; what follows are messages."""
    assert await reader.readexactly(len(GREETING)) == GREETING
    writer.write(GREETING)
    assert await reader.readexactly(2) == b"\x01\x01"
    writer.write(b"\x01")
    assert await reader.readexactly(4) == bytes(4)
    writer.write(b"\x01")
    head = await reader.readexactly(24)
    await reader.readexactly(int.from_bytes(head[20:]))


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
        """Ask for one whole picture."""
        self.say(bytes.fromhex("03 00 0000 0000 0010 0010"))

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
