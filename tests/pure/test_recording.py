"""The tap: hands everything on, notes sizes and moments, keeps nothing of what passed."""

import asyncio
import json
import re
import socket
import stat
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import pytest
from typer.testing import CliRunner

from telerelay_endpoint.errors import TelerelayError
from telerelay_loadtest.main import app
from telerelay_loadtest.models import load_model
from telerelay_loadtest.models.form import LONGEST_MESSAGE
from telerelay_loadtest.models.sampling import Message
from telerelay_loadtest.recording import fitting
from telerelay_loadtest.recording.fitting import fit
from telerelay_loadtest.recording.readings import (
    PAUSE_US,
    Reading,
    messages_of,
    read_readings,
    write_readings,
)
from telerelay_loadtest.recording.tap import Tap, read_address
from tests.kit.condition import eventually

_CANARY = b"typed at home"
_PICTURE = bytes(range(256)) * 2_000


@asynccontextmanager
async def _desktop() -> AsyncIterator[tuple[str, int]]:
    """One that shows a picture for each key, and ends at the second."""

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            for _ in range(2):
                await reader.readexactly(len(_CANARY))
                writer.write(_PICTURE)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()


async def test_everything_is_handed_on_and_only_sizes_are_noted(tmp_path: Path) -> None:
    door, readings = tmp_path / "door", list[Reading]()
    async with _desktop() as address:
        recorded = asyncio.create_task(Tap(door, address, readings.append).run())
        await eventually(lambda: door.exists() and stat.S_IMODE(door.stat().st_mode) == 0o600)
        reader, writer = await asyncio.open_unix_connection(str(door))
        for _ in range(2):
            writer.write(_CANARY)
            assert await reader.readexactly(len(_PICTURE)) == _PICTURE
        assert await reader.read() == b""
        await recorded
        writer.close()
    assert not door.exists()
    assert sum(reading.bytes for reading in readings if reading.side == "up") == 2 * len(_CANARY)
    assert sum(reading.bytes for reading in readings if reading.side == "down") == 2 * len(_PICTURE)
    assert [reading.at_us for reading in readings] == sorted(reading.at_us for reading in readings)
    written = write_readings(readings)
    assert set(written) <= set("after_us,way,bytes\nupdown0123456789")
    assert read_readings(written) == readings


async def test_a_viewer_that_leaves_ends_the_session(tmp_path: Path) -> None:
    door = tmp_path / "door"
    async with _desktop() as address:
        recorded = asyncio.create_task(Tap(door, address, lambda _: None).run())
        await eventually(door.exists)
        _, writer = await asyncio.open_unix_connection(str(door))
        writer.close()
        await recorded


async def test_a_desktop_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = nobody.getsockname()
    recorded = asyncio.create_task(Tap(tmp_path / "door", address, lambda _: None).run())
    await eventually((tmp_path / "door").exists)
    _, writer = await asyncio.open_unix_connection(str(tmp_path / "door"))
    with pytest.raises(ConnectionRefusedError):
        await recorded
    writer.close()


async def _be_at_home(door: Path, desktop: "SimpleQueue[tuple[str, int]]") -> None:
    """A person who types at two moments, more than a second apart."""
    async with _desktop() as address:
        desktop.put(address)
        await eventually(door.exists)
        reader, writer = await asyncio.open_unix_connection(str(door))
        writer.write(_CANARY)
        await reader.readexactly(len(_PICTURE))
        seen = time.monotonic()
        await eventually(lambda: time.monotonic() - seen > 1.1)
        writer.write(_CANARY)
        await reader.read(-1)
        writer.close()


def test_the_command_leaves_a_model_and_readings_that_only_its_user_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "LEFT_OUT_US", 0)
    door, model, readings = (tmp_path / name for name in ("door", "mine.json", "mine.csv"))
    desktop = SimpleQueue[tuple[str, int]]()
    person = Thread(target=asyncio.run, args=(_be_at_home(door, desktop),))
    person.start()
    host, port = desktop.get()
    files = ("--listen", str(door), "--model", str(model), "--readings", str(readings))
    done = CliRunner().invoke(app, ["record", f"{host}:{port}", *files, "--json"], catch_exceptions=False)
    person.join()
    assert done.exit_code == 0
    (state,) = json.loads(done.stdout)["states"]
    assert (state["state"], state["seconds"]) == ("video", 1)
    assert (load_model(str(model)).name, load_model(str(model)).states[0].name) == ("mine", "video")
    assert sum(one.bytes for one in read_readings(readings.read_text()) if one.side == "up") == 2 * len(
        _CANARY
    )
    assert stat.S_IMODE(readings.stat().st_mode) == 0o600


async def test_a_socket_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    (tmp_path / "door").touch()
    with pytest.raises(OSError, match=re.escape(str(tmp_path / "door"))):
        await Tap(tmp_path / "door", ("127.0.0.1", 1), lambda _: None).run()


def test_an_address_is_a_host_with_a_port_or_a_path() -> None:
    assert read_address("127.0.0.1:5901") == ("127.0.0.1", 5901)
    assert read_address("[::1]:5901") == ("::1", 5901)
    assert read_address("/run/user/1000/door:1") == Path("/run/user/1000/door:1")
    with pytest.raises(TelerelayError, match="USAGE"):
        read_address("localhost:vnc")


def test_reads_without_a_pause_are_one_message() -> None:
    readings = [
        Reading(1_000, "down", 10),
        Reading(1_500, "up", 1),
        Reading(1_000 + PAUSE_US - 1, "down", 5),
        Reading(1_000 + 2 * PAUSE_US - 1, "down", LONGEST_MESSAGE),
        Reading(9_000, "down", LONGEST_MESSAGE),
    ]
    assert list(messages_of(readings, "up")) == [Message(1_500, 1)]
    assert list(messages_of(readings, "down")) == [
        Message(1_000, 15),
        Message(1_000 + 2 * PAUSE_US - 1, LONGEST_MESSAGE),
        Message(9_000, LONGEST_MESSAGE),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "first line"),
        ("after_us,way,bytes\n1,up\n", "line 2"),
        ("after_us,way,bytes\n1,left,2\n", "line 2"),
    ],
)
def test_a_file_of_something_else_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_readings(text)


def test_a_session_of_a_moment_is_no_model() -> None:
    with pytest.raises(ValueError, match="from 3 s on"):
        fit("short", "", [Reading(1_000, "up", 1)])
