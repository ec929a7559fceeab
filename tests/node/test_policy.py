"""A policy in force: published through a real node, kept by a real agent, explained by what was recorded."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from telerelay.demo.organisation import Organisation, found_organisation
from telerelay.demo.pair import Agent, enrol_agent, enrol_client, run_agent
from telerelay.demo.programs import Commands, Event
from telerelay.demo.relay import open_node

AGENT, CLIENT, TABLET = "Room 204", "Tanaka, laptop", "Suzuki, tablet"
# The discard port of this machine: whoever is let in finds no desktop there.
NO_DESKTOP: Final = "127.0.0.1:9"
LET_IN: Final = "DESKTOP_ABSENT"
pytestmark = [pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int | None
    out: str
    errors: str

    @property
    def record(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Office:
    """An organisation whose keeper runs, with one office PC that runs and two devices at home."""

    home: Path
    commands: Commands
    organisation: Organisation
    passphrase: Path
    agent: Agent

    @property
    def computer(self) -> str:
        return self.agent.computer

    @property
    def policy(self) -> Path:
        return self.organisation.folder / "policy.toml"

    async def org(self, *words: str) -> Ended:
        return await self.run("telerelay", "org", *words, "--org", str(self.organisation.folder))

    async def publish(self, text: str, *options: str) -> Ended:
        self.policy.write_text(text)
        return await self.org("policy", "publish", "--passphrase-file", str(self.passphrase), *options)

    async def agent_has(self, version: int) -> None:
        """Wait until the agent goes by this version of its document."""
        taken = False

        def serves(event: Event) -> bool:
            nonlocal taken
            if event["event"] == "document" and event["kind"] == "computer":
                taken = taken or event["version"] == version
            return taken and str(event["event"]) == "serving"

        await self.agent.program.event(serves, 30)

    async def connect(self, device: str) -> tuple[str, str]:
        """The code that a client gets, and the attempt."""
        folder = self.home / device
        ended = await self.run(
            "telerelay-client", "connect", self.computer, "--data", str(folder), "--no-viewer", "--lang", "en"
        )
        last = ended.errors.splitlines()[-1]
        return last.partition("[")[2].partition("]")[0], last.rpartition("attempt ")[2]

    async def run(self, *command: str) -> Ended:
        process = await asyncio.create_subprocess_exec(
            str(self.commands.folder / command[0]),
            *command[1:],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(self.commands.environment),
        )
        out, errors = await process.communicate()
        return Ended(process.returncode, out.decode(), errors.decode())


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def office(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    home = tmp_path_factory.mktemp("policy")
    commands = Commands.under(home)
    async with open_node(commands, home / "node") as node:
        organisation = await found_organisation(commands, home / "org")
        await organisation.join(await node.admit(organisation.root))
        passphrase = home / "passphrase"
        passphrase.touch(mode=0o600)
        passphrase.write_text(organisation._passphrase)
        async with organisation.keeper():
            computer = await enrol_agent(commands, organisation, AGENT, home / "agent")
            for device in (CLIENT, TABLET):
                await enrol_client(commands, organisation, device, home / device)
                await organisation.grant(device, computer)
            async with run_agent(commands, "agent", home / "agent", computer, NO_DESKTOP) as agent:
                await agent.serves()
                yield Office(home, commands, organisation, passphrase, agent)


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ('hours = ["mon-sun 00:00-24:00"]', LET_IN),
        # A day that nobody listed.
        ('hours = ["holiday 00:00-24:00"]', "POLICY_HOURS"),
        ('denied_networks = ["127.0.0.0/8"]', "POLICY_ADDRESS"),
        ('minimum_version = "99.0.0"', "POLICY_VERSION"),
        ("view_only = true", "UNSUPPORTED"),
    ],
)
async def test_what_is_published_is_what_the_agent_goes_by(office: Office, rules: str, code: str) -> None:
    published = await office.publish(f"[organisation]\n{rules}\n", "--yes", "--json")
    assert published.status == 0, published.errors
    (computer,) = published.record["computers"]
    assert computer["label"] == AGENT
    assert published.record["stamped"] is True
    await office.agent_has(computer["version"])
    assert (await office.connect(CLIENT))[0] == code
