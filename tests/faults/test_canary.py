"""What is on the screen and what is typed can be found at both ends, and nowhere in between.

An encoded screen never holds a text, so the canary is a pattern of pixels and a pattern of keys; the same
search that must not find them at the node must find them in agent and client.
"""

import asyncio
import random
import struct
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import pytest
from PIL import Image

from telerelay.demo.capture import capture_desktop
from telerelay.demo.desktop import open_desktop
from tests.kit.desktop import open_terminal, paint
from tests.kit.memory import files_with, is_in_memory
from tests.kit.world import World

# The terminal takes a part of it; the pattern has the rest.
SIZE: Final = (1024, 768)
# 64 bytes as they are on the wire: the capture asks for the bytes R, G, B, 0 of each pixel.
CHANCE: Final = random.Random(51)
PIXELS: Final = b"".join(CHANCE.randbytes(3) + b"\0" for _ in range(16))
# Over and over, so that a buffer that is used again still holds one.
PICTURE: Final = Image.frombytes("RGBX", SIZE, PIXELS * (SIZE[0] * SIZE[1] // 16)).convert("RGB")
TEXT: Final = "qzjxkvwy"
KEYS: Final = b"".join(struct.pack(">BBxxI", 4, down, ord(key)) for key in TEXT for down in (1, 0))
TIMES: Final = 100


@pytest.mark.timeout(180)
async def test_the_node_never_holds_what_is_seen_or_typed(world: World) -> None:
    async with open_desktop(size=SIZE) as desktop, world.open(desktop) as (node, agent, client):
        await open_terminal(desktop)
        await paint(desktop, PICTURE)
        async with capture_desktop(client.host, client.port) as capture:
            for canary, show in ((PIXELS, capture.picture), (KEYS, partial(capture.type, TEXT * TIMES))):
                for end in (agent, client):
                    await is_found(end.program.pid, canary, show)
                assert not is_in_memory(node.program.pid, canary)
    for canary in (PIXELS, KEYS, TEXT.encode()):
        assert not files_with(world.node_data, canary)
        assert not files_with(world.logs, canary)


async def is_found(pid: int, canary: bytes, show: Callable[[], Awaitable[object]]) -> None:
    """Let it pass until the process is seen to hold it: buffers that are empty are given back at once."""
    async with asyncio.timeout(30):
        await show()
        while not is_in_memory(pid, canary):
            await show()
