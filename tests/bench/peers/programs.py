"""The relay as people have it: node, agent and client, the real programs with all that they do."""

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from telerelay.demo.pair import READY_TIMEOUT, run_agent
from telerelay.demo.relay import Node
from telerelay.node.control import NodeControl
from tests.bench.peers.generator import Generator
from tests.bench.peers.ground import Ground
from tests.bench.peers.ours import KINDS, NotDirectError, live_paths
from tests.bench.peers.verdicts import END_TO_END
from tests.bench.scene import CORE_VARIABLE
from tests.kit.world import World, enrolled

_OFFICE: Final = "127.0.0.1:2901"
_DOOR: Final = "127.0.0.1:2902"


@dataclass(frozen=True)
class Programs:
    """One session of real programs, with the generator as desktop and as viewer."""

    generator: Generator
    node: Node
    processes: Mapping[str, Sequence[int]]
    name: str = END_TO_END
    title: str = "telerelay, end to end: node, agent and client"

    def watched(self) -> Mapping[str, Sequence[int]]:
        """Node, agent and client."""
        return self.processes

    def check(self, done: Mapping[str, object]) -> None:
        """Raises NotDirectError unless each session is a direct path of the node, and nothing else is."""
        with NodeControl(self.node.data / "control.sock") as control:
            counted = control.statistics()
        live = live_paths(counted)
        if live != {**dict.fromkeys(KINDS, 0), "direct": done["sessions"]}:
            raise NotDirectError(f"{done['sessions']} session is to be direct, and the node has {live}")


@contextmanager
def open_programs(ground: Ground, home: Path) -> Iterator[Programs]:
    """All of them, enrolled as an organisation's are; the session is open."""
    home.mkdir()
    world = enrolled(home)
    if released := os.environ.get(CORE_VARIABLE):
        environment = {**world.commands.environment, CORE_VARIABLE: str(Path(released).resolve())}
        world = replace(world, commands=replace(world.commands, environment=environment))
    with asyncio.Runner() as runner:
        stack = runner.run(_open(ground, world))
        generator = stack[1]
        try:
            yield generator
        finally:
            generator.generator.stop()
            runner.run(stack[0].aclose())


async def _open(ground: Ground, world: World) -> tuple[AsyncExitStack, Programs]:
    stack = AsyncExitStack()
    pinned = replace(world, commands=replace(world.commands, before=tuple(ground.before)))
    try:
        node = await stack.enter_async_context(pinned.node())
        generator = Generator("plain", "--rfb", "--to", _DOOR, "--office", _OFFICE)
        stack.callback(generator.stop)
        agent = await stack.enter_async_context(
            run_agent(world.commands, "agent", world.agent_data, world.computer, _OFFICE)
        )
        await agent.serves()
        command = (
            *("telerelay-client", "connect", world.computer, "--listen", _DOOR, "--no-viewer"),
            *("--data", str(world.client_data), "--json"),
        )
        client = await stack.enter_async_context(world.commands.running("client", *command))
        await client.event(lambda event: event.get("event") == "door", READY_TIMEOUT)
        # The guard does not wait for ever for its desktop's first word.
        generator.open(1)
        processes = {"relay": [node.program.pid], "agent": [agent.program.pid], "client": [client.pid]}
    except BaseException:
        await stack.aclose()
        raise
    return stack, Programs(generator, node, processes)
