"""The operator's word on what runs: drained, taken back, cut; all else goes on (PROTOCOL.md §5.9)."""

import asyncio
import json
import os
import signal
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from telerelay_core import SessionOpened, format_attempt_id
from telerelay_endpoint.certificates import Role
from tests.kit.beside import beside, counting, newcomer
from tests.kit.condition import eventually
from tests.kit.decoder.frames import Frame
from tests.kit.hostile.endpoints import RunningClient, end_of
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import TELERELAY, NodeProcess
from tests.kit.outer_leg import OuterLeg

SESSIONS: Final = 5
CROWD: Final = 20


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with NodeProcess(tmp_path_factory.mktemp("node")) as made:
        yield made


@pytest.fixture
def node(running: NodeProcess) -> Iterator[NodeProcess]:
    yield running
    with running.control() as control:
        control.cancel_drain()


async def _command(node: NodeProcess, *words: str) -> Process:
    command = [*words, "--data", str(node.data), "--json", "--lang", "en"]
    return await asyncio.create_subprocess_exec(TELERELAY, "node", *command, stdout=PIPE, stderr=PIPE)


async def _told(command: Process) -> dict[str, Any]:
    out, err = await command.communicate()
    assert command.returncode == 0, err.decode()
    told: dict[str, Any] = json.loads(out)
    return told


async def _run(node: NodeProcess, *words: str) -> dict[str, Any]:
    return await _told(await _command(node, *words))


class _Screen:
    """A viewer of a live session, whose desktop echoes."""

    def __init__(self, client: RunningClient, attempt: str) -> None:
        self.client = client
        self.attempt = attempt

    async def open(self) -> None:
        self._reader, self._writer = await self.client.viewer()
        assert await self._reader.readexactly(12) == b"RFB 003.008\n"

    async def is_live(self) -> None:
        self._writer.write(b"typed")
        assert await self._reader.readexactly(5) == b"typed"

    def close(self) -> None:
        self._writer.close()


async def _screen(client: RunningClient) -> _Screen:
    screen = _Screen(client, (await client.wait(SessionOpened)).attempt)
    await screen.open()
    return screen


async def _is_draining(node: NodeProcess) -> None:
    await eventually(lambda: _state(node)["state"] == "draining")


def _state(node: NodeProcess) -> dict[str, Any]:
    with node.control() as control:
        state = control.state()
    return {"state": state.state, "sessions": state.sessions, "ready_agents": state.ready_agents}


async def test_a_drain_waits_for_sessions_and_the_node_answers_until_it_exits(node: NodeProcess) -> None:
    tenant = newcomer(node)
    async with agent_of(node, tenant), client_of(node, tenant) as client:
        screen = await _screen(client)
        drain = await _command(node, "drain")
        await _is_draining(node)
        async with client_of(node, tenant) as late:
            assert (await end_of(late)).code == "TRY_LATER"
        await screen.is_live()
        assert drain.returncode is None
        screen.close()
        told = await _told(drain)
        assert (told["state"], told["drain"]) == ("draining", {"sessions": 1, "ended": 1, "cut": 0})
        async with client_of(node, tenant) as late:
            assert (await end_of(late)).code == "TRY_LATER"
        assert (await _run(node, "drain", "--cancel"))["state"] == "serving"
        async with client_of(node, tenant) as again:
            await (await _screen(again)).is_live()


async def test_a_drain_under_load_shows_no_user_an_error(tmp_path: Path) -> None:
    with NodeProcess(tmp_path) as node:
        files = newcomer(node).files(node.folder, Role.CLIENT)
        async with AsyncExitStack() as stack:
            # Each asserts at its end that it still runs and that nothing of it was cut.
            sessions = [await stack.enter_async_context(beside(node)) for _ in range(SESSIONS)]
            expected = {"refused.TRY_LATER": 2 * CROWD, "ended.TRY_LATER": CROWD}
            async with counting(node, expected):
                welcomed = [await OuterLeg.dial(node.address, files) for _ in range(CROWD)]
                assert {(await leg.hello("client")).name for leg in welcomed} == {"WELCOME"}
                with node.control() as control:
                    control.drain()
                typing = asyncio.gather(*(session.runs() for session in sessions))
                attempts = [await _asks_in_vain(leg) for leg in welcomed]
                for _ in range(CROWD):
                    await _is_sent_away(await OuterLeg.dial(node.address, files))
                await typing
            for attempt in attempts:
                record = await asyncio.to_thread(node.record, kind="END", attempt=attempt)
                assert (record["code"], record["routed"]) == ("TRY_LATER", False)
            drain = await _command(node, "drain")
        told = await _told(drain)
        assert told["drain"] == {"sessions": SESSIONS, "ended": SESSIONS, "cut": 0}
        # Until it exits.
        await _is_sent_away(await OuterLeg.dial(node.address, files))
        assert await asyncio.to_thread(node.stop) == 0
        recorded = [record["code"] for record in node.records() if record["kind"] == "END"]
        assert sorted(recorded) == ["DONE"] * SESSIONS + ["TRY_LATER"] * CROWD


async def _asks_in_vain(leg: OuterLeg) -> str:
    """A client that was welcome before; its attempt, as records name it."""
    attempt = os.urandom(5)
    await leg.send("CONNECT", computer=bytes(10).hex(), service="rfb", attempt=attempt.hex())
    _is_try_later(await leg.receive())
    leg.close()
    return format_attempt_id(attempt)


async def _is_sent_away(leg: OuterLeg) -> None:
    _is_try_later(await leg.hello("client"))
    leg.close()


def _is_try_later(frame: Frame) -> None:
    assert (frame.name, frame.fields["code"]) == ("ERROR", "TRY_LATER")
    assert frame.fields["retry"] is not None


async def test_a_forced_drain_ends_what_runs_and_is_recorded(node: NodeProcess) -> None:
    tenant = newcomer(node)
    async with agent_of(node, tenant), client_of(node, tenant) as client:
        await _screen(client)
        began = time.monotonic()
        told = await _run(node, "drain", "--force", "--by", "akiko")
        assert time.monotonic() - began < 10
        assert told["drain"] == {"sessions": 1, "ended": 0, "cut": 1}
        assert (await end_of(client)).code == "DRAINED"
    record = node.record(kind="CUT", by="akiko")
    assert (record["organisation"], record["device"], record["attempt"]) == (None, None, None)


async def test_who_stops_waiting_for_a_drain_does_not_take_it_back(node: NodeProcess) -> None:
    tenant = newcomer(node)
    async with agent_of(node, tenant), client_of(node, tenant) as client:
        screen = await _screen(client)
        drain = await _command(node, "drain")
        await _is_draining(node)
        assert drain.stderr is not None
        assert b"1 sessions" in await drain.stderr.readline()
        drain.send_signal(signal.SIGINT)
        _, err = await drain.communicate()
        assert drain.returncode == 130
        assert b"still draining" in err
        assert _state(node)["state"] == "draining"
        await screen.is_live()


async def test_cutting_ends_what_was_named_and_nothing_else(node: NodeProcess) -> None:
    ours, theirs = newcomer(node), newcomer(node)
    async with (
        agent_of(node, ours),
        agent_of(node, theirs),
        client_of(node, theirs) as other,
    ):
        spared = await _screen(other)
        for field in ("attempt", "organisation"):
            async with client_of(node, ours) as client:
                screen = await _screen(client)
                named = {
                    "attempt": [screen.attempt],
                    "organisation": ["--organisation", ours.id.hex()[:12]],
                }[field]
                why = ("--reason", f"by {field}", "--by", "akiko")
                assert (await _run(node, "cut", *named, *why))["ended"] == 1
                assert (await end_of(client)).code == "CUT"
            end = await asyncio.to_thread(node.record, kind="END", attempt=screen.attempt)
            assert end["code"] == "CUT"
            record = node.record(kind="CUT", reason=f"by {field}")
            assert record["by"] == "akiko"
            assert record[field] is not None
        await spared.is_live()
    assert node.statistics()["refused.CUT"] == 0, "a live session ends by its agent's CLOSE"


async def test_what_is_not_there_is_not_cut(node: NodeProcess) -> None:
    newcomer(node)
    unknown = await _command(node, "cut", "--device", "abcdef0123", "--reason", "not there")
    _, err = await unknown.communicate()
    assert unknown.returncode == 2
    assert b"error[REQUEST]" in err
    assert b"no device has an ID that begins with abcdef0123" in err
    assert not [record for record in node.records() if record.get("reason") == "not there"]
    assert (await _run(node, "cut", "7KQ2-M9XB", "--reason", "test"))["ended"] == 0


async def test_a_list_shows_the_node_as_it_stands(node: NodeProcess) -> None:
    tenant = newcomer(node)
    async with agent_of(node, tenant), client_of(node, tenant) as client:
        await _screen(client)
        await eventually(lambda: _state(node)["ready_agents"] == 1)
        told = (await _run(node, "list"))["node"]
        assert (told["state"], told["sessions"], told["ready_agents"]) == ("serving", 1, 1)
        assert told["load_percent"] >= 0
