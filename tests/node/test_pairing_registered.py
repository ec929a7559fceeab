"""Whose a computer is: another key does not get it, and a revoked one is out at once (§5.6, §10.3)."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from telerelay.demo.organisation import Organisation, found_organisation
from telerelay.demo.pair import Agent, Client, enrol_agent, enrol_client, run_agent, run_client
from telerelay.demo.programs import Commands, ProgramError
from telerelay.org.api import OrganisationApi
from telerelay.org.folder import OrganisationFolder
from telerelay.org.inviting import Inviting, invite
from telerelay_core import parse_computer_id
from telerelay_endpoint.credentials import KEY_FILE, load_credentials
from telerelay_endpoint.invite_keys import INVITE_ID_SIZE, InviteKind, InviteTerms
from telerelay_endpoint.terms import current_terms
from tests.kit.beside import beside, counting
from tests.kit.hostile.desktop import open_desktop
from tests.kit.node import NodeProcess
from tests.kit.rfb import look, ring, ring_once

OFFICE: Final = "office PC"
HOMES: Final = ("home PC", "laptop")
GREETING: Final = b"RFB 003.008\n"
CUT_WITHIN_S: Final = 5
HOUR_S: Final = 3_600
# Founding and enrolling takes a dozen commands, and is part of whichever test comes first.
pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True)
class Town:
    """An organisation at a node, with one office PC and two home PCs, all enrolled by the commands."""

    node: NodeProcess
    commands: Commands
    organisation: Organisation
    computer: str
    home: Path

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[Agent]:
        """The office PC, in front of a desktop that rings for each key."""
        async with (
            open_desktop(ring) as desktop,
            run_agent(self.commands, "agent", self.home / OFFICE, self.computer, desktop.address) as agent,
        ):
            await agent.serves()
            yield agent

    @asynccontextmanager
    async def client(self, label: str) -> AsyncIterator[Client]:
        """A home PC with an open session."""
        async with run_client(self.commands, label, self.home / label, self.computer) as client:
            yield client

    def device(self, label: str) -> str:
        """The device ID of a machine, in hex."""
        return load_credentials(self.home / label, int(time.time())).device.hex()

    def invite_again(self) -> str:
        """A second invite for the office PC's computer, as an administrator could make it."""
        now = int(time.time())
        folder = OrganisationFolder(self.organisation.folder)
        admin = folder.admin(now)
        computer = parse_computer_id(self.computer)
        terms = InviteTerms(os.urandom(INVITE_ID_SIZE), InviteKind.AGENT, computer, "again", now + HOUR_S)
        inviting = Inviting(folder.organisation, folder.keeper().master(), admin.relay.cluster)
        with OrganisationApi(admin.dial()) as api:
            return invite(terms, inviting, api).format()


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    home = tmp_path_factory.mktemp("town")
    with NodeProcess(home) as node:
        yield asyncio.run(_settle(node, home))


async def _settle(node: NodeProcess, home: Path) -> Town:
    commands = Commands.under(home)
    organisation = await found_organisation(commands, home / "organisation")
    with node.control() as control:
        _, _, line = control.admit(organisation.root.read_bytes())
    await organisation.join(line)
    async with organisation.keeper():
        computer = await enrol_agent(commands, organisation, OFFICE, home / OFFICE)
        for label in HOMES:
            await enrol_client(commands, organisation, label, home / label)
            await organisation.grant(label, computer)
    return Town(node, commands, organisation, computer, home)


async def _look(client: Client) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A viewer at the client's door, greeted by the desktop."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    await look(reader, writer)
    return reader, writer


# Before the others: they take away what it needs.
async def test_another_key_does_not_get_the_computer_and_the_session_goes_on(town: Town) -> None:
    async with town.organisation.keeper(), town.agent() as agent, town.client(HOMES[0]) as client:
        reader, writer = await _look(client)
        other = town.home / "another PC"
        line = await asyncio.to_thread(town.invite_again)
        terms = str(current_terms().version)
        enrol = ("telerelay-agent", "enrol", "--data", str(other), "--accept-terms", terms)
        async with beside(town.node), counting(town.node, {"api_refused.ID_TAKEN": 1}):
            with pytest.raises(ProgramError) as refused:
                await town.commands.run(*enrol, said=f"{line}\n", timeout=20)
        said = refused.value.said.splitlines()[-1]
        assert said.startswith("error[ID_TAKEN]")
        assert f"{town.computer} stays with the key" in said
        assert "an invite with a new computer ID" in said
        # The next invite is asked for; the key waits for it.
        assert [path.name for path in other.iterdir()] == [KEY_FILE]
        await ring_once(reader, writer)
        assert "offline" not in [event.get("event") for event in agent.program.told()]
        writer.close()
    enrolled = [record for record in town.node.records() if record["kind"] == "ENROL"]
    assert [record["device"] for record in enrolled if record["computer"] == town.computer] == [
        town.device(OFFICE)
    ]


async def test_revoking_a_client_and_then_the_agent_ends_their_sessions(town: Town) -> None:
    one, other = HOMES
    async with beside(town.node), town.organisation.keeper(), town.agent() as agent:
        async with counting(town.node, {"ended.REVOKED": 1, "refused.REVOKED": 1}):
            async with town.client(one) as client:
                await _cut(town, client, one)
            with pytest.raises(ProgramError) as refused:
                async with town.client(one):
                    pass
            assert "error[REVOKED]" in refused.value.said
        # Another's session is another's: the one who stays is let in, until the agent itself is taken away.
        async with town.client(other) as client:
            await _cut(town, client, OFFICE)
        assert await agent.program.end() == "ended with status 3"
        assert "error[REVOKED]" in agent.program.log.read_text()


async def _cut(town: Town, client: Client, label: str) -> None:
    """Revoke a device; its session ends in time, with its code at the client and in its record."""
    _, writer = await _look(client)
    revoking = asyncio.create_task(town.organisation.revoke(label))
    revoked = await asyncio.to_thread(town.node.record, 30, kind="REVOKE", device=town.device(label))
    finished = await client.program.event(_is_finished, CUT_WITHIN_S)
    assert (finished["code"], finished["exit"]) == ("REVOKED", 3)
    assert await client.program.end() == "ended with status 3"
    await revoking
    writer.close()
    assert revoked["organisation"] == town.organisation.id
    (opened,) = [event for event in client.program.told() if event.get("event") == "opened"]
    end = await asyncio.to_thread(town.node.record, kind="END", attempt=opened["attempt"])
    assert (end["routed"], end["code"]) == (True, "REVOKED")


def _is_finished(event: Any) -> bool:
    return bool(event.get("event") == "finished")
