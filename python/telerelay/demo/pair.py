"""An agent in front of a desktop and a client that opens it, each enrolled as a real machine would be."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from telerelay.demo.organisation import Organisation
from telerelay.demo.programs import Commands, Program
from telerelay_endpoint.terms import current_terms

# Programs start in half a second; fifty pairs of them share two cores.
READY_TIMEOUT: Final = 120.0


@dataclass(frozen=True)
class Agent:
    """A running agent. `computer`: its computer's ID as it is shown; `desktop`: "host:port"."""

    program: Program
    computer: str
    desktop: str
    folder: Path

    async def serves(self) -> None:
        """Wait until its documents let somebody in. Raises ProgramError."""
        await self.program.event(lambda event: event.get("event") == "serving", READY_TIMEOUT)


@dataclass(frozen=True)
class Client:
    """A running client with an open session. `host` and `port`: its local door."""

    program: Program
    host: str
    port: int
    folder: Path


async def enrol_agent(commands: Commands, organisation: Organisation, label: str, folder: Path) -> str:
    """Invite and enrol an office PC; its computer ID. Raises ProgramError."""
    invite = await organisation.invite("agent", label)
    if invite.computer is None:
        raise AssertionError("an agent's invite names its computer")
    await _enrol(commands, "telerelay-agent", invite.line, folder)
    return invite.computer


async def enrol_client(commands: Commands, organisation: Organisation, label: str, folder: Path) -> None:
    """Invite and enrol a device at home. Raises ProgramError."""
    invite = await organisation.invite("client", label)
    await _enrol(commands, "telerelay-client", invite.line, folder)


@asynccontextmanager
async def run_agent(
    commands: Commands, log: str, folder: Path, computer: str, desktop: str
) -> AsyncIterator[Agent]:
    """Run an enrolled agent; it stands when its ready connection does. Raises ProgramError."""
    command = ("telerelay-agent", "run", "--desktop", desktop, "--data", str(folder), "--json")
    async with commands.running(log, *command) as program:
        await program.event(lambda event: event.get("event") == "online", READY_TIMEOUT)
        yield Agent(program, computer, desktop, folder)


@asynccontextmanager
async def run_client(commands: Commands, log: str, folder: Path, computer: str) -> AsyncIterator[Client]:
    """Open `computer` with an enrolled client; it stands when the session is open. Raises ProgramError."""
    command = (
        "telerelay-client", "connect", computer, "--listen", "127.0.0.1:0", "--no-viewer",
        "--data", str(folder), "--json",
    )  # fmt: skip
    async with commands.running(log, *command) as program:
        door = await program.event(lambda event: event.get("event") == "door", READY_TIMEOUT)
        yield Client(program, door["host"], door["port"], folder)


async def _enrol(commands: Commands, program: str, invite: str, folder: Path) -> None:
    # As in a silent installation: whoever starts the demo has the terms before them in the wheel.
    terms = str(current_terms().version)
    await commands.run(
        program, "enrol", "--data", str(folder), "--accept-terms", terms, "--json", said=f"{invite}\n"
    )
