"""Reads a QR code as a camera sees it: from a picture, from an SVG, from a terminal's half blocks."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import zxingcpp
from PIL import Image, ImageDraw

_MODULE: Final = 6
"""Pixels."""
_HALVES: Final = {" ": (0, 0), "▀": (255, 0), "▄": (0, 255), "█": (255, 255)}
_SVG: Final = "{http://www.w3.org/2000/svg}"


def read_picture(picture: Image.Image) -> str:
    """The text of the one code in it."""
    (found,) = zxingcpp.read_barcodes(picture.convert("L"))
    return found.text


def read_terminal(lines: Sequence[str]) -> str:
    """The text of the code that these lines show on a dark terminal."""
    width = len(lines[0])
    shown = Image.new("L", (width, 2 * len(lines)))
    for y, line in enumerate(lines):
        for x, block in enumerate(line):
            for half, light in enumerate(_HALVES[block]):
                shown.putpixel((x, 2 * y + half), light)
    return read_picture(shown.resize((width * _MODULE, 2 * len(lines) * _MODULE), Image.Resampling.NEAREST))


def read_svg(file: Path) -> str:
    """The text of the code that this file draws: strokes of one module on a ground of its own."""
    root = ET.parse(file).getroot()  # noqa: S314 - written by the program under test
    shown = Image.new("L", (int(root.get("width", "")), int(root.get("height", ""))))
    draw = ImageDraw.Draw(shown)
    for path in root.iter(f"{_SVG}path"):
        if path.get("fill") is not None:
            draw.rectangle(((0, 0), shown.size), fill=255)
        else:
            _stroke(draw, path.get("d", ""))
    return read_picture(shown)


def _stroke(draw: ImageDraw.ImageDraw, commands: str) -> None:
    x = y = 0.0
    for name, numbers in re.findall(r"([Mmh])([-\d. ]+)", commands):
        values = [float(number) for number in numbers.split()]
        if name == "h":
            corner = (x * _MODULE, (y - 0.5) * _MODULE)
            x += values[0]
            draw.rectangle((corner, (x * _MODULE - 1, (y + 0.5) * _MODULE - 1)), fill=0)
        else:
            x, y = values if name == "M" else (x + values[0], y + values[1])
