"""A watermark over a real desktop: in its place, and nothing else is different (docs/GUARD.md §12, §13)."""

import asyncio

import numpy as np
import pytest
from PIL import Image

from telerelay.demo.capture import capture_desktop
from telerelay.demo.desktop import Desktop, open_desktop
from telerelay_agent.watermark import Pattern, render
from telerelay_core import SessionRules
from tests.desktop.conftest import SIZE
from tests.desktop.test_guard_picture import View, looking_directly
from tests.kit.crossing import crossing
from tests.kit.desktop import (
    Tap,
    face_viewer,
    moving_picture,
    open_terminal,
    open_x11vnc,
    paint,
    random_picture,
)
from tests.kit.node import NodeProcess
from tests.kit.screen import Encoding

HOME_SIZE = (1024, 768)
MARK = render("北町役場 田中 c0ffee12 2026-11-28 10:31")
MARKED = SessionRules(
    sessions=8, resume_limit_s=0, idle_timeout_s=0, watermark=(MARK.width, MARK.weights), shown=[]
)


def under(mark: Pattern, picture: Image.Image) -> Image.Image:
    """What a viewer has to see of `picture`."""
    clean = np.asarray(picture, np.int32)
    height, width, _ = clean.shape
    pattern = np.frombuffer(mark.weights, np.int8).astype(np.int32).reshape(-1, mark.width)
    rows, columns = np.arange(height) % pattern.shape[0], np.arange(width) % mark.width
    weights = pattern[rows][:, columns, None]
    way = np.where(weights > 0, 255 - clean, clean) * abs(weights) // 128
    return Image.fromarray((clean + np.sign(weights) * way).astype(np.uint8))


@pytest.mark.parametrize("is_x11vnc", [False, True])
@pytest.mark.parametrize("encoding", [Encoding.ZRLE, Encoding.RAW])
async def test_the_mark_stays_in_place_while_everything_moves(
    guarded_node: NodeProcess, desktop: Desktop, encoding: Encoding, *, is_x11vnc: bool
) -> None:
    address = await open_x11vnc(desktop) if is_x11vnc else (desktop.host, desktop.port)
    async with (
        crossing(guarded_node, Tap(*address), rules=MARKED) as at,
        looking_directly(address) as direct,
    ):
        view = View(*await at.client.viewer())
        await view.begin(encoding)
        await direct.begin(Encoding.RAW)
        async with moving_picture(desktop):
            for _ in range(24):
                await view.ask()
        async with asyncio.timeout(10):
            while True:
                await direct.ask(whole=True)
                await view.ask(whole=True)
                expected = under(MARK, direct.screen.picture)
                if view.screen.picture.tobytes() == expected.tobytes():
                    break
    assert view.screen.picture.tobytes() != direct.screen.picture.tobytes()
    assert {number for seen in view.seen for number in seen.encodings} & {0, 1, 6, 16} == {encoding}


async def test_a_real_viewer_shows_it_and_its_keys_arrive(
    guarded_node: NodeProcess, desktop: Desktop
) -> None:
    picture = random_picture(SIZE, seed=47)
    expected = under(MARK, picture)
    async with (
        open_desktop(size=HOME_SIZE) as home,
        crossing(guarded_node, Tap(desktop.host, desktop.port), rules=MARKED) as at,
    ):
        host, port = await at.door()
        await home.start("xtigervncviewer", "-SecurityTypes=None", f"{host}::{port}")
        await face_viewer(home)
        await paint(desktop, picture)
        async with capture_desktop(home.host, home.port) as capture:
            await capture.picture_when(
                lambda image: image.crop((0, 0, *SIZE)).tobytes() == expected.tobytes()
            )
        terminal = await open_terminal(desktop)
        await home.run("xdotool", "mousemove", "--sync", "60", "60", "type", "--delay", "20", "at home\n")
        assert await terminal.line(1) == "at home"
