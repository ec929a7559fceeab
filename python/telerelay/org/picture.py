"""An invite as a QR code: for a terminal, or as a picture that only its owner can read."""

import io
from pathlib import Path
from typing import Final

import segno

from telerelay_endpoint import files
from telerelay_endpoint.errors import TelerelayError

KINDS: Final = (".svg", ".png")
_SCALE: Final = 6
"""Pixels a module: sharp enough for any camera, and a screen is wide enough for an invite."""


def draw(line: str) -> str:
    """The code of `line` in half blocks, for a terminal."""
    drawn = io.StringIO()
    _code(line).terminal(drawn, compact=True)
    return drawn.getvalue().rstrip("\n")


def require_kind(path: Path) -> None:
    """A code can be written into a file of this name. Raises TelerelayError(USAGE)."""
    if path.suffix.lower() not in KINDS:
        raise TelerelayError("USAGE", f"{path}: a QR code is written as {' or '.join(KINDS)}")


def write(path: Path, line: str) -> None:
    """Put the code of `line` into `path`, an SVG or a PNG by its name, mode 0600.

    Raises TelerelayError(USAGE), OSError.
    """
    require_kind(path)
    drawn = io.BytesIO()
    _code(line).save(drawn, kind=path.suffix.lower().removeprefix("."), scale=_SCALE, light="white")
    files.replace(path, drawn.getvalue())


def _code(line: str) -> segno.QRCode:
    try:
        # Nothing damages a picture on a screen: the smallest code is the easiest to read.
        return segno.make_qr(line, error="l", boost_error=False)
    except segno.DataOverflowError:
        raise TelerelayError(
            "USAGE", f"an invite of {len(line)} characters is too long for a QR code"
        ) from None
