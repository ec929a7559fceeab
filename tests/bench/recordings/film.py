"""A film in a window, run as a program of its own: soft shapes that drift, with the noise of a camera."""

import itertools
import time
from ctypes import CDLL, c_char_p, c_uint, c_ulong, c_void_p
from typing import Final

import numpy as np

_SIZE: Final = (320, 180)
_FRAMES: Final = 50
_PERIOD_S: Final = 1 / 15
_SHAPES: Final = 12
_BY_PIXELS: Final = 2
"""ZPixmap: an image whose pixels lie beside one another."""
_DEPTH: Final = 24
_BITS: Final = 32


def _frames() -> list[bytes]:
    """Pixels of four bytes, blue first; the last frame leads to the first."""
    chance = np.random.default_rng(5)
    width, height = _SIZE
    rows, columns = np.mgrid[0:height, 0:width] / height
    waves = chance.uniform(1, 9, (_SHAPES, 2))
    colours = chance.uniform(10, 30, (_SHAPES, 4))
    frames = []
    for frame in range(_FRAMES):
        turn = 2 * np.pi * frame / _FRAMES
        picture = np.full((height, width, 4), 128.0)
        for (across, down), colour in zip(waves, colours, strict=True):
            picture += np.sin(across * columns + down * rows + turn)[..., None] * colour
        picture += chance.normal(0, 2, picture.shape)
        frames.append(picture.clip(0, 255).astype(np.uint8).tobytes())
    return frames


def main() -> None:
    """Show it until somebody ends the program."""
    x11 = CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = x11.XDefaultVisual.restype = x11.XDefaultGC.restype = c_void_p
    x11.XCreateImage.restype = c_void_p
    x11.XRootWindow.restype = x11.XCreateSimpleWindow.restype = c_ulong
    found = x11.XOpenDisplay(None)
    if found is None:
        raise SystemExit("no display")
    display, (width, height) = c_void_p(found), _SIZE
    root, visual = c_ulong(x11.XRootWindow(display, 0)), c_void_p(x11.XDefaultVisual(display, 0))
    made = x11.XCreateSimpleWindow(display, root, 0, 0, width, height, 0, c_ulong(0), c_ulong(0))
    window, context = c_ulong(made), c_void_p(x11.XDefaultGC(display, 0))
    x11.XMapRaised(display, window)
    # The pixels belong to Python, which keeps them as long as the images.
    frames = _frames()
    form, size = (display, visual, c_uint(_DEPTH), _BY_PIXELS, 0), (width, height, _BITS, 4 * width)
    images = [c_void_p(x11.XCreateImage(*form, c_char_p(frame), *size)) for frame in frames]
    due = time.monotonic()
    for image in itertools.cycle(images):
        x11.XPutImage(display, window, context, image, 0, 0, 0, 0, width, height)
        x11.XFlush(display)
        due += _PERIOD_S
        time.sleep(max(due - time.monotonic(), 0))


if __name__ == "__main__":
    main()
