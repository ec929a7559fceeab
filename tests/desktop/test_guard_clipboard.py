"""No text crosses, in any form, either way: looked for where a real desktop has it (SECURITY.md, 26)."""

import asyncio
import zlib
from struct import pack

import pytest

from telerelay.demo.desktop import Desktop
from tests.kit.condition import eventually
from tests.kit.crossing import crossing
from tests.kit.desktop import Tap, selection
from tests.kit.node import NodeProcess
from tests.kit.rfb import Clipboard, Viewer, cut_text, encodings
from tests.kit.screen import Encoding

TEXT = "給与一覧 4711".encode()
LATIN = b"salary list 4711"
UPDATE = 16 * 16 * 4
"""The least that an answer to `Viewer.ask` has."""


async def comes_behind(viewer: Viewer) -> None:
    """Return when all that was said has been heard at the other end."""
    viewer.ask()
    await viewer.sees(UPDATE)


@pytest.mark.parametrize("guarded", [True, False])
async def test_a_plain_cut_text_from_home(
    guarded_node: NodeProcess, desktop: Desktop, *, guarded: bool
) -> None:
    tap = Tap(desktop.host, desktop.port)
    async with crossing(guarded_node, tap, guarded=guarded) as at, at.viewer() as viewer:
        for byte in cut_text(LATIN) if guarded else ():
            viewer.say(bytes([byte]))
        viewer.say(cut_text(b"") + cut_text(LATIN))
        await comes_behind(viewer)
        pasted = [await selection(desktop, name) for name in ("clipboard", "primary")]
        assert pasted == ([b"", b""] if guarded else [LATIN, LATIN])
        assert (LATIN in tap.told) is not guarded


@pytest.mark.parametrize("guarded", [True, False])
async def test_an_extended_clipboard_from_home(
    guarded_node: NodeProcess, desktop: Desktop, *, guarded: bool
) -> None:
    tap = Tap(desktop.host, desktop.port)
    async with crossing(guarded_node, tap, guarded=guarded) as at, at.viewer() as viewer:
        viewer.say(encodings(Encoding.EXTENDED_CLIPBOARD, Encoding.RAW))
        viewer.say(Clipboard.able() + Clipboard.announced())
        await comes_behind(viewer)
        pasting = asyncio.create_task(selection(desktop))
        if not guarded:
            # Whoever pastes has the desktop ask, and only then it takes the text.
            await eventually(lambda: Clipboard.request_of_a_desktop() in viewer.seen)
        viewer.say(Clipboard.provided(TEXT))
        await comes_behind(viewer)
        assert await pasting == (b"" if guarded else TEXT)
        assert (Clipboard.provided(TEXT)[8:] in tap.told) is not guarded
        if guarded:
            assert await selection(desktop) == b""
            assert int(Encoding.EXTENDED_CLIPBOARD).to_bytes(4, signed=True) not in tap.told


@pytest.mark.parametrize("guarded", [True, False])
async def test_a_plain_cut_text_from_the_office(
    guarded_node: NodeProcess, desktop: Desktop, *, guarded: bool
) -> None:
    tap = Tap(desktop.host, desktop.port)
    async with crossing(guarded_node, tap, guarded=guarded) as at, at.viewer() as viewer:
        await _copied_while_somebody_looks(viewer, desktop, LATIN)
        await eventually(lambda: LATIN in tap.said)
        await comes_behind(viewer)
        assert (LATIN in viewer.seen) is not guarded


@pytest.mark.parametrize("guarded", [True, False])
async def test_an_extended_clipboard_from_the_office(
    guarded_node: NodeProcess, desktop: Desktop, *, guarded: bool
) -> None:
    tap = Tap(desktop.host, desktop.port)
    provided = pack(">I", Clipboard.PROVIDE | Clipboard.TEXT)
    async with crossing(guarded_node, tap, guarded=guarded) as at, at.viewer() as viewer:
        viewer.say(encodings(Encoding.EXTENDED_CLIPBOARD, Encoding.RAW) + Clipboard.able())
        await _copied_while_somebody_looks(viewer, desktop, TEXT)
        viewer.say(Clipboard.requested())
        await comes_behind(viewer)
        if guarded:
            # A desktop that was not told of the extension says it plainly, as far as that can be said.
            await eventually(lambda: b"4711" in tap.said)
            await comes_behind(viewer)
            assert b"4711" not in viewer.seen
            assert provided not in viewer.seen
        else:
            await eventually(lambda: provided in viewer.seen)
            # What comes behind the message is no part of its stream, which the desktop leaves open.
            begin = viewer.seen.index(provided)
            end = begin - int.from_bytes(viewer.seen[begin - 4 : begin], signed=True)
            await eventually(lambda: len(viewer.seen) >= end)
            content = viewer.seen[begin + len(provided) : end]
            assert TEXT in zlib.decompressobj().decompress(content)


async def _copied_while_somebody_looks(viewer: Viewer, desktop: Desktop, text: bytes) -> None:
    """Somebody at the office copies a text."""
    await comes_behind(viewer)
    (desktop.folder / "text").write_bytes(text)
    await desktop.start("xclip", "-i", "-selection", "clipboard", str(desktop.folder / "text"))
