"""A small RFB 3.8 client that takes pictures of a desktop and types on it, to show what a viewer would see.

Raw encoding only: every pixel arrives as the server has it. Source: RFC 6143.
"""

import asyncio
import os
import struct
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import IntEnum
from pathlib import Path
from typing import Final, Self

from PIL import Image

# A picture of this many pixels needs 256 MiB on the wire: far above any desktop, far below what hurts.
MAX_PIXELS: Final = 64 * 1024 * 1024
# RFC 6143 §7.3.2 and §7.6.4 leave both lengths open; no desktop comes near.
MAX_TEXT: Final = 1024 * 1024
# Generous for a desktop behind a relay on the same machine; the caller may ask for less.
DEFAULT_TIMEOUT: Final = 10.0

_VERSION: Final = b"RFB 003.008\n"
_SECURITY_NONE: Final = 1
_RAW: Final = 0
_BYTES_PER_PIXEL: Final = 4
# 32 bits a pixel, depth 24, little-endian, true colour: the bytes R, G, B, unused (RFC 6143 §7.4).
_PIXEL_FORMAT: Final = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 0, 8, 16)
_PIXEL_MODE: Final = "RGBX"

# X11 keysyms of the keys that text contains; Latin-1 characters are their own keysym (RFC 6143 §7.5.4).
_KEYSYMS: Final = {"\n": 0xFF0D, "\t": 0xFF09, "\b": 0xFF08}
_UNICODE_KEYSYM: Final = 0x01000000


class _ToServer(IntEnum):
    """Message types of RFC 6143 §7.5."""

    SET_PIXEL_FORMAT = 0
    SET_ENCODINGS = 2
    UPDATE_REQUEST = 3
    KEY_EVENT = 4
    POINTER_EVENT = 5


class _ToClient(IntEnum):
    """Message types of RFC 6143 §7.6."""

    UPDATE = 0
    COLOUR_MAP = 1
    BELL = 2
    CUT_TEXT = 3


class CaptureError(Exception):
    """The desktop refused, ended the connection, or did not speak RFB 3.8."""


class Capture:
    """One RFB connection in which pictures are taken and keys pressed.

    `size` is (width, height) in pixels, `name` the desktop's own name. Every method raises CaptureError when
    the desktop breaks off and TimeoutError when a wait takes longer than the time that was given.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout: float) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout = timeout
        self._image = Image.new("RGB", (1, 1))
        self.size = (0, 0)
        self.name = ""

    @classmethod
    async def over(
        cls, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout: float = DEFAULT_TIMEOUT
    ) -> Self:
        """Shake hands over an open stream, which the caller closes. `timeout` in seconds, for each wait."""
        capture = cls(reader, writer, timeout)
        async with capture._wait():
            await capture._shake_hands()
        return capture

    async def picture(self) -> Image.Image:
        """The whole desktop as it is now: RGB, of `size`."""
        async with self._wait():
            await self._update(incremental=False)
        return self._image.copy()

    async def picture_when(self, check: Callable[[Image.Image], bool]) -> Image.Image:
        """The first picture that satisfies `check`; the desktop is asked again whenever it changes."""
        async with self._wait():
            await self._update(incremental=False)
            while not check(self._image):
                await self._update(incremental=True)
        return self._image.copy()

    async def move(self, x: int, y: int, buttons: int = 0) -> None:
        """Put the pointer at (x, y) pixels; bit 0 of `buttons` is the left button."""
        self._writer.write(struct.pack(">BBHH", _ToServer.POINTER_EVENT, buttons, x, y))
        async with self._wait():
            await self._writer.drain()

    async def type(self, text: str) -> None:
        """Press and release the key of each character, in order."""
        for character in text:
            keysym = _keysym(character)
            for down in (1, 0):
                self._writer.write(struct.pack(">BBxxI", _ToServer.KEY_EVENT, down, keysym))
        async with self._wait():
            await self._writer.drain()

    async def _shake_hands(self) -> None:
        version = await self._reader.readexactly(len(_VERSION))
        if version != _VERSION:
            raise CaptureError(f"not an RFB 3.8 desktop: it begins with {version!r}")
        self._writer.write(_VERSION)

        (count,) = await self._reader.readexactly(1)
        if count == 0:
            raise CaptureError(f"refused: {await self._text()}")
        kinds = await self._reader.readexactly(count)
        if _SECURITY_NONE not in kinds:
            raise CaptureError(f"the desktop asks for a password (security types {list(kinds)})")
        self._writer.write(bytes([_SECURITY_NONE]))
        if (await self._unpack(">I")) != (0,):
            raise CaptureError(f"refused: {await self._text()}")

        shared = 1
        self._writer.write(bytes([shared]))
        width, height = await self._unpack(">HH16x")
        if not 0 < width * height <= MAX_PIXELS:
            raise CaptureError(f"a desktop of {width} x {height} pixels")
        self.size = (width, height)
        self.name = await self._text()
        self._image = Image.new("RGB", self.size)
        self._writer.write(struct.pack(">B3x", _ToServer.SET_PIXEL_FORMAT) + _PIXEL_FORMAT)
        self._writer.write(struct.pack(">BxHi", _ToServer.SET_ENCODINGS, 1, _RAW))

    async def _update(self, *, incremental: bool) -> None:
        """Ask once and read until pixels came: all of them, or those that changed."""
        width, height = self.size
        self._writer.write(struct.pack(">BBHHHH", _ToServer.UPDATE_REQUEST, incremental, 0, 0, width, height))
        await self._writer.drain()
        wanted = 1 if incremental else width * height
        while wanted > 0:
            (kind,) = await self._reader.readexactly(1)
            match kind:
                case _ToClient.UPDATE:
                    wanted -= await self._rectangles()
                case _ToClient.COLOUR_MAP:
                    _, colours = await self._unpack(">xHH")
                    await self._reader.readexactly(colours * 6)
                case _ToClient.BELL:
                    pass
                case _ToClient.CUT_TEXT:
                    await self._reader.readexactly(3)
                    await self._text()
                case _:
                    raise CaptureError(f"unknown message type {kind}")

    async def _rectangles(self) -> int:
        """Paint one FramebufferUpdate into the picture; how many pixels it held."""
        (count,) = await self._unpack(">xH")
        pixels = 0
        for _ in range(count):
            x, y, width, height, encoding = await self._unpack(">HHHHi")
            if encoding != _RAW:
                raise CaptureError(f"encoding {encoding} was never asked for")
            if x + width > self.size[0] or y + height > self.size[1]:
                raise CaptureError("a rectangle outside the desktop")
            body = await self._reader.readexactly(width * height * _BYTES_PER_PIXEL)
            if body:
                part = Image.frombytes("RGB", (width, height), body, "raw", _PIXEL_MODE)
                self._image.paste(part, (x, y))
            pixels += width * height
        return pixels

    async def _unpack(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(layout, await self._reader.readexactly(struct.calcsize(layout)))

    async def _text(self) -> str:
        (length,) = await self._unpack(">I")
        if length > MAX_TEXT:
            raise CaptureError(f"a text of {length} bytes")
        return (await self._reader.readexactly(length)).decode("utf-8", "replace")

    @asynccontextmanager
    async def _wait(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise CaptureError("the desktop ended the connection") from error


@asynccontextmanager
async def capture_desktop(host: str, port: int, timeout: float = DEFAULT_TIMEOUT) -> AsyncIterator[Capture]:
    """Connect, shake hands, and close at the end. Raises OSError when nothing listens at `host`:`port`."""
    async with asyncio.timeout(timeout):
        reader, writer = await asyncio.open_connection(host, port)
    try:
        yield await Capture.over(reader, writer, timeout)
    finally:
        writer.close()


def save_png(image: Image.Image, path: Path) -> None:
    """Write `image` so that `path` always holds a whole picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            image.save(file, format="PNG")
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


def _keysym(character: str) -> int:
    code = ord(character)
    latin_1 = 0x20 <= code <= 0x7E or 0xA0 <= code <= 0xFF  # noqa: PLR2004 - the printable halves of Latin-1
    return _KEYSYMS.get(character, code if latin_1 else _UNICODE_KEYSYM | code)
