"""Which keys arrive at a real desktop: a Japanese keyboard's, and none of whoever may only watch."""

from contextlib import AsyncExitStack
from typing import Final

import pytest

from telerelay.demo.desktop import Desktop, open_desktop
from tests.desktop.conftest import SIZE
from tests.kit.condition import eventually
from tests.kit.crossing import WATCHING, crossing
from tests.kit.desktop import Tap, open_input_log
from tests.kit.node import NodeProcess
from tests.kit.rfb import GREETING, KEY_A, Viewer, encodings, key, pointer, qemu_key, request
from tests.kit.screen import Encoding

# X11/keysymdef.h.
KEYSYMS: Final = {
    "半角/全角": 0xFF2A,
    "変換": 0xFF23,
    "無変換": 0xFF22,
    "カタカナ/ひらがな": 0xFF27,
    "英数": 0xFF30,
    "￥": 0xA5,
    "ろ": 0x4DB,
    "む": 0x4D1,
}
# Where they are on a PC's keyboard, in X, and what they mean there with the layout `jp`.
PLACES: Final = {
    "半角/全角": (0x29, 49, 0xFF2A),
    "変換": (0x79, 100, 0xFF23),
    "無変換": (0x7B, 102, 0xFF22),
    "カタカナ/ひらがな": (0x70, 101, 0xFF27),
    "￥": (0x7D, 132, 0x5C),
    "ろ": (0x73, 97, 0x5C),
}
GUARDS_HANDSHAKE: Final = GREETING + b"\x01\x01"
"""What the guard tells a desktop without a password before the first message."""
QEMU_KEYS: Final = bytes(8) + int(Encoding.QEMU_KEY).to_bytes(4, signed=True)
"""The rectangle by which a desktop says that it takes keys by their place."""


async def begin(viewer: Viewer) -> None:
    """Both sides know keys by their places."""
    viewer.say(encodings(Encoding.RAW, Encoding.QEMU_KEY))
    viewer.ask()
    await eventually(lambda: QEMU_KEYS in viewer.seen)


async def test_japanese_keys_arrive_by_what_they_mean(guarded_node: NodeProcess, desktop: Desktop) -> None:
    """The desktop's layout is the American one: what it lacks, Xvnc finds a place for."""
    log = await open_input_log(desktop)
    async with crossing(guarded_node, Tap(desktop.host, desktop.port)) as at, at.viewer() as viewer:
        # Places that Xvnc finds before anybody has typed are forgotten with the first key, guard or no guard.
        viewer.say(KEY_A)
        await log.counts_keys(1)
        for number, keysym in enumerate(KEYSYMS.values()):
            viewer.say(key(keysym, down=True) + key(keysym, down=False))
            # One at a time, as they are typed.
            keys = await log.counts_keys(1 + 2 * (number + 1))
            assert [(found, down) for _, found, down in keys[-2:]] == [(keysym, True), (keysym, False)]


@pytest.mark.parametrize("layout", ["jp", "us"])
async def test_japanese_keys_arrive_by_their_place(guarded_node: NodeProcess, layout: str) -> None:
    async with AsyncExitStack() as stack:
        # Without this switch Xvnc goes by what a key means.
        desktop = await stack.enter_async_context(open_desktop(size=SIZE, switches=["-RawKeyboard"]))
        await desktop.run("setxkbmap", "-layout", layout)
        log = await open_input_log(desktop)
        at = await stack.enter_async_context(crossing(guarded_node, Tap(desktop.host, desktop.port)))
        viewer = await stack.enter_async_context(at.viewer())
        await begin(viewer)
        for place, _, keysym in PLACES.values():
            viewer.say(qemu_key(keysym, place, down=True) + qemu_key(keysym, place, down=False))
        keys = await log.counts_keys(2 * len(PLACES))
    assert [code for code, _, _ in keys[::2]] == [code for _, code, _ in PLACES.values()]
    assert [down for _, _, down in keys] == [True, False] * len(PLACES)
    if layout == "jp":
        assert [keysym for _, keysym, _ in keys[::2]] == [keysym for _, _, keysym in PLACES.values()]


async def test_whoever_may_only_watch_moves_nothing(guarded_node: NodeProcess, desktop: Desktop) -> None:
    log = await open_input_log(desktop)
    tap = Tap(desktop.host, desktop.port)
    asked = encodings(Encoding.RAW, Encoding.QEMU_KEY) + request((16, 16), whole=True)
    typed = [
        key(0x61, down=True),
        key(0x61, down=False),
        qemu_key(0x62, 0x30, down=True),
        qemu_key(0x62, 0x30, down=False),
        pointer(60, 60, buttons=1),
        pointer(60, 60),
    ]
    resized = bytes.fromhex("fb 00 0280 01e0 01 00") + bytes(16)
    async with crossing(guarded_node, tap, rules=WATCHING) as at, at.viewer() as viewer:
        await begin(viewer)
        whole = b"".join([*typed, resized])
        viewer.say(whole)
        for byte in whole:
            viewer.say(bytes([byte]))
        for message in [*typed, resized]:
            # Between the halves of what may pass.
            viewer.say(asked + message + asked)
        passes = GUARDS_HANDSHAKE + asked + 2 * asked * len([*typed, resized])
        await eventually(lambda: len(tap.told) >= len(passes))
        assert tap.told == passes
    assert (log.keys, log.clicks) == ([], 0)
    # The same from somebody who may do more.
    async with crossing(guarded_node, tap) as at, at.viewer() as viewer:
        await begin(viewer)
        viewer.say(b"".join(typed))
        assert [keysym for _, keysym, _ in await log.counts_keys(4)] == [0x61, 0x61, 0x62, 0x62]
        await eventually(lambda: log.clicks == 1)
