"""`telerelay demo`, as one starts it: what it shows, what it writes, and that nothing of it stays."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from telerelay.demo.capture import capture_desktop
from telerelay.demo.desktop import Desktop
from telerelay.demo.programs import Commands, Program
from tests.kit.condition import eventually
from tests.kit.desktop import paint, random_picture

SIZE = (640, 480)
# Node, organisation, agent, client and their desktop, from nothing.
pytestmark = pytest.mark.timeout(180)
READY = 120.0


@asynccontextmanager
async def demo(folder: Path, *options: str) -> AsyncIterator[Program]:
    """The demo in `folder`, where it puts demo/screen.png."""
    commands = Commands.under(folder)
    shell = ("sh", "-c", 'cd "$0" && exec "$@"', str(folder))
    in_folder = Commands(commands.logs, commands.environment, commands.folder, shell)
    async with in_folder.running("demo", "telerelay", "demo", *options) as program:
        yield program


async def ready(program: Program, file: Path) -> dict[str, Any]:
    """What runs, when all of it does."""
    await eventually(lambda: file.exists() or program.process.returncode is not None, READY)
    assert file.exists(), program.log.read_text()
    record: dict[str, Any] = json.loads(file.read_text())
    return record


def pids(record: dict[str, Any]) -> list[int]:
    return [item["pid"] for kind in ("nodes", "agents", "clients") for item in record[kind]]


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def all_gone(pids: Sequence[int]) -> bool:
    return not any(map(is_there, pids))


async def test_it_shows_its_own_desktop_and_ends(tmp_path: Path) -> None:
    async with demo(tmp_path) as program:
        assert await asyncio.wait_for(program.end(), READY) == "ended with status 0", program.log.read_text()
        said = program.log.read_text()
    with Image.open(tmp_path / "demo" / "screen.png") as screen:
        assert screen.size == (1024, 768)
        # A window with text and a clock on it: more than a background.
        assert len(screen.getcolors(maxcolors=screen.width * screen.height) or []) > 10
    for step in ("relay node", "organisation", "desktop", "session 1", "screen through the relay"):
        assert f"✓ {step}" in said


async def test_its_file_names_what_runs_and_ctrl_c_takes_everything_down(
    tmp_path: Path, desktop: Desktop
) -> None:
    picture = random_picture(SIZE, seed=61)
    await paint(desktop, picture)
    file = tmp_path / "demo.json"
    options = (
        "--keep",
        "--sessions",
        "3",
        "--desktop",
        f"{desktop.host}:{desktop.port}",
        "--json",
        str(file),
    )
    async with demo(tmp_path, *options) as program:
        record = await ready(program, file)
        assert record["schema"] == "telerelay.demo/1"
        assert len(record["agents"]) == len(record["clients"]) == 3
        assert all(is_there(pid) for pid in pids(record))
        assert all(
            agent["desktop"] == {"host": desktop.host, "port": desktop.port} for agent in record["agents"]
        )
        assert len({agent["computer_id"] for agent in record["agents"]}) == 3
        folders = [record["nodes"][0]["data_dir"], record["organisation"]["dir"]]
        assert all(Path(folder).is_dir() for folder in folders)
        with Image.open(record["screen_png"]) as screen:
            assert screen.tobytes() == picture.tobytes()
        await _assert_pairs(record, picture)
        os.kill(program.pid, signal.SIGINT)
        assert await asyncio.wait_for(program.end(), 30) == "ended with status 130"
    assert all_gone(pids(record))
    assert not any(Path(folder).exists() for folder in folders)


async def _assert_pairs(record: dict[str, Any], picture: Image.Image) -> None:
    """Every client shows the picture, and agents[i] serves clients[i] and nobody else: they go together."""
    agents = [agent["pid"] for agent in record["agents"]]
    clients = [client["pid"] for client in record["clients"]]
    async with AsyncExitStack() as viewers:
        for client in record["clients"]:
            door = client["listen"]
            viewer = await viewers.enter_async_context(capture_desktop(door["host"], door["port"]))
            assert (await viewer.picture()).tobytes() == picture.tobytes()
        for at, agent in enumerate(agents, start=1):
            os.kill(agent, signal.SIGTERM)
            await eventually(partial(all_gone, clients[:at]), 30)
            assert all(map(is_there, clients[at:]))


async def test_with_the_node_stopped_it_fails_and_says_where(tmp_path: Path, desktop: Desktop) -> None:
    file = tmp_path / "demo.json"
    options = ("--desktop", f"{desktop.host}:{desktop.port}", "--json", str(file))
    async with demo(tmp_path, *options) as program:
        await eventually(lambda: "✓ relay node" in program.log.read_text(), READY)
        node = re.search(r"pid (\d+)", program.log.read_text())
        assert node
        os.kill(int(node[1]), signal.SIGKILL)
        end = await asyncio.wait_for(program.end(), READY)
        said = program.log.read_text()
    assert end != "ended with status 0"
    assert "error[" in said
    assert not file.exists()
    assert not (tmp_path / "demo" / "screen.png").exists()


async def test_more_nodes_than_there_can_be_are_refused(tmp_path: Path) -> None:
    async with demo(tmp_path, "--nodes", "2") as program:
        assert await program.end() == "ended with status 2"
