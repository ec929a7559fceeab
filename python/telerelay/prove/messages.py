"""What a hostile viewer says in RFB (RFC 6143 and extensions). It shares nothing with the guard."""

import zlib
from collections.abc import Sequence
from enum import IntEnum, IntFlag
from struct import pack
from typing import Final

VERSION: Final = b"RFB 003.008\n"
PIXEL_SIZE: Final = 4
PIXELS: Final = pack(">BBBBHHHBBB3x", 8 * PIXEL_SIZE, 24, 0, 1, 255, 255, 255, 0, 8, 16)
"""Little-endian true colour: the bytes red, green, blue, unused."""
PALE_PIXELS: Final = pack(">BBBBHHHBBB3x", 8, 6, 0, 1, 3, 3, 3, 4, 2, 0)
"""One byte a pixel."""
SCREEN_SIZE: Final = 16
"""Bytes of a screen in a layout."""
_ZLIB_TEXT_END: Final = b"\0"


class Security(IntEnum):
    """Log-ins, as the handshake numbers them."""

    NONE = 1
    REALVNC = 5
    TIGHT = 16
    ULTRA = 17
    VENCRYPT = 19
    APPLE = 30


class Encoding(IntEnum):
    """The encodings that the tries speak of, as SetEncodings names them (signed)."""

    RAW = 0
    RRE = 2
    HEXTILE = 5
    TIGHT = 7
    JPEG = 21
    H264 = 50
    JPEG_QUALITY_9 = -23
    LAST_RECTANGLE = -224
    COMPRESSION_9 = -247
    QEMU_KEY = -258
    QEMU_AUDIO = -259
    TIGHT_PNG = -260
    GII = -305
    EXTENDED_DESKTOP_SIZE = -308
    XVP = -309
    FENCE = -312
    CONTINUOUS_UPDATES = -313
    CLIPBOARD = -1063131698  # 0xC0A1E5CE
    VMWARE_CURSOR = 0x574D5664


class Clipboard(IntFlag):
    """Flags of the extended clipboard: the format that the tries use, and the actions."""

    TEXT = 1
    CAPS = 1 << 24
    REQUEST = 1 << 25
    PEEK = 1 << 26
    NOTIFY = 1 << 27
    PROVIDE = 1 << 28


def set_pixel_format(pixels: bytes) -> bytes:
    """SetPixelFormat; `pixels`: 16 bytes."""
    return pack(">B3x", 0) + pixels


def set_encodings(encodings: Sequence[int]) -> bytes:
    """SetEncodings, the best first."""
    return pack(f">BxH{len(encodings)}i", 2, len(encodings), *encodings)


def request(width: int, height: int, *, incremental: bool = False) -> bytes:
    """FramebufferUpdateRequest for the upper left `width` times `height` pixels."""
    return pack(">BBHHHH", 3, incremental, 0, 0, width, height)


def fence(payload: bytes) -> bytes:
    """ClientFence that is to be answered with the same payload."""
    return pack(">B3xIB", 248, 1 << 31, len(payload)) + payload


def continuous_updates(width: int, height: int) -> bytes:
    """EnableContinuousUpdates for the upper left `width` times `height` pixels."""
    return pack(">BBHHHH", 150, 1, 0, 0, width, height)


def desktop_size(width: int, height: int, layout: bytes) -> bytes:
    """SetDesktopSize; `layout`: SCREEN_SIZE bytes for each screen."""
    return pack(">BxHHBx", 251, width, height, len(layout) // SCREEN_SIZE) + layout


def key(keysym: int, *, down: bool) -> bytes:
    """KeyEvent."""
    return pack(">BBxxI", 4, down, keysym)


def qemu_key(keysym: int, code: int, *, down: bool) -> bytes:
    """QEMU's extended key event: `code` is that of an XT keyboard."""
    return pack(">BBHII", 255, 0, down, keysym, code)


def pointer(x: int, y: int, buttons: int = 0) -> bytes:
    """PointerEvent; bit 0 of `buttons` is the left one."""
    return pack(">BBHH", 5, buttons, x, y)


def cut_text(text: bytes, length: int | None = None) -> bytes:
    """ClientCutText in its plain form; `length`: what it claims to have, if not the truth."""
    return pack(">B3xi", 6, len(text) if length is None else length) + text


def clipboard(action: Clipboard, content: bytes = b"") -> bytes:
    """ClientCutText in its extended form: a negative length, flags, what belongs to the action."""
    body = pack(">I", action | Clipboard.TEXT) + content
    return pack(">B3xi", 6, -len(body)) + body


def capabilities() -> bytes:
    """Which actions of the extended clipboard this viewer knows, and that it takes texts of any length."""
    actions = Clipboard.REQUEST | Clipboard.PEEK | Clipboard.NOTIFY | Clipboard.PROVIDE
    return clipboard(Clipboard.CAPS | actions, pack(">I", 2**31 - 1))


def provide(text: bytes) -> bytes:
    """The text itself, in the extended form."""
    ended = text + _ZLIB_TEXT_END
    return clipboard(Clipboard.PROVIDE, zlib.compress(pack(">I", len(ended)) + ended))
