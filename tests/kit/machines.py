"""A tenant's machines as they stand after enrolment, run by the installed commands."""

import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from telerelay.demo.pair import Agent, Client, run_agent, run_client
from telerelay.demo.programs import Commands, Program
from telerelay_core import format_computer_id
from telerelay_endpoint.certificates import Role, format_chain
from telerelay_endpoint.credentials import CHAIN_FILE, KEY_FILE, ROOT_FILE, Relay
from telerelay_endpoint.files import make_private_folder
from tests.kit.condition import eventually
from tests.kit.node import NodeProcess
from tests.kit.tenant import Tenant


@dataclass(frozen=True)
class Machines:
    """The office PC and the home PC of a tenant, with folders in `home`.

    `environment` is what their programs find beside the usual.
    """

    node: NodeProcess
    tenant: Tenant
    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def computer(self) -> str:
        return format_computer_id(self.tenant.computer)

    @asynccontextmanager
    async def agent(self, desktop: str) -> AsyncIterator[Agent]:
        """`telerelay-agent run` in front of `desktop` ("host:port"), once it serves."""
        folder = self.folder(Role.AGENT)
        async with run_agent(self.commands, folder.name, folder, self.computer, desktop) as agent:
            await agent.serves()
            yield agent

    @asynccontextmanager
    async def running_agent(self, desktop: str, folder: Path) -> AsyncIterator[Program]:
        """`telerelay-agent run` on a folder, whatever becomes of it."""
        command = ("telerelay-agent", "run", "--desktop", desktop, "--data", str(folder), "--json")
        async with self.commands.running(folder.name, *command) as program:
            yield program

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """`telerelay-client connect`, once its session is open."""
        folder = self.folder(Role.CLIENT)
        async with run_client(self.commands, folder.name, folder, self.computer) as client:
            yield client

    def folder(self, role: Role) -> Path:
        """What an enrolment leaves on the machine."""
        folder = self.home / str(role)
        if not folder.exists():
            make_private_folder(folder)
            files = self.tenant.files(self.node.folder, role)
            shutil.copy(files.chain, folder / CHAIN_FILE)
            shutil.copy(files.key, folder / KEY_FILE)
            (folder / ROOT_FILE).write_bytes(format_chain([self.tenant.root]))
            computer = self.tenant.computer if role is Role.AGENT else None
            Relay(role, self.node.line(self.tenant), f"a {role}", computer).save(folder)
        return folder

    @property
    def commands(self) -> Commands:
        """How their programs are started."""
        commands = Commands.under(self.home)
        return replace(commands, environment={**commands.environment, **self.environment})


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """While it lasts the process does nothing, as on a machine that stalls."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def is_stopped(pid: int) -> None:
    """Wait until every thread of the process stands still."""
    tasks = Path(f"/proc/{pid}/task")
    await eventually(lambda: all(_state(task) == "T" for task in tasks.iterdir()))


def _state(task: Path) -> str:
    return (task / "stat").read_text().rpartition(")")[2].split()[0]
