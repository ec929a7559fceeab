"""The mark over a session's screen: its text, and the guard's pattern that says it (docs/GUARD.md §13)."""

import functools
import os
import re
import string
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from PIL import Image, ImageChops, ImageDraw, ImageFont

from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS

WEIGHT: Final = 24
"""The most of 128 that a pixel is drawn towards white or black."""
_NAMES: Final = re.compile(r"\{label\}|\{device\}|\{time\}")
_SIZE: Final = 22
"""Of a letter, in pixels: one can read it on a screen of 4K, and see the screen behind it."""
_LINE: Final = 420
"""The most pixels in a line: what is longer goes on in the next."""
_LEADING: Final = 30
_ANGLE: Final = 25
"""Degrees, upwards: text of the screen lies level, so that neither is taken for the other."""
_GAP: Final = (60, 40)
"""Pixels to the next one, to the right and below."""
_EDGE: Final = 1
_FONTS_S: Final = LIMITS["fonts_s"]
_OF_ANY: Final = frozenset(string.hexdigits + "-:")
"""What a device and a time may need: wanted of every font, so that one answer stands for all of a label."""


@dataclass(frozen=True)
class Pattern:
    """Rows of `width` pixels; a weight is a signed byte of at most WEIGHT, below 0 towards black."""

    width: int
    weights: bytes


def mark_text(rule: str, label: str, device: bytes, began: int) -> str:
    """What a session's mark says: the rule's text, filled in, and behind it what it does not name itself.

    Each is said once, where the rule names it first: the longest rule and the longest label are one pattern.

    `label`: the client's in its grant; `device`: its ID; `began`: Unix seconds, told by this machine's clock.
    """
    begun = datetime.fromtimestamp(began, UTC).astimezone()
    known = {"{label}": label, "{device}": device.hex()[:8], "{time}": f"{begun:%Y-%m-%d %H:%M}"}
    text = " ".join([rule, *(name for name in known if name not in rule)])
    text = _NAMES.sub(lambda found: known.pop(found[0], ""), text)
    return "".join(character if character.isprintable() else " " for character in text).strip()


def render(text: str) -> Pattern:
    """The pattern that says `text`. Raises TelerelayError(UNSUPPORTED) where no font has all characters."""
    file, index = _face(_OF_ANY.union(text) - {" "})
    try:
        return _rendered(text, ImageFont.truetype(file, _SIZE, index))
    except OSError as error:
        # Another may have come in its place since it was asked for.
        _face.cache_clear()
        raise TelerelayError("UNSUPPORTED", f"the font {file} cannot be used: {error}") from error


def _rendered(text: str, font: ImageFont.FreeTypeFont) -> Pattern:
    lines = _lines(text, font)
    box = (int(max(map(font.getlength, lines))) + 2 * _EDGE, _LEADING * len(lines))
    letters, edged = (_drawn(lines, font, box, edge) for edge in (0, _EDGE))
    size = (letters.width + _GAP[0], letters.height + _GAP[1])
    dark, light = Image.new("L", size), Image.new("L", size)
    dark.paste(letters)
    light.paste(ImageChops.subtract(edged, letters))
    # A byte that a subtraction leaves is the signed one.
    weights = ImageChops.subtract_modulo(_faint(light), _faint(dark))
    return Pattern(weights.width, weights.tobytes())


def _drawn(lines: list[str], font: ImageFont.FreeTypeFont, box: tuple[int, int], edge: int) -> Image.Image:
    """How much of each pixel the letters cover, with an edge around them; aslant."""
    level = Image.new("L", box)
    draw = ImageDraw.Draw(level)
    for number, line in enumerate(lines):
        draw.text((_EDGE, number * _LEADING + _EDGE), line, fill=255, font=font, stroke_width=edge)
    return level.rotate(_ANGLE, Image.Resampling.BICUBIC, expand=True)


def _faint(covered: Image.Image) -> Image.Image:
    return covered.point([WEIGHT * value // 255 for value in range(256)])


def _lines(text: str, font: ImageFont.FreeTypeFont) -> list[str]:
    """The text in lines of at most _LINE pixels; Japanese has no spaces to break at."""
    lines = [""]
    for character in text:
        if font.getlength(lines[-1] + character) > _LINE:
            lines.append("")
        lines[-1] += character
    return lines


@functools.lru_cache
def _face(characters: frozenset[str]) -> tuple[str, int]:
    """The file and face that fontconfig likes best of those that have every character."""
    wanted = " ".join(f"{ord(character):x}" for character in sorted(characters))
    able = _asked("fc-list", f":charset={wanted}:scalable=true")
    for face in _asked("fc-match", "--all", "sans"):
        if face in able:
            return face
    raise TelerelayError("UNSUPPORTED", "no font on this machine has all characters of the watermark")


def _asked(program: str, *arguments: str) -> list[tuple[str, int]]:
    """Files and faces that a program of fontconfig names."""
    command = [program, "--format", "%{file}\t%{index}\n", *arguments]
    try:
        said = subprocess.run(command, capture_output=True, check=True, timeout=_FONTS_S).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise TelerelayError("UNSUPPORTED", f"fonts cannot be looked for: {error}") from error
    # A file's name is of any bytes.
    rows = (line.rpartition("\t") for line in os.fsdecode(said).split("\n"))
    return [(file, int(index)) for file, _, index in rows if index.isdecimal()]
