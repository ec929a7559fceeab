"""What a desktop's stream shows: a decoder that shares nothing with the guard (RFC 6143 §7.6, §7.7)."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from struct import calcsize, pack, unpack
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels: TypeAlias = NDArray[np.uint8]
"""Rows of pixels, each of three or four bytes: R, G, B, unused."""

SET_FORMAT: Final = bytes(4) + pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 0, 8, 16)
"""The client's message by which pixels have four bytes in that order."""
_TILE: Final = 64
"""The side of a tile of ZRLE."""
_UNBOUNDED: Final = 0xFFFF
"""So many rectangles: a LastRect ends them."""


class Encoding(IntEnum):
    """Encodings and pseudo-encodings, by their numbers."""

    RAW = 0
    COPY_RECT = 1
    ZLIB = 6
    ZRLE = 16
    DESKTOP_SIZE = -223
    LAST_RECT = -224
    CURSOR = -239
    QEMU_KEY = -258
    NAME = -307
    EXTENDED_SIZE = -308
    FENCE = -312
    CONTINUOUS_UPDATES = -313
    EXTENDED_CLIPBOARD = -1063131698


class Message(IntEnum):
    """What a desktop says, by its types."""

    UPDATE = 0
    COLOURS = 1
    BELL = 2
    CUT_TEXT = 3


class Reader(Protocol):
    """Where the stream comes from."""

    async def readexactly(self, n: int, /) -> bytes: ...


@dataclass(frozen=True)
class Seen:
    """One message. `shown`: a digest of all that a viewer shows behind it; `text`: of a cut text."""

    kind: int
    encodings: tuple[int, ...] = ()
    shown: bytes = b""
    text: bytes = b""


class Screen:
    """One viewer's picture, pointer and title, from behind the handshake on."""

    def __init__(self, reader: Reader, size: tuple[int, int], title: bytes) -> None:
        self._reader = reader
        self._inflate_zlib = zlib.decompressobj().decompress
        self._inflate_zrle = zlib.decompressobj().decompress
        self._pixels: Pixels = np.zeros((size[1], size[0], 3), np.uint8)
        self._pointer = b""
        self.title = title

    @property
    def size(self) -> tuple[int, int]:
        """In pixels."""
        height, width, _ = self._pixels.shape
        return width, height

    @property
    def picture(self) -> Image.Image:
        """As it is shown."""
        return Image.fromarray(self._pixels)

    async def message(self) -> Seen:
        """Read one. IncompleteReadError at the end of the stream, AssertionError where it is no RFB."""
        (kind,) = await self._unpack(">B")
        match kind:
            case Message.UPDATE:
                encodings = await self._update()
                return Seen(kind, encodings, self._digest())
            case Message.COLOURS:
                _, colours = await self._unpack(">xHH")
                await self._reader.readexactly(6 * colours)
            case Message.BELL:
                pass
            case Message.CUT_TEXT:
                (length,) = await self._unpack(">3xi")
                return Seen(kind, text=await self._reader.readexactly(abs(length)))
            case _:
                raise AssertionError(f"no message begins with {kind}")
        return Seen(kind)

    async def update(self) -> Seen:
        """Read up to the end of an update."""
        while (seen := await self.message()).kind != Message.UPDATE:
            pass
        return seen

    async def _update(self) -> tuple[int, ...]:
        (count,) = await self._unpack(">xH")
        encodings: list[int] = []
        while len(encodings) < count or count == _UNBOUNDED:
            x, y, width, height, encoding = await self._unpack(">HHHHi")
            encodings.append(encoding)
            if encoding == Encoding.LAST_RECT:
                break
            await self._rectangle(x, y, width, height, encoding)
        return tuple(encodings)

    async def _rectangle(self, x: int, y: int, width: int, height: int, encoding: int) -> None:
        target = self._pixels[y : y + height, x : x + width]
        match encoding:
            case Encoding.RAW:
                target[:] = _pixels(await self._reader.readexactly(4 * width * height), width, height)
            case Encoding.COPY_RECT:
                from_x, from_y = await self._unpack(">HH")
                target[:] = self._pixels[from_y : from_y + height, from_x : from_x + width].copy()
            case Encoding.ZLIB:
                target[:] = _pixels(self._inflate_zlib(await self._text()), width, height)
            case Encoding.ZRLE:
                _paint_tiles(target, self._inflate_zrle(await self._text()))
            case Encoding.CURSOR:
                mask = height * ((width + 7) // 8)
                body = await self._reader.readexactly(4 * width * height + mask)
                self._pointer = pack(">HHHH", x, y, width, height) + body
            case Encoding.NAME:
                self.title = await self._text()
            case Encoding.EXTENDED_SIZE:
                (screens,) = await self._unpack(">B3x")
                await self._reader.readexactly(16 * screens)
                self._resize(width, height)
            case Encoding.DESKTOP_SIZE:
                self._resize(width, height)
            case Encoding.QEMU_KEY:
                pass
            case _:
                raise AssertionError(f"no rectangle is encoded as {encoding}")

    def _resize(self, width: int, height: int) -> None:
        if (width, height) != self.size:
            self._pixels = np.zeros((height, width, 3), np.uint8)

    def _digest(self) -> bytes:
        return sha256(self._pixels.tobytes() + self._pointer + self.title).digest()

    async def _text(self) -> bytes:
        (length,) = await self._unpack(">I")
        return await self._reader.readexactly(length)

    async def _unpack(self, layout: str) -> tuple[int, ...]:
        return unpack(layout, await self._reader.readexactly(calcsize(layout)))


def _pixels(content: bytes, width: int, height: int) -> Pixels:
    """Pixels of four bytes, without the unused one."""
    return np.frombuffer(content, np.uint8).reshape(height, width, 4)[:, :, :3]


# -------------------------------------------------------------------- ZRLE (RFC 6143 §7.7.6)


class _Content:
    """What is left of the tiles of a rectangle. A pixel has three bytes there."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    @property
    def is_over(self) -> bool:
        return self._at == len(self._content)

    def byte(self) -> int:
        return int(self.take(1)[0])

    def take(self, length: int) -> bytes:
        taken = self._content[self._at : self._at + length]
        assert len(taken) == length, "tiles end in the middle of one"
        self._at += length
        return taken

    def colours(self, count: int) -> Pixels:
        return np.frombuffer(self.take(3 * count), np.uint8).reshape(count, 3)

    def run(self) -> int:
        length = 1
        while (more := self.byte()) == 255:
            length += more
        return length + more


def _paint_tiles(target: Pixels, inflated: bytes) -> None:
    content = _Content(inflated)
    height, width, _ = target.shape
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            part = target[top : top + _TILE, left : left + _TILE]
            part[:] = _tile(content, part.shape[1], part.shape[0]).reshape(part.shape)
    assert content.is_over, "more than the tiles"


def _tile(content: _Content, width: int, height: int) -> Pixels:
    """The pixels of one, or the one that all of them are."""
    area = width * height
    match content.byte():
        case 0:
            return content.colours(area)
        case 1:
            return np.repeat(content.colours(1), area, axis=0)
        case size if size <= 16:
            return _packed(content, content.colours(size), width, height)
        case 128:
            return _runs(area, lambda: (content.colours(1)[0], content.run()))
        case kind if kind > 129:
            palette = content.colours(kind - 128)

            def of_palette() -> tuple[Pixels, int]:
                index = content.byte()
                return palette[index & 127], content.run() if index & 128 else 1

            return _runs(area, of_palette)
        case kind:
            raise AssertionError(f"no tile is encoded as {kind}")


def _packed(content: _Content, palette: Pixels, width: int, height: int) -> Pixels:
    """Numbers of 1, 2 or 4 bits, each row in whole bytes."""
    bits = 1 if len(palette) == 2 else 2 if len(palette) <= 4 else 4
    row = (width * bits + 7) // 8
    packed = np.frombuffer(content.take(row * height), np.uint8).reshape(height, row)
    single = np.unpackbits(packed, axis=1)[:, : width * bits].reshape(height, width, bits)
    weights = 1 << np.arange(bits - 1, -1, -1)
    found: Pixels = palette[single @ weights]
    return found


def _runs(area: int, run: Callable[[], tuple[Pixels, int]]) -> Pixels:
    colours, lengths = [], []
    while area > 0:
        colour, length = run()
        colours.append(colour)
        lengths.append(length)
        area -= length
    return np.repeat(np.array(colours), lengths, axis=0)
