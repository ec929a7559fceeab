"""A node of an ordinary user past its budget of pipes: bulk arrives whole, the operator is told once."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from telerelay_core import SessionOpened
from tests.kit.beside import beside, newcomer
from tests.kit.condition import eventually
from tests.kit.hostile.desktop import FakeDesktop
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import NodeProcess
from tests.kit.ordinary import AS_NOBODY, NOBODY, Installed
from tests.kit.tenant import Tenant

# Building and installing the wheels is part of whichever test comes first.
pytestmark = pytest.mark.timeout(300)

MIB: Final = 1 << 20
SESSIONS: Final = 4
PIECES: Final = 16
"""MiB that a desktop shows in a session."""
SMALL: Final = "pipes are small"
# Takes the user's whole budget but for two pipes of the kernel's own size, 64 KiB.
HOG: Final = """
import fcntl, os, sys

budget = int(open("/proc/sys/fs/pipe-user-pages-soft").read())
large = [os.pipe() for _ in range(budget // 256 - 1)]
for _, into in large:
    fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, 256 * 4096)
usual = [os.pipe()]
while fcntl.fcntl(usual[-1][1], fcntl.F_GETPIPE_SZ) == 16 * 4096:
    usual.append(os.pipe())
for end in (*usual[0], *usual[1]):
    os.close(end)
print("full", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def node(installed: Installed) -> Iterator[NodeProcess]:
    """A node that nobody special runs."""
    folder = installed.folder / "node-of-nobody"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    with NodeProcess(folder, program=(*AS_NOBODY, str(installed.programs / "telerelay"))) as running:
        yield running


@asynccontextmanager
async def _hog() -> AsyncIterator[None]:
    """The same user's other program, which has all pipes."""
    pipe = asyncio.subprocess.PIPE
    hog = await asyncio.create_subprocess_exec(
        *AS_NOBODY, "/usr/bin/python3", "-c", HOG, stdin=pipe, stdout=pipe, cwd="/"
    )
    assert hog.stdin is not None
    assert hog.stdout is not None
    try:
        assert await hog.stdout.readline() == b"full\n"
        yield
    finally:
        hog.stdin.close()
        await hog.wait()


async def _carries(node: NodeProcess, tenant: Tenant, seed: int) -> None:
    """A session shows bulk that is like no other's; all of it arrives, in order."""
    piece = random.Random(seed).randbytes(MIB)

    async def show(_desktop: FakeDesktop, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(PIECES):
            writer.write(number.to_bytes(4, "big") + piece)
            await writer.drain()
        await reader.read()

    async with agent_of(node, tenant, show), client_of(node, tenant) as client:
        assert (await client.wait(SessionOpened)).path_kind == "direct"
        reader, _ = await client.viewer()
        for number in range(PIECES):
            assert await reader.readexactly(4 + MIB) == number.to_bytes(4, "big") + piece


async def test_past_the_budget_of_pipes_bulk_arrives_whole_and_the_operator_is_told_once(
    node: NodeProcess,
) -> None:
    tenants = [await asyncio.to_thread(newcomer, node) for _ in range(SESSIONS)]

    async def carry() -> None:
        await asyncio.gather(*(_carries(node, tenant, seed) for seed, tenant in enumerate(tenants)))

    def told(words: str) -> list[str]:
        return [line for line in node.log.read_text().splitlines() if words in line]

    async with beside(node) as session:
        async with _hog():
            # The kernel is asked again after a while, and refuses again.
            while node.statistics()["engine.pipes_small"] < 3:
                await carry()
            await session.runs()
            counted = node.statistics()
        # Small ones are used all the same, and without one it is copied.
        assert counted["engine.bytes_spliced"] > 0
        assert counted["engine.pipes_missed"] > 0
        (line,) = told(SMALL)
        assert '"level":"warning"' in line
        assert "raise fs.pipe-user-pages-soft" in line
        assert not told("large as they should be")

        async def is_mended() -> bool:
            await carry()
            return bool(told("large as they should be"))

        async with asyncio.timeout(60):
            while not await is_mended():
                pass
        assert len(told(SMALL)) == 1
    await eventually(lambda: node.statistics()["engine.pipes_used"] == 0)
    assert Path(f"/proc/{node.process.pid}").stat().st_uid == NOBODY
