"""The demo from the first key to the picture: node, organisation, desktop, agents, clients, set up in order.

Everything runs as the installed commands, in a folder of its own that is removed at the end.
"""

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from PIL import Image

from telerelay.demo.capture import Capture, capture_desktop, save_png
from telerelay.demo.desktop import Desktop, open_desktop
from telerelay.demo.organisation import Organisation, found_organisation
from telerelay.demo.pair import Agent, Client, enrol_agent, enrol_client, run_agent, run_client
from telerelay.demo.programs import Commands
from telerelay.demo.relay import Node, open_node

SESSIONS_MAXIMUM: Final = 50
# How many pairs are set up at a time: each starts seven programs.
_AT_ONCE: Final = 4
_SCREEN_TIMEOUT: Final = 30.0
# Of the picture, in 1/1000: a desktop with one window on it differs from an empty one by far more.
_DRAWN: Final = 10

Tell = Callable[[str, str], None]
"""Is given each step in English and in Japanese."""


@dataclass(frozen=True)
class Asked:
    """What the demo was asked to show. `desktop`: "host:port" of one that runs already."""

    sessions: int
    desktop: str | None
    screen: Path


@dataclass(frozen=True)
class Shown:
    """What runs. agents[i] serves clients[i]. `cluster`: the line that leads to the node."""

    node: Node
    cluster: str
    organisation: Organisation
    agents: Sequence[Agent]
    clients: Sequence[Client]
    screen: Path

    def record(self) -> dict[str, Any]:
        """The demo's file (schema telerelay.demo/1)."""
        return {
            "schema": "telerelay.demo/1",
            "cluster": self.cluster,
            "nodes": [
                {
                    "pid": self.node.program.pid,
                    "address": self.node.address,
                    "metrics_url": self.node.metrics_url,
                    "data_dir": str(self.node.data),
                }
            ],
            "organisation": {"dir": str(self.organisation.folder)},
            "agents": [
                {
                    "pid": agent.program.pid,
                    "computer_id": agent.computer,
                    "desktop": _place(agent.desktop),
                    "dir": str(agent.folder),
                }
                for agent in self.agents
            ],
            "clients": [
                {
                    "pid": client.program.pid,
                    "listen": {"host": client.host, "port": client.port},
                    "dir": str(client.folder),
                }
                for client in self.clients
            ],
            "screen_png": str(self.screen),
        }


@asynccontextmanager
async def show(asked: Asked, tell: Tell) -> AsyncIterator[Shown]:
    """Set everything up, take the picture, and let it run until the context ends.

    Raises ProgramError, DesktopError, CaptureError; everything is down again then.
    """
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="telerelay-demo-")))
        commands = Commands.under(home)
        node = await stack.enter_async_context(open_node(commands, home / "node"))
        pid = node.program.pid
        tell(f"relay node at {node.address} (pid {pid})", f"中継 {node.address} (pid {pid})")
        organisation = await found_organisation(commands, home / "organisation")
        cluster = await node.admit(organisation.root)
        await organisation.join(cluster)
        await stack.enter_async_context(organisation.keeper())
        tell(
            f"organisation {organisation.id[:12]}…, its keeper runs",
            f"組織 {organisation.id[:12]}… と keeper",
        )
        served = asked.desktop
        if served is None:
            served = await stack.enter_async_context(_own_desktop(tell))
        pairs = await stack.enter_async_context(
            _pairs(commands, organisation, home, served, asked.sessions, tell)
        )
        agents, clients = zip(*pairs, strict=True)
        # Stays: a session ends with its viewer, and the demo's with this one.
        capture = await stack.enter_async_context(capture_desktop(clients[0].host, clients[0].port))
        save_png(await _screen(capture, own=asked.desktop is None), asked.screen)
        width, height = capture.size
        tell(
            f"screen through the relay: {asked.screen} ({width} x {height})", f"中継越しの画面 {asked.screen}"
        )
        yield Shown(node, cluster, organisation, agents, clients, asked.screen)


def write_file(shown: Shown, path: Path) -> None:
    """Write the demo's file, whole, in the place of an older one."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(json.dumps(shown.record(), indent=2) + "\n")
    new.replace(path)


@asynccontextmanager
async def _own_desktop(tell: Tell) -> AsyncIterator[str]:
    """A desktop with a clock and a window that shows what is typed; its address."""
    async with open_desktop() as desktop:
        await _furnish(desktop)
        tell(
            f"desktop {desktop.display} at {desktop.host}:{desktop.port}",
            f"デスクトップ {desktop.display} {desktop.host}:{desktop.port}",
        )
        yield f"{desktop.host}:{desktop.port}"


async def _furnish(desktop: Desktop) -> None:
    greeting = "This is the office PC.\\nType here: what you type is shown, and goes nowhere else.\\n\\n"
    await desktop.run("xsetroot", "-solid", "#2f4f6f")
    await desktop.start("xclock", "-geometry", "200x200+800+30", "-update", "1")
    await desktop.start(
        "xterm", "-geometry", "80x24+30+30", "-fa", "Monospace", "-fs", "11",
        "-e", "sh", "-c", f"printf '{greeting}'; exec cat >/dev/null",
    )  # fmt: skip


@asynccontextmanager
async def _pairs(
    commands: Commands, organisation: Organisation, home: Path, desktop: str, count: int, tell: Tell
) -> AsyncIterator[list[tuple[Agent, Client]]]:
    """Set up `count` agents and clients side by side; they go side by side too."""
    free = asyncio.Semaphore(_AT_ONCE)

    async def set_up(number: int, stack: AsyncExitStack) -> tuple[Agent, Client]:
        async with free:
            pair = await _set_up_pair(commands, organisation, home, desktop, number, stack)
        tell(
            f"session {number}: computer {pair[0].computer}, door {pair[1].host}:{pair[1].port}",
            f"接続 {number}: コンピューター {pair[0].computer}、接続口 {pair[1].host}:{pair[1].port}",
        )
        return pair

    stacks = [AsyncExitStack() for _ in range(count)]
    try:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(set_up(i, stack)) for i, stack in enumerate(stacks, start=1)]
        except BaseExceptionGroup as failed:
            # The first that failed; the others were cancelled because of it, or fail for the same reason.
            raise failed.exceptions[0] from None
        yield [task.result() for task in tasks]
    finally:
        await asyncio.gather(*(stack.aclose() for stack in stacks))


async def _set_up_pair(
    commands: Commands,
    organisation: Organisation,
    home: Path,
    desktop: str,
    number: int,
    stack: AsyncExitStack,
) -> tuple[Agent, Client]:
    office, house = home / f"agent-{number}", home / f"client-{number}"
    label = f"home PC {number}"
    computer = await enrol_agent(commands, organisation, f"office PC {number}", office)
    agent = await stack.enter_async_context(run_agent(commands, office.name, office, computer, desktop))
    await enrol_client(commands, organisation, label, house)
    await organisation.grant(label, computer)
    await agent.serves()
    client = await stack.enter_async_context(run_client(commands, house.name, house, computer))
    return agent, client


async def _screen(capture: Capture, *, own: bool) -> Image.Image:
    """The picture; of our own desktop as soon as its windows are drawn."""
    if not own:
        return await capture.picture()
    async with asyncio.timeout(_SCREEN_TIMEOUT):
        return await capture.picture_when(_is_drawn)


def _is_drawn(image: Image.Image) -> bool:
    colours = image.getcolors(maxcolors=image.width * image.height) or []
    most = max(count for count, _ in colours)
    return (image.width * image.height - most) * 1000 > image.width * image.height * _DRAWN


def _place(address: str) -> dict[str, Any]:
    host, _, port = address.rpartition(":")
    return {"host": host, "port": int(port)}
