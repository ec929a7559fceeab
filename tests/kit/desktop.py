"""What tests do with a real desktop: paint a known picture, read what was typed."""

import random
from pathlib import Path
from typing import Final

from PIL import Image

from telerelay.demo.desktop import Desktop
from tests.kit.condition import eventually

# An X bitmap without a single point.
_BLANK: Final = """\
#define blank_width 8
#define blank_height 1
#define blank_x_hot 0
#define blank_y_hot 0
static char blank_bits[] = {
0x00 };
"""


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
