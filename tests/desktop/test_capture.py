"""A desktop without a relay: what the capture client sees and types is what is there."""

import asyncio
from pathlib import Path

import pytest
from PIL import Image

from telerelay.demo.capture import CaptureError, capture_desktop, save_png
from telerelay.demo.desktop import DesktopError, open_desktop
from tests.kit.desktop import open_terminal, paint, random_picture

SIZE = (640, 480)


async def test_a_random_picture_arrives_identical_to_the_bit(tmp_path: Path) -> None:
    picture = random_picture(SIZE, seed=1)
    async with open_desktop(size=SIZE) as desktop, capture_desktop(desktop.host, desktop.port) as capture:
        before = await capture.picture()
        await paint(desktop, picture)
        seen = await capture.picture()
    assert capture.size == SIZE
    assert before.tobytes() != picture.tobytes()
    assert seen.tobytes() == picture.tobytes()

    save_png(seen, tmp_path / "screen.png")
    with Image.open(tmp_path / "screen.png") as saved:
        assert saved.tobytes() == picture.tobytes()


async def test_changes_are_seen_as_they_happen() -> None:
    first, second = random_picture(SIZE, seed=2), random_picture(SIZE, seed=3)
    async with open_desktop(size=SIZE) as desktop, capture_desktop(desktop.host, desktop.port) as capture:
        await paint(desktop, first)
        waiting = asyncio.create_task(capture.picture_when(lambda image: image.tobytes() == second.tobytes()))
        await paint(desktop, second)
        assert (await waiting).tobytes() == second.tobytes()


async def test_typed_text_appears_on_the_desktop() -> None:
    text = "Hello, office! 7KQ2-M9XB ~`{}[]|\\"
    async with open_desktop() as desktop, capture_desktop(desktop.host, desktop.port) as capture:
        terminal = await open_terminal(desktop)
        empty = await capture.picture()
        await capture.type(text)
        await capture.picture_when(lambda image: image.tobytes() != empty.tobytes())
        await capture.type("\nsecond\n")
        assert await terminal.line(1) == text
        assert await terminal.line(2) == "second"


async def test_a_desktop_with_a_password_is_named_as_such() -> None:
    async with open_desktop(password="secret12") as desktop:
        with pytest.raises(CaptureError, match="asks for a password"):
            async with capture_desktop(desktop.host, desktop.port):
                pass


async def test_a_desktop_that_ends_ends_the_capture() -> None:
    async with open_desktop(size=SIZE) as desktop, capture_desktop(desktop.host, desktop.port) as capture:
        desktop.process.kill()
        with pytest.raises(CaptureError, match="ended the connection"):
            await capture.picture_when(lambda _: False)


async def test_an_ordinary_user_has_a_desktop_of_his_own() -> None:
    nobody = 65534
    async with (
        open_desktop(size=SIZE, user=nobody) as desktop,
        capture_desktop(desktop.host, desktop.port) as capture,
    ):
        assert Path(f"/proc/{desktop.process.pid}").stat().st_uid == nobody
        terminal = await open_terminal(desktop)
        await capture.type("mine\n")
        assert await terminal.line(1) == "mine"


async def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DesktopError, match="xauth is not installed"):
        async with open_desktop():
            pass
