"""Old desktops and their passwords, behind the guard: a real x11vnc that speaks RFB 3.3 and 3.7."""

import pytest

from telerelay.demo.capture import capture_desktop
from telerelay.demo.desktop import Desktop
from tests.desktop.conftest import SIZE
from tests.kit.crossing import crossing
from tests.kit.desktop import Tap, open_x11vnc, paint, random_picture
from tests.kit.node import NodeProcess

PASSWORD = "s3cret!"


async def old_desktop(desktop: Desktop, version: str, password: str | None) -> Tap:
    """The same screen, shown as years ago."""
    switches = ["-rfbversion", version, "-nocursor"]
    if password is None:
        switches.append("-nopw")
    else:
        file = desktop.folder / "password"
        file.touch(mode=0o600)
        file.write_text(f"{password}\n")
        switches += ["-passwdfile", str(file)]
    return Tap(*await open_x11vnc(desktop, *switches))


@pytest.mark.parametrize("password", [None, PASSWORD])
@pytest.mark.parametrize("version", ["3.3", "3.7", "3.8"])
async def test_its_picture_is_seen(
    guarded_node: NodeProcess, desktop: Desktop, version: str, password: str | None
) -> None:
    picture = random_picture(SIZE, seed=71)
    await paint(desktop, picture)
    tap = await old_desktop(desktop, version, password)
    secret = None if password is None else password.encode()
    async with (
        crossing(guarded_node, tap, password=secret) as at,
        # The viewer speaks 3.8 and knows no password.
        capture_desktop(*await at.door()) as capture,
    ):
        await capture.picture_when(lambda image: image.tobytes() == picture.tobytes())
    spoken = b"RFB 00%b.00%b\n" % tuple(version.encode().split(b"."))
    assert tap.said.startswith(spoken)
    assert tap.told.startswith(spoken)
    assert PASSWORD.encode() not in tap.told


@pytest.mark.parametrize("known", [None, b"another"])
@pytest.mark.parametrize("version", ["3.3", "3.7", "3.8"])
async def test_without_its_password_nobody_comes_in(
    guarded_node: NodeProcess, desktop: Desktop, version: str, known: bytes | None
) -> None:
    tap = await old_desktop(desktop, version, PASSWORD)
    async with crossing(guarded_node, tap, password=known) as at:
        await at.ends_with("DESKTOP_PASSWORD")
