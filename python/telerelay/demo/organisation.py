"""One organisation for the demo: its administrator's commands, and its keeper as a service."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from telerelay.demo.programs import Commands, Program

ROOT_FILE: Final = "root.pem"


@dataclass(frozen=True)
class Invite:
    """What a machine enrols with. `line` is a secret; `computer` is an agent's, as it is shown."""

    line: str
    computer: str | None


class Organisation:
    """An administrator's folder. Its commands run one after the other, as at one desk."""

    def __init__(self, commands: Commands, folder: Path, passphrase: str, id_: str) -> None:
        self.folder = folder
        self.id = id_
        self._commands = commands
        self._passphrase = passphrase
        self._desk = asyncio.Lock()

    @property
    def root(self) -> Path:
        """What the operator admits."""
        return self.folder / ROOT_FILE

    async def join(self, cluster: str) -> None:
        """Tell administrator and keeper where the cluster is."""
        await self._run("join", cluster)

    async def invite(self, kind: Literal["agent", "client"], label: str) -> Invite:
        """Let one machine in."""
        said = json.loads(await self._run("invite", kind, "--label", label))
        return Invite(said["invite"], said["computer"])

    async def grant(self, client: str, computer: str) -> None:
        """Let a client (its label) reach a computer (its ID), and wait until the keeper has stamped that."""
        await self._run("grant", client, computer, passphrase=True)

    async def revoke(self, device: str) -> None:
        """Take a device (its label) away for ever."""
        await self._run("revoke", device, passphrase=True)

    @asynccontextmanager
    async def keeper(self) -> AsyncIterator[Program]:
        """Run `org keep` meanwhile."""
        command = ("telerelay", "org", "keep", "--org", str(self.folder), "--json")
        async with self._commands.running("keeper", *command) as program:
            yield program

    async def _run(self, *command: str, passphrase: bool = False) -> str:
        async with self._desk:
            return await self._commands.run(
                "telerelay",
                "org",
                *command,
                "--org",
                str(self.folder),
                "--json",
                said=f"{self._passphrase}\n" if passphrase else "",
            )


async def found_organisation(commands: Commands, folder: Path) -> Organisation:
    """Make a new one in `folder`, its keys under a passphrase that nobody sees. Raises ProgramError."""
    passphrase = secrets.token_urlsafe(24)
    said = await commands.run(
        "telerelay", "org", "init", "--org", str(folder), "--json", said=f"{passphrase}\n"
    )
    return Organisation(commands, folder, passphrase, json.loads(said)["organisation"])
