"""The commands of agent and client as a person meets them: words, viewers, Ctrl-C, status."""

import json
import os
import re
import signal
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from telerelay.demo.desktop import Desktop
from telerelay.demo.programs import Program, ProgramError
from tests.kit.condition import eventually
from tests.kit.desktop import paint, random_picture
from tests.kit.world import World

SIZE = (640, 480)
LINE = re.compile(
    r"✓ relay \d+ ms  ✓ this device  ✓ PC found  ✓ end-to-end secured  "
    r"✓ screen open \d\.\d\d s · (direct|wrapped) · attempt ([0-9A-Z]{4}-[0-9A-Z]{4})$",
    re.MULTILINE,
)
LINE_JA = re.compile(
    r"✓ 中継 \d+ ms  ✓ この端末  ✓ PC 発見  ✓ 端末間暗号化  "
    r"✓ 画面接続 \d\.\d\d s · (直接|TLS 内) · 接続番号 [0-9A-Z]{4}-[0-9A-Z]{4}$",
    re.MULTILINE,
)
# Opens the socket that it is given last, as a viewer does, and keeps what it sees.
VIEWER = """\
#!{python}
import asyncio, sys
from pathlib import Path
from typing import Any
from telerelay.demo.capture import Capture, save_png

async def look():
    reader, writer = await asyncio.open_unix_connection(sys.argv[-1])
    capture = await Capture.over(reader, writer)
    save_png(await capture.picture(), Path({picture!r}))
    writer.close()

asyncio.run(look())
"""


@asynccontextmanager
async def connecting(world: World, *options: str) -> AsyncIterator[Program]:
    """`telerelay-client connect` as a person calls it."""
    command = ("telerelay-client", "connect", *options, "--data", str(world.client_data))
    async with world.commands.running("connect", *command) as program:
        yield program


def said(program: Program) -> str:
    return program.log.read_text()


async def test_the_stages_are_shown_and_the_door_told(world: World, desktop: Desktop) -> None:
    async with world.node(), world.agent(desktop), connecting(world, world.computer) as program:
        await eventually(lambda: "door " in said(program))
        assert LINE.search(said(program))
        door = Path(said(program).split("door ")[1].strip())
        assert stat.S_ISSOCK(door.stat().st_mode)
        assert door.stat().st_mode & 0o777 == 0o600
        assert door.parent.stat().st_mode & 0o777 == 0o700


async def test_in_japanese_too(world: World, desktop: Desktop) -> None:
    async with world.node(), world.agent(desktop), connecting(world, "--lang", "ja") as program:
        await eventually(lambda: "接続口 " in said(program))
        assert LINE_JA.search(said(program))


async def test_a_computer_id_is_corrected_silently(world: World, desktop: Desktop) -> None:
    typed = world.computer.lower().replace("-", " ").replace("1", "l").replace("0", "o")
    async with world.node(), world.agent(desktop), connecting(world, typed) as program:
        await eventually(lambda: "door " in said(program))


async def test_ctrl_c_leaves_nothing_behind(world: World, desktop: Desktop) -> None:
    async with world.node(), world.agent(desktop) as agent, connecting(world) as program:
        await eventually(lambda: "door " in said(program))
        door = Path(said(program).split("door ")[1].strip())
        os.kill(program.pid, signal.SIGINT)
        assert await program.end() == "ended with status 130"
        assert "error[INTERRUPTED]" in said(program)
        assert not door.parent.exists()
        ended = await agent.program.event(lambda event: event.get("event") == "session_ended", 10)
        assert ended["code"] == "DONE"


async def test_sigterm_ends_client_and_agent_in_order(world: World, desktop: Desktop) -> None:
    async with world.node(), world.agent(desktop) as agent, world.client() as client:
        os.kill(agent.program.pid, signal.SIGTERM)
        assert await agent.program.end() == "ended with status 0"
        assert await client.program.end() == "ended with status 4"
        finished = await client.program.event(lambda event: event.get("event") == "finished", 5)
        assert finished["code"] == "ABSENT"
    async with world.node(), world.agent(desktop), world.client() as client:
        os.kill(client.program.pid, signal.SIGTERM)
        assert await client.program.end() == "ended with status 0"


async def test_an_installed_viewer_is_opened_on_the_door(
    world: World, desktop: Desktop, tmp_path: Path
) -> None:
    picture = random_picture(SIZE, seed=31)
    await paint(desktop, picture)
    seen = tmp_path / "seen.png"
    with_viewer = _install_viewer(world, tmp_path, VIEWER.format(python=sys.executable, picture=str(seen)))
    async with world.node(), world.agent(desktop), connecting(with_viewer) as program:
        assert await program.end() == "ended with status 0"
    with Image.open(seen) as image:
        assert image.tobytes() == picture.tobytes()


async def test_a_viewer_that_fails_is_named_with_its_reason(
    world: World, desktop: Desktop, tmp_path: Path
) -> None:
    with_viewer = _install_viewer(world, tmp_path, "#!/bin/sh\necho 'cannot open display' >&2\nexit 1\n")
    async with world.node(), world.agent(desktop), connecting(with_viewer) as program:
        assert await program.end() == "ended with status 6"
        assert "xtigervncviewer ended with 1: cannot open display" in said(program)


async def test_the_viewer_is_closed_with_its_session(world: World, desktop: Desktop, tmp_path: Path) -> None:
    pid = tmp_path / "viewer.pid"
    script = f"#!/bin/sh\necho $$ > {pid}\nexec sleep 1000\n"
    with_viewer = _install_viewer(world, tmp_path, script)
    async with world.node(), world.agent(desktop), connecting(with_viewer) as program:
        await eventually(lambda: pid.exists() and pid.read_text().endswith("\n"))
        os.kill(program.pid, signal.SIGTERM)
        assert await program.end() == "ended with status 0"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


async def test_a_door_that_is_taken_is_told_at_once(world: World, desktop: Desktop) -> None:
    taken = f"{desktop.host}:{desktop.port}"
    async with world.node(), world.agent(desktop), connecting(world, "--listen", taken) as program:
        assert await program.end() == "ended with status 6"
        assert "error[ADDRESS_IN_USE]" in said(program)


async def test_a_computer_that_is_not_granted_is_denied(world: World) -> None:
    async with world.node(), connecting(world, "0000-0000-0000-0000-0") as program:
        assert await program.end() == "ended with status 3"
        assert re.search(r"error\[DENIED\] .*  attempt [0-9A-Z]{4}-[0-9A-Z]{4}", said(program))
        assert "✗ PC found" in said(program)


async def test_an_agent_that_is_away_is_absent(world: World) -> None:
    async with world.node(), connecting(world, world.computer) as program:
        assert await program.end() == "ended with status 4"
        assert "error[ABSENT]" in said(program)


async def test_a_desktop_that_is_away_is_absent_too(world: World, desktop: Desktop) -> None:
    async with world.node(), world.agent(desktop):
        desktop.process.kill()
        await desktop.process.wait()
        async with connecting(world, world.computer) as program:
            assert await program.end() == "ended with status 4"
            assert "error[DESKTOP_ABSENT]" in said(program)
            assert "✗ screen open" in said(program)


# ---------------------------------------------------------------- agent


@pytest.mark.parametrize(("lang", "words"), [("en", "only factor"), ("ja", "鍵だけ")])
async def test_the_agent_says_what_it_does_not_do_yet(world: World, lang: str, words: str) -> None:
    command = ("telerelay-agent", "run", "--lang", lang, "--data", str(world.agent_data))
    async with world.commands.running("agent", *command) as program:
        await eventually(lambda: "started" in said(program))
        assert words in said(program)


async def test_only_this_machines_desktop_is_served(world: World) -> None:
    with pytest.raises(ProgramError, match="status 2") as refused:
        await world.commands.run(
            "telerelay-agent", "run", "--desktop", "192.0.2.1:5900", "--data", str(world.agent_data)
        )
    assert "error[USAGE]" in refused.value.said


async def test_a_second_agent_of_one_folder_is_refused(world: World, desktop: Desktop) -> None:
    async with world.node(), world.agent(desktop):
        with pytest.raises(ProgramError, match="status 6"):
            await world.commands.run("telerelay-agent", "run", "--data", str(world.agent_data))


async def test_documents_survive_a_restart_without_a_node(world: World, desktop: Desktop) -> None:
    async with world.node(), world.agent(desktop):
        pass
    async with world.commands.running(
        "agent", "telerelay-agent", "run", "--data", str(world.agent_data), "--json"
    ) as program:
        await program.event(lambda event: event.get("event") == "serving", 10)
        offline = await program.event(lambda event: event.get("event") == "offline", 10)
        assert offline["code"] == "UNREACHABLE"


# ---------------------------------------------------------------- status


async def test_status_of_both_while_a_session_runs_and_afterwards(world: World, desktop: Desktop) -> None:
    async with world.node(), world.agent(desktop), world.client() as client:
        attempt = client.program.told()[0]["attempt"]
        agent_status = await _status(world, "agent")
        assert agent_status["schema"] == "telerelay.agent-status/1"
        assert agent_status["computer"] == world.computer
        assert agent_status["running"] is True
        assert agent_status["serves"] is True
        assert agent_status["sessions"] == [attempt]
        assert agent_status["documents"]["computer"] >= 1
        assert agent_status["documents"]["stamp"]["age_s"] >= 0
        client_status = await _status(world, "client")
        assert client_status["schema"] == "telerelay.client-status/1"
        assert [item["computer"] for item in client_status["computers"]] == [world.computer]
        text = await world.commands.run("telerelay-agent", "status", "--data", str(world.agent_data))
        assert world.computer in text
        assert attempt in text
    agent_status = await _status(world, "agent")
    assert agent_status["running"] is False
    assert agent_status["serves"] is True
    with pytest.raises(ProgramError, match="status 4"):
        await _status(world, "client")


async def _status(world: World, which: str) -> dict[str, Any]:
    command = (f"telerelay-{which}", "status", "--data", str(world.home / which), "--json")
    status: dict[str, Any] = json.loads(await world.commands.run(*command))
    return status


def _install_viewer(world: World, folder: Path, script: str) -> World:
    """The same world with a display and a viewer that is `script`."""
    viewer = folder / "bin" / "xtigervncviewer"
    viewer.parent.mkdir()
    viewer.write_text(script)
    viewer.chmod(0o755)
    environment = world.commands.environment
    path = f"{viewer.parent}:{environment['PATH']}"
    changed = replace(world.commands, environment={**environment, "PATH": path, "DISPLAY": ":0"})
    return replace(world, commands=changed)
