"""A viewer that reads nothing holds up its own desktop and costs the node a few buffers, others nothing."""

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Final

from telerelay_core import SessionOpened
from tests.kit.beside import beside, counting, newcomer
from tests.kit.hostile.desktop import FakeDesktop
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import NodeProcess

TOTAL: Final = 64 * 1024 * 1024
PIECE: Final = os.urandom(1024 * 1024)
# Windows of the session and buffers of the kernels, of six sockets in a row.
HELD: Final = 32 * 1024 * 1024
# What the node itself may have grown by: both legs' buffers are some hundred KiB.
GROWN: Final = 4 * 1024 * 1024
STILL_S: Final = 1.0


class _Streaming:
    """A desktop that says `TOTAL` bytes as fast as they are taken."""

    def __init__(self) -> None:
        self.said = 0

    async def serve(
        self, _desktop: FakeDesktop, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while self.said < TOTAL:
            writer.write(PIECE)
            await writer.drain()
            self.said += len(PIECE)
        await reader.read()

    async def stands_still(self) -> None:
        """Return when nothing more was taken for a while."""
        before = -1
        while before != self.said:
            before = self.said
            await asyncio.sleep(STILL_S)


def _resident(node: NodeProcess) -> int:
    """Bytes of the node's memory."""
    pages = Path(f"/proc/{node.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


async def test_a_slow_reader_is_held_back_alone_and_loses_nothing(tmp_path: Path) -> None:
    with NodeProcess(tmp_path) as node:
        tenant, desktop = newcomer(node), _Streaming()
        async with (
            beside(node) as session,
            counting(node, {"ended.DONE": 1}),
            agent_of(node, tenant, desktop.serve),
            client_of(node, tenant) as client,
        ):
            await client.wait(SessionOpened)
            before = _resident(node)
            reader, writer = await client.viewer()
            # asyncio would read ahead.
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await desktop.stands_still()
            assert 0 < desktop.said < HELD
            for _ in range(20):
                await session.runs(within_s=1)
            assert _resident(node) - before < GROWN
            writer.transport.resume_reading()  # type: ignore[attr-defined]
            read = hashlib.sha256()
            for _ in range(TOTAL // len(PIECE)):
                read.update(await reader.readexactly(len(PIECE)))
            assert read.digest() == hashlib.sha256(PIECE * (TOTAL // len(PIECE))).digest()
