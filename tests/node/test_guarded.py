"""What the agent makes of its guard's word: rules, codes, one session's end alone (docs/GUARD.md)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from telerelay_core import SessionEnded, SessionRules
from tests.kit.condition import eventually
from tests.kit.crossing import WATCHING, crossing
from tests.kit.hostile.desktop import FakeDesktop, Serve
from tests.kit.hostile.endpoints import RunningAgent, end_of, online
from tests.kit.hostile.world import World, open_world
from tests.kit.node import NodeProcess
from tests.kit.rfb import (
    BELL,
    GREETING,
    KEY_A,
    answer_keys,
    cut_text,
    encodings,
    let_in,
    look,
    request,
    ring,
    ring_once,
)
from tests.kit.screen import Encoding

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
CUT_TEXT = cut_text(b"text")
NEVER_ENDS = b"\x06\0\0\0\x7f\xff\xff\xff"
LEAST = b"\x06\0\0\0\x80\0\0\0"
"""The least number: -2**31 bytes."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with NodeProcess(tmp_path_factory.mktemp("n")) as running:
        yield running


@asynccontextmanager
async def guarded(
    folder: Path, serve: Serve, rules: SessionRules | None = None
) -> AsyncIterator[tuple[World, RunningAgent, Streams]]:
    """A viewer at the door of a client whose agent guards a desktop."""
    async with open_world(World(folder), serve) as world, world.agent(guarded=True) as agent:
        if rules is not None:
            agent.verdict = lambda _incoming: rules
        await online(agent)
        async with world.client() as client:
            yield world, agent, await client.viewer()


async def test_a_key_arrives_and_a_cut_text_does_not(tmp_path: Path) -> None:
    async with guarded(tmp_path, ring) as (world, _, (reader, writer)):
        await look(reader, writer)
        writer.write(CUT_TEXT)
        await ring_once(reader, writer)
        writer.write(CUT_TEXT * 100_000)
        await ring_once(reader, writer)
        assert world.desktop.received == KEY_A * 2


async def test_view_only_swallows_keys_and_nothing_else(tmp_path: Path) -> None:
    asking = request((1, 1), whole=True)
    async with guarded(tmp_path, ring, WATCHING) as (world, _, (reader, writer)):
        await look(reader, writer)
        writer.write(KEY_A * 3 + asking)
        await eventually(lambda: bool(world.desktop.received))
        assert asking.startswith(bytes(world.desktop.received))
        # Ten bytes are one key and a part of the next to this desktop.
        assert await reader.readexactly(1) == BELL


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"\x07\x01\0\0", "POLICY_FILE"),
        (b"\xfc\0\0\0", "POLICY_FILE"),
        (b"\xff\x01\0\0", "POLICY_UNKNOWN"),
        (NEVER_ENDS + CUT_TEXT, "DONE"),
        (LEAST + CUT_TEXT, "DONE"),
    ],
)
async def test_what_the_client_may_not_say_ends_its_session(tmp_path: Path, said: bytes, code: str) -> None:
    async with guarded(tmp_path, ring) as (world, agent, (reader, writer)):
        await look(reader, writer)
        writer.write(said + KEY_A)
        if code == "DONE":
            writer.close()
        ended = await end_of(agent)
        assert ended.code == code
        assert world.desktop.received == b""
        # Who comes after it is served.
        async with world.client() as client:
            one, other = await client.viewer()
            await look(one, other)
            await ring_once(one, other)


# ---------------------------------------------------------------- desktops


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "DESKTOP_PROTOCOL"),
        (bytes(range(256)) * 4096, "DESKTOP_PROTOCOL"),
        (GREETING + b"\x02\x05\x13", "DESKTOP_SECURITY"),
        # macOS's own, and RealVNC's, by their versions too.
        (b"RFB 003.889\n" + b"\x04\x1e\x21\x24\x23", "DESKTOP_SECURITY"),
        (b"RFB 005.000\n" + b"\x06\x05\x06\x0d\x81\x82\x85", "DESKTOP_SECURITY"),
        (b"RFB 003.003\n" + b"\0\0\0\x1e", "DESKTOP_SECURITY"),
        (GREETING + b"\x01\x02" + bytes(16), "DESKTOP_PASSWORD"),
        (GREETING + b"\0\0\0\0\x04busy", "DESKTOP_PASSWORD"),
    ],
)
async def test_a_desktop_that_cannot_be_guarded_is_refused_with_its_code(
    tmp_path: Path, said: bytes, code: str
) -> None:
    async def serve(
        _desktop: FakeDesktop, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(said)
        await writer.drain()
        await reader.read()

    async with open_world(World(tmp_path), serve) as world, world.agent(guarded=True) as agent:
        await online(agent)
        async with world.client() as client:
            assert (await end_of(agent)).code == code
            assert await client.code() == code


async def test_of_a_name_of_two_megabytes_the_viewer_has_its_beginning(tmp_path: Path) -> None:
    """Once as the desktop introduces itself, and once as it is renamed."""
    name = "市民課".encode() * ((2 << 20) // 9)
    renaming = b"\0\0\0\1" + bytes(8) + int(Encoding.NAME).to_bytes(4, signed=True)

    async def serve(desktop: FakeDesktop, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await let_in(reader, writer, name)
        await reader.readexactly(len(asked))
        writer.write(renaming + len(name).to_bytes(4) + name)
        await answer_keys(desktop, reader, writer)

    asked = encodings(Encoding.NAME, Encoding.RAW) + request((1, 1), whole=True)
    async with guarded(tmp_path, serve) as (_, _, (reader, writer)):
        _, seen = await look(reader, writer)
        assert 252 <= len(seen) <= 255
        assert name.startswith(seen)
        writer.write(asked)
        assert await reader.readexactly(len(renaming)) == renaming
        assert await reader.readexactly(4 + len(seen)) == len(seen).to_bytes(4) + seen
        await ring_once(reader, writer)


# ---------------------------------------------------------------- one session's end


async def errs(desktop: FakeDesktop, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Rings for each key of its first session, and shows the next what nobody has asked for."""
    await let_in(reader, writer)
    if len(desktop.connections) == 1:
        await answer_keys(desktop, reader, writer)
    await reader.readexactly(len(KEY_A))
    writer.write(b"\0\0\0\1")
    await reader.read()


@pytest.mark.parametrize(
    ("serve", "said", "code"),
    [
        (ring, b"\x82" + bytes(8), "POLICY_FILE"),
        (ring, b"\x0b" + bytes(8), "POLICY_UNKNOWN"),
        (errs, KEY_A, "DESKTOP_PROTOCOL"),
    ],
)
async def test_a_session_that_is_refused_ends_alone_and_the_audit_has_its_code(
    node: NodeProcess, serve: Serve, said: bytes, code: str
) -> None:
    async with crossing(node, serve) as at:
        one = await at.client.viewer()
        await look(*one)
        other = await at.client.viewer()
        await look(*other)
        await ring_once(*one)
        other[1].write(said)
        await at.ends_with(code)
        assert await other[0].read() == b""
        # The session beside it has the same agent, client and desktop.
        await ring_once(*one)
        assert len(at.agent.of(SessionEnded)) == 1
