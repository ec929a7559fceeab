"""One relay node for the demo: `telerelay serve` in a folder of its own, on a port that was free."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from telerelay.demo.programs import Commands, Program

# A new folder, a new cluster CA, an empty database: a second or two of work.
READY_TIMEOUT: Final = 60.0


@dataclass(frozen=True)
class Node:
    """A running node. `address`: "host:port", where agents, clients and administrators dial.

    `metrics_url`: what monitoring reads.
    """

    program: Program
    address: str
    metrics_url: str
    data: Path
    commands: Commands

    async def admit(self, root: Path) -> str:
        """Admit an organisation; the cluster line for its administrator."""
        said = await self.commands.run(
            "telerelay", "node", "admit", str(root), "--data", str(self.data), "--json"
        )
        return str(json.loads(said)["cluster"])


@asynccontextmanager
async def open_node(commands: Commands, data: Path, listen: str = "127.0.0.1:0") -> AsyncIterator[Node]:
    """Start a node with everything new, or go on with what `data` holds. Raises ProgramError."""
    command = (
        *("telerelay", "serve", "--data", str(data), "--json"),
        *("--listen", listen, "--metrics-listen", "127.0.0.1:0"),
    )
    async with commands.running("node", *command) as program:
        ready = await program.event(lambda event: event.get("event") == "ready", READY_TIMEOUT)
        yield Node(program, ready["listeners"][0], ready["metrics_url"], data, commands)
