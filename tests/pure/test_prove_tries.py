"""What `telerelay prove` makes of what it sees where that could be true by accident: never a pass."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from struct import pack
from typing import Any, Final

import pytest
from typing_extensions import override

from telerelay.prove import ground as grounds
from telerelay.prove import hello, inner, leg, messages, viewer, watch
from telerelay.prove.ground import Asked, Ground
from telerelay.prove.inner import Shown
from telerelay.prove.tries import clipboard, transport
from telerelay.prove.verdicts import NotTestedError, Outcome, Verdict
from telerelay.prove.watch import Watch
from telerelay.prove.way import Answer, Session, Way
from telerelay_endpoint.certificates import Role
from telerelay_endpoint.credentials import Credentials, Relay
from telerelay_endpoint.lines import ClusterLine
from telerelay_endpoint.payloads import NodeAddress

PASS, FAIL = Outcome.PASS, Outcome.FAIL
CUT_TEXT: Final = b"\x06"
PALE: Final = messages.set_pixel_format(messages.PALE_PIXELS)
ANSWERED: Final = b"\0\0\0\0"
"""An update without a rectangle."""
SERVER_HELLO: Final = bytes.fromhex("160303002c 02000028 0303") + bytes(32) + bytes.fromhex("00c02b000000")


def a_text(text: bytes) -> bytes:
    """A cut text from the desktop."""
    return pack(">B3xi", 3, len(text)) + text


class Desk(Session):
    """A session whose desktop answers each request, until something is said that ends it with a code."""

    def __init__(self, ends: dict[bytes, str | None] | None = None) -> None:
        self.attempt = "0000-0000"
        self.reader = asyncio.StreamReader()
        self.writer: Any = self
        self.code: str | None = None
        self.mute = False
        self._ends = ends or {}
        handshake = messages.VERSION + b"\x01\x01" + bytes(4) + pack(">HH16xI", 8, 8, 0)
        self.reader.feed_data(handshake)

    def write(self, said: bytes) -> None:
        for beginning, code in self._ends.items():
            if said.startswith(beginning) and not self.reader.at_eof():
                self.code = code
                self.reader.feed_eof()
        if said[:1] == b"\x03" and not self.mute and not self.reader.at_eof():
            self.reader.feed_data(ANSWERED)

    async def drain(self) -> None:
        pass

    def close(self) -> None:
        pass

    @override
    async def end(self, within: float) -> str | None:
        await asyncio.sleep(0)
        return self.code


class Desks(Way):
    """A way that leads to these sessions, one after the other."""

    def __init__(self, *desks: Desk) -> None:
        self.desks = list(desks)

    @property
    @override
    def rules(self) -> list[str]:
        return []

    @override
    async def answer(self) -> Answer:
        return Answer("0000-0000", None)

    @override
    async def session(self) -> Session:
        return self.desks.pop(0)


class Watched(Watch):
    """A desktop at which nothing arrives."""

    def __init__(self) -> None:
        pass

    @override
    async def copy(self, text: bytes) -> None:
        pass

    @override
    async def gets(self, text: bytes, other: bytes, within: float) -> bool:
        # The viewer hears of an end by its reading.
        await asyncio.sleep(0.01)
        return False


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    relay = Relay(Role.CLIENT, ClusterLine((bytes(32), bytes(32)), ()), "auditor")
    return Credentials(tmp_path, relay, (), None)  # type: ignore[arg-type] # nobody looks at them


Stand = Callable[..., Awaitable[Ground]]


@pytest.fixture
async def stand(credentials: Credentials, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    """Stands beside the first of some sessions; the tries get the others."""
    standing: list[Ground] = []

    async def stood(*desks: Desk) -> Ground:
        led = Desks(*desks)

        @asynccontextmanager
        async def way(_credentials: Credentials, _computer: str) -> AsyncIterator[Way]:
            yield led

        monkeypatch.setattr(grounds, "open_way", way)
        for module, name in ((viewer, "ANSWER_S"), (clipboard, "SILENCE_S"), (clipboard, "END_S")):
            monkeypatch.setattr(module, name, 0.1)
        ground = Ground(credentials, Asked("0000-0000-0000-0000-0"), Watched())
        standing.append(ground)
        await ground.stand()
        return ground

    yield stood
    for ground in standing:
        await ground.leave()


# ---------------------------------------------------------------- a session that is dead carries nothing


@pytest.mark.parametrize("code", ["POLICY_FILE", "POLICY_UNKNOWN", "UNSUPPORTED"])
async def test_a_session_that_the_guard_ends_has_carried_nothing(stand: Stand, code: str) -> None:
    ground = await stand(Desk(), Desk({CUT_TEXT: code}), Desk({PALE: code}))
    assert (await clipboard.claim_in(ground, 2**31 - 1)).outcome is PASS
    assert (await clipboard.slip_out(ground)).outcome is PASS


@pytest.mark.parametrize("code", ["PATH_LOST", "SUPERSEDED", "POLICY_IDLE", "INTERNAL", None])
async def test_a_session_that_ended_otherwise_shows_nothing(stand: Stand, code: str | None) -> None:
    ground = await stand(Desk(), Desk({CUT_TEXT: code}), Desk({PALE: code}))
    with pytest.raises(NotTestedError, match=f"ended with {code}"):
        await clipboard.claim_in(ground, 2**31 - 1)
    with pytest.raises(NotTestedError, match=f"ended with {code}"):
        await clipboard.slip_out(ground)


async def test_a_desktop_that_ends_the_session_was_reached(stand: Stand) -> None:
    ground = await stand(Desk(), Desk({CUT_TEXT: "DESKTOP_LOST"}), Desk({PALE: "DESKTOP_LOST"}))
    assert (await clipboard.claim_in(ground, -(2**31))).outcome is FAIL
    with pytest.raises(NotTestedError, match="DESKTOP_LOST"):
        await clipboard.slip_out(ground)


async def test_a_session_that_lives_on_must_stir(stand: Stand) -> None:
    silent = Desk()
    ground = await stand(Desk(), Desk(), silent)
    assert (await clipboard.slip_out(ground)).outcome is PASS
    answer = silent.write

    def write(said: bytes) -> None:
        silent.mute = silent.mute or said == PALE + messages.request(8, 8)
        answer(said)

    silent.write = write  # type: ignore[method-assign]
    with pytest.raises(NotTestedError, match="no answer"):
        await clipboard.slip_out(ground)


# ---------------------------------------------------------------- a text that comes late


async def test_a_text_that_comes_home_at_any_time_is_harm_and_is_told_once(stand: Stand) -> None:
    beside, shared = Desk(), Desk()
    ground = await stand(beside, shared)
    late = await ground.kept("plain")
    assert await ground.harm() == []
    for desk in (shared, beside):
        desk.reader.feed_data(a_text(b"late"))
        await (await ground.kept("plain")).settle()
        await ground.neighbour()
        assert await ground.harm() == [grounds.TEXT_CAME]
        assert await ground.harm() == []
    # In the bare bytes as well.
    late.look_for(b"canary")
    await late.go_bare()
    shared.reader.feed_data(b"..canary..")
    await late.hears(lambda heard: bool(heard.needles), 1)
    await ground.kept("plain")
    assert await ground.harm() == [grounds.TEXT_CAME]


async def test_a_text_between_two_tries_counts_against_the_next(stand: Stand) -> None:
    shared = Desk()
    ground = await stand(Desk(), shared)
    await ground.kept("plain")
    shared.reader.feed_data(a_text(b"late"))
    assert (await clipboard.carry_out(ground, "plain")).outcome is FAIL


async def test_what_is_strange_beside_is_harm_and_another_stands_there_then(stand: Stand) -> None:
    beside = Desk()
    ground = await stand(beside, Desk())
    beside.reader.feed_data(b"\xfc")
    with pytest.raises(NotTestedError):
        await ground.neighbour()
    assert [one.en for one in await ground.harm()] == ["message 252"]
    await ground.stand()
    await ground.neighbour()
    assert await ground.harm() == []


# ---------------------------------------------------------------- the watch


@pytest.fixture
def xclip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a program in its place."""

    def put(script: str) -> None:
        program = tmp_path / "xclip"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(watch, "_PROGRAM_S", 0.3)
    return put


async def _gets(folder: Path) -> bool:
    async with AsyncExitStack() as stack:
        return await Watch(":0", folder, stack).gets(b"text", b"other", 0.4)


@pytest.mark.parametrize("script", ["exit 1", "exec sleep 9", "true", "test $3 = primary && printf other"])
async def test_a_watch_that_does_not_see_says_nothing(
    tmp_path: Path, xclip: Callable[[str], None], script: str
) -> None:
    xclip(script)
    with pytest.raises(NotTestedError, match="cannot be pasted there any more"):
        await _gets(tmp_path)


async def test_a_watch_sees_what_was_copied_before_and_what_comes_late(
    tmp_path: Path, xclip: Callable[[str], None]
) -> None:
    xclip("printf other")
    assert not await _gets(tmp_path)
    xclip("test $3 = primary && printf text")
    assert await _gets(tmp_path)
    xclip(f"cat {tmp_path}/held")
    (tmp_path / "held").write_bytes(b"other")

    async def arrive() -> None:
        await asyncio.sleep(0.15)
        (tmp_path / "held").write_bytes(b"a text")

    arriving = asyncio.create_task(arrive())
    assert await _gets(tmp_path)
    await arriving


# ---------------------------------------------------------------- TLS


Serve = Callable[[asyncio.StreamWriter], None]


async def _offered_old(credentials: Credentials, monkeypatch: pytest.MonkeyPatch, serve: Serve) -> Verdict:
    """An offer of TLS 1.2 to a node that answers 1.3, and behind a first flight does as `serve` does."""
    over = asyncio.Event()

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(5)
        await reader.readexactly(int.from_bytes(head[3:]))
        serve(writer)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        over.set()

    async with await asyncio.start_server(met, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        try:
            return await _offered_old_at(credentials, monkeypatch, port)
        finally:
            await over.wait()


async def _offered_old_at(credentials: Credentials, monkeypatch: pytest.MonkeyPatch, port: int) -> Verdict:
    @asynccontextmanager
    async def answers(_credentials: Credentials) -> AsyncIterator[None]:
        yield

    node = NodeAddress("n", (f"127.0.0.1:{port}",))
    relay = Relay(Role.CLIENT, ClusterLine((bytes(32), bytes(32)), (node,)), "auditor")
    credentials = Credentials(credentials.folder, relay, credentials.chain, credentials.root)
    monkeypatch.setattr(transport, "dial", answers)
    monkeypatch.setattr(leg, "_ANSWER_S", 0.3)
    return await transport.weaken_outer(Ground(credentials, Asked("0000-0000-0000-0000-0"), None))


def _say(record: bytes) -> Serve:
    def serve(writer: asyncio.StreamWriter) -> None:
        writer.write(record)
        writer.close()

    return serve


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize(
    ("serve", "outcome"),
    [
        (_say(bytes.fromhex("15030300020246")), PASS),
        (_reset, PASS),
        (_say(SERVER_HELLO), FAIL),
    ],
)
async def test_a_node_refuses_an_older_version_by_an_alert_or_a_reset(
    credentials: Credentials, monkeypatch: pytest.MonkeyPatch, serve: Serve, outcome: Outcome
) -> None:
    assert (await _offered_old(credentials, monkeypatch, serve)).outcome is outcome


@pytest.mark.parametrize(
    "serve",
    [
        _say(b""),
        _say(bytes.fromhex("1503030002")),
        _say(bytes.fromhex("15030300020228")),
        _say(b"HTTP/1.1 400 Bad Request\r\n"),
        lambda _writer: None,
    ],
    ids=["end", "half", "handshake_failure", "http", "silence"],
)
async def test_whatever_else_a_node_does_is_no_refusal(
    credentials: Credentials, monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    with pytest.raises(NotTestedError, match=r"TLS 1\.2"):
        await _offered_old(credentials, monkeypatch, serve)


async def test_a_node_that_is_gone_refuses_nothing(
    credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(NotTestedError, match=r"did not answer TLS 1\.2"):
            await _offered_old_at(credentials, monkeypatch, free.getsockname()[1])


class Records(leg.Leg):
    """A path on which these records come."""

    def __init__(self, *records: bytes | None) -> None:
        self._records = list(records)

    @override
    def say(self, records: bytes) -> None:
        pass

    @override
    async def record(self) -> bytes | None:
        return self._records.pop(0)


def _paths(monkeypatch: pytest.MonkeyPatch, *records: bytes | None) -> None:
    """Each path of a try answers with one of these."""
    coming = iter(records)

    @asynccontextmanager
    async def path(_ground: Ground) -> AsyncIterator[tuple[leg.Leg, str]]:
        yield Records(next(coming)), "0000-0000"

    monkeypatch.setattr(transport, "_path", path)


HYBRID: Final = bytes.fromhex(
    "160303 003a 02000036 0303" + "00" * 32 + "00 1301 00 000e 002b0002 0304 0033 0004 11ec 0000"
)
ALERT: Final = bytes.fromhex("15030300020246")
CLOSED: Final = bytes.fromhex("15030300020100")


async def test_an_agent_refuses_less_by_an_alert_alone(
    credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = Ground(credentials, Asked("0000-0000-0000-0000-0"), None)
    _paths(monkeypatch, HYBRID, ALERT, ALERT)
    assert (await transport.weaken_inner(ground)).outcome is PASS
    _paths(monkeypatch, HYBRID, ALERT, SERVER_HELLO)
    assert (await transport.weaken_inner(ground)).outcome is FAIL
    for broken in (None, CLOSED):
        for records in ((HYBRID, broken, ALERT), (HYBRID, ALERT, broken)):
            _paths(monkeypatch, *records)
            with pytest.raises(NotTestedError, match="did not answer an offer"):
                await transport.weaken_inner(ground)


async def test_an_agent_refuses_a_foreign_certificate_by_an_alert_alone(
    credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = Ground(credentials, Asked("0000-0000-0000-0000-0"), None)
    monkeypatch.setattr(transport, "load_key_file", lambda _file: None)

    async def shown(second: Shown) -> Verdict:
        _paths(monkeypatch, None, None)
        coming = iter((Shown(let_in=True), second))

        async def show(*_shown: object) -> inner.Shown:
            return next(coming)

        monkeypatch.setattr(transport, "show", show)
        return await transport.show_foreign_inside(ground)

    assert (await shown(Shown(alert=48))).outcome is PASS
    assert (await shown(Shown(let_in=True))).outcome is FAIL
    for broken in (Shown(), Shown(alert=hello.CLOSE_NOTIFY)):
        with pytest.raises(NotTestedError, match="did not answer it"):
            await shown(broken)
