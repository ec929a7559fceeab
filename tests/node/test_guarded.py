"""What the agent makes of its guard's word: rules, codes, one session's end alone (docs/GUARD.md)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from telerelay_core import SessionRules
from tests.kit.condition import eventually
from tests.kit.hostile.desktop import FakeDesktop, Serve
from tests.kit.hostile.endpoints import RunningAgent, end_of, online
from tests.kit.hostile.world import World, open_world
from tests.kit.rfb import BELL, GREETING, KEY_A, look, ring, ring_once

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
WATCHING = SessionRules(sessions=8, resume_limit_s=0, idle_timeout_s=0, view_only=True, shown=[])
CUT_TEXT = b"\x06\0\0\0\0\0\0\x04text"
NEVER_ENDS = b"\x06\0\0\0\x7f\xff\xff\xff"


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
    asking = bytes.fromhex("03 00 0000 0000 0001 0001")
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


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "DESKTOP_PROTOCOL"),
        (bytes(range(256)) * 4096, "DESKTOP_PROTOCOL"),
        (GREETING + b"\x02\x05\x13", "DESKTOP_SECURITY"),
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

    async with guarded(tmp_path, serve) as (_, agent, (reader, _writer)):
        assert (await end_of(agent)).code == code
        # The guard's own greeting is all that the viewer ever has.
        assert GREETING.startswith(await reader.read())
