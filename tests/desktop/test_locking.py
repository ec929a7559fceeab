"""A real desktop that is locked by a real program once nobody looks at it from home any more."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from PIL import Image

from telerelay.demo.capture import capture_desktop
from telerelay.demo.desktop import Desktop
from telerelay.demo.pair import Agent
from tests.kit.desktop import paint, random_picture
from tests.kit.machines import Machines
from tests.kit.node import NodeProcess
from tests.kit.tenant import RULES, Tenant

SIZE: Final = (640, 480)
LOCKED: Final = (0x20, 0x30, 0x40)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with NodeProcess(tmp_path_factory.mktemp("n")) as running:
        yield running


@pytest.fixture
def machines(node: NodeProcess, desktop: Desktop, tmp_path: Path) -> Machines:
    """An office PC whose rules want its desktop locked, by a program that covers all of it in one colour."""
    tenant = Tenant(now=int(time.time()), rules=replace(RULES, lock_on_disconnect=True))
    node.admit(tenant)
    node.publish(tenant)
    environment = {
        "DISPLAY": desktop.display,
        "XAUTHORITY": str(desktop.folder / "Xauthority"),
        "TELERELAY_AGENT_DESKTOP_LOCK_COMMAND": "i3lock,--nofork,--color={:02x}{:02x}{:02x}".format(*LOCKED),
    }
    return Machines(node, tenant, tmp_path, environment)


def served(desktop: Desktop) -> str:
    return f"{desktop.host}:{desktop.port}"


def is_locked(picture: Image.Image) -> bool:
    return picture.getcolors() == [(SIZE[0] * SIZE[1], LOCKED)]


async def sees_it_locked(host: str, port: int) -> None:
    async with capture_desktop(host, port) as capture:
        await capture.picture_when(is_locked)


async def locks(agent: Agent) -> None:
    await agent.program.event(lambda event: event.get("event") == "desktop_locked", 20)


async def test_the_last_session_leaves_a_locked_desktop(machines: Machines, desktop: Desktop) -> None:
    picture = random_picture(SIZE, seed=41)
    await paint(desktop, picture)
    async with machines.agent(served(desktop)) as agent, machines.client() as client:
        async with capture_desktop(client.host, client.port) as one:
            async with capture_desktop(client.host, client.port) as other:
                assert (await other.picture()).tobytes() == picture.tobytes()
            ended = await agent.program.event(lambda event: event.get("event") == "session_ended", 10)
            assert (ended["code"], ended["stage"]) == ("DONE", "session")
            # Somebody still looks.
            assert (await one.picture()).tobytes() == picture.tobytes()
        await locks(agent)
        async with machines.client() as again:
            await sees_it_locked(again.host, again.port)


async def test_it_stays_locked_when_the_agent_goes(machines: Machines, desktop: Desktop) -> None:
    async with machines.agent(served(desktop)) as agent, machines.client():
        os.kill(agent.program.pid, signal.SIGTERM)
        assert await agent.program.end() == "ended with status 0"
    await sees_it_locked(desktop.host, desktop.port)


async def test_an_agent_that_was_killed_in_a_session_locks_when_it_is_back(
    machines: Machines, desktop: Desktop
) -> None:
    async with machines.agent(served(desktop)) as agent, machines.client():
        await agent.program.event(lambda event: event.get("event") == "session_opened", 10)
        os.kill(agent.program.pid, signal.SIGKILL)
        await agent.program.end()
    async with machines.agent(served(desktop)):
        await sees_it_locked(desktop.host, desktop.port)
