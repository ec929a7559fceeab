"""A node that touches what it carries: the path ends, and no byte of it was believed (PROTOCOL.md §7)."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from typing_extensions import override

from telerelay_core import DoorOpen, SessionEnded, SessionOpened
from tests.kit.condition import INTERVAL
from tests.kit.hostile.endpoints import end_of
from tests.kit.hostile.node.relay import Direction
from tests.kit.hostile.world import World, open_world

GREETING = b"RFB 003.008\n"
CHANGE_CIPHER_SPEC = 20
Change = Callable[[bytes], list[bytes]]


def flip_in_the_middle(piece: bytes) -> list[bytes]:
    middle = len(piece) // 2
    return [piece[:middle] + bytes([piece[middle] ^ 0x10]) + piece[middle + 1 :]]


def flip_at_the_end(piece: bytes) -> list[bytes]:
    return [piece[:-1] + bytes([piece[-1] ^ 1])]


def lose_the_first_byte(piece: bytes) -> list[bytes]:
    return [piece[1:]]


def lose_the_rest(piece: bytes) -> list[bytes]:
    """What follows is taken for the end of this one."""
    return [piece[:-1]]


def claim_more(piece: bytes) -> list[bytes]:
    """The header says one byte more than there is."""
    longer = int.from_bytes(piece[3:5], "big") + 1
    return [piece[:3] + longer.to_bytes(2, "big") + piece[5:]]


def add_a_byte(piece: bytes) -> list[bytes]:
    return [b"\x00" + piece]


def twice(piece: bytes) -> list[bytes]:
    return [piece, piece]


def nothing(_: bytes) -> list[bytes]:
    return []


def alert_before(piece: bytes) -> list[bytes]:
    """A warning in the clear, close_notify: a node would like to end a session as if its owner had."""
    return [b"\x15\x03\x03\x00\x02\x01\x00", piece]


class Meddler:
    """Changes one piece of one direction, and passes everything else on."""

    def __init__(self, direction: Direction, change: Change, number: int = 0) -> None:
        self._direction = direction
        self._change = change
        self._until = number
        self.armed = True
        self.changed = False

    def __call__(self, direction: Direction, piece: bytes) -> list[bytes]:
        # Empty of meaning in TLS 1.3: a middlebox may do with it what it likes (RFC 8446 §D.4).
        is_void = piece[0] == CHANGE_CIPHER_SPEC
        if not self.armed or self.changed or direction != self._direction or is_void:
            return [piece]
        self._until -= 1
        if self._until >= 0:
            return [piece]
        self.changed = True
        return self._change(piece)


class Swapper(Meddler):
    """Lets one piece overtake the one before it."""

    def __init__(self, direction: Direction) -> None:
        super().__init__(direction, nothing)
        self._held: list[bytes] = []

    @override
    def __call__(self, direction: Direction, piece: bytes) -> list[bytes]:
        if self.changed and self._held and direction == self._direction:
            return [piece, self._held.pop()]
        passed = super().__call__(direction, piece)
        if not passed:
            self._held = [piece]
        return passed


# ---------------------------------------------------------------- the handshake


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("change", [flip_in_the_middle, flip_at_the_end, lose_the_first_byte, add_a_byte])
@pytest.mark.parametrize("direction", ["to_agent", "to_client"])
async def test_a_handshake_that_was_touched_secures_nothing(
    tmp_path: Path, direction: Direction, change: Change, number: int
) -> None:
    world = World(tmp_path)
    meddler = Meddler(direction, change, number)
    world.relay.tamper = meddler
    async with open_world(world), world.session() as (agent, client):
        assert await client.code() == "IDENTITY"
        assert meddler.changed
        assert (await end_of(client)).stage == "inner"
        end = await end_of(agent)
        assert (end.code, end.stage) == ("IDENTITY", "inner")
        assert not client.of(DoorOpen)
        assert not agent.of(SessionOpened)
        assert not world.desktop.connections


async def test_a_handshake_that_gets_no_answer_ends_after_ten_seconds(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.relay.tamper = Meddler("to_agent", nothing)
    async with open_world(world), world.session() as (agent, client):
        ends = await end_of(client), await end_of(agent)
        # Who waited first ends the path, and the other one sees that, or has waited as long.
        told = {(end.code, end.stage) for end in ends}
        assert ("IDENTITY", "inner") in told <= {("IDENTITY", "inner"), ("PATH_LOST", "inner")}
        assert all(9_000 < end.duration_ms < 12_000 for end in ends)


# ---------------------------------------------------------------- the session


@pytest.mark.parametrize("direction", ["to_agent", "to_client"])
@pytest.mark.parametrize(
    "change",
    [
        flip_in_the_middle,
        flip_at_the_end,
        lose_the_first_byte,
        lose_the_rest,
        claim_more,
        add_a_byte,
        twice,
        nothing,
        alert_before,
        None,
    ],
)
async def test_a_session_that_was_touched_ends_before_the_touched_byte(
    tmp_path: Path, direction: Direction, change: Change | None
) -> None:
    world = World(tmp_path)
    meddler = Meddler(direction, change) if change else Swapper(direction)
    meddler.armed = False
    world.relay.tamper = meddler
    async with open_world(world), world.session() as (agent, client):
        reader, writer = await client.viewer()
        assert await reader.readexactly(len(GREETING)) == GREETING
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        meddler.armed = True
        sent = world.relay.pairings[0].to_agent
        for word in (b"two", b"three", b"four"):
            # A piece of its own for each: what is missing shows when something follows.
            before = len(sent)
            writer.write(word)
            while len(sent) == before and not client.of(SessionEnded):
                await asyncio.sleep(INTERVAL)
        assert await client.code() == "SESSION_GONE"
        assert meddler.changed
        end = await end_of(agent)
        assert (end.code, end.stage) == ("PATH_LOST", "session")
        touched, other = await _rest(reader), bytes(world.desktop.received[3:])
        if direction == "to_agent":
            touched, other = other, touched
        # Of a piece that came twice the first was as good as any.
        assert touched in ({b"", b"two"} if change is twice else {b""})
        assert b"twothreefour".startswith(other)


async def test_two_sessions_of_the_same_two_ends_are_not_mixed(tmp_path: Path) -> None:
    world = World(tmp_path)
    crossed = False

    def tamper(direction: Direction, piece: bytes) -> list[bytes]:
        # The other session's last piece, which is authentic, from the right end, and of the same direction.
        others = world.relay.pairings[0].to_agent
        return [others[-1]] if crossed and direction == "to_agent" and piece is not others[-1] else [piece]

    async with open_world(world), world.session() as (agent, client):
        first, writer = await client.viewer()
        assert await first.readexactly(len(GREETING)) == GREETING
        second, other = await client.viewer()
        assert await second.readexactly(len(GREETING)) == GREETING
        writer.write(b"for the first alone")
        assert await first.readexactly(19) == b"for the first alone"
        world.relay.tamper = tamper
        crossed = True
        other.write(b"for the second")
        assert (await end_of(agent)).code == "PATH_LOST"
        assert await _rest(second) == b""
        assert world.desktop.received == b"for the first alone"


async def test_a_recorded_session_is_worth_nothing_the_next_day(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with open_world(world), world.session() as (agent, today):
        reader, writer = await today.viewer()
        assert await reader.readexactly(len(GREETING)) == GREETING
        writer.write(b"open the door")
        assert await reader.readexactly(13) == b"open the door"
        writer.close()
        await end_of(agent)
        recorded = [world.relay.pairings[0].to_agent]

        def replay(direction: Direction, piece: bytes) -> list[bytes]:
            if direction == "to_client":
                return [piece]
            return recorded.pop() if recorded else []

        world.relay.tamper = replay
        async with world.client() as tomorrow:
            assert await tomorrow.code() == "IDENTITY"
        assert not recorded
        end = await end_of(agent, 2)
        assert (end.code, end.stage) == ("IDENTITY", "inner")
        assert world.desktop.received == b"open the door"


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """Everything that still comes, however it ends."""
    came = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := await reader.read(4096):
            came += piece
    return came
