"""A policy in force: published through a real node, kept by a real agent, explained by what was recorded."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from telerelay.demo.organisation import Organisation, found_organisation
from telerelay.demo.pair import Agent, enrol_agent, enrol_client, run_agent
from telerelay.demo.programs import Commands, Event
from telerelay.demo.relay import Node, open_node
from tests.kit.ended import Ended, run_to_end

AGENT, CLIENT, TABLET = "Room 204", "Tanaka, laptop", "Suzuki, tablet"
# The discard port of this machine: whoever is let in finds no desktop there.
NO_DESKTOP: Final = "127.0.0.1:9"
LET_IN: Final = "DESKTOP_ABSENT"
pytestmark = [pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]


@dataclass(frozen=True)
class Office:
    """An organisation whose keeper runs, with one office PC that runs and two devices at home."""

    home: Path
    commands: Commands
    organisation: Organisation
    passphrase: Path
    agent: Agent
    node: Node

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
        return await run_to_end(self.commands, *command)


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
                yield Office(home, commands, organisation, passphrase, agent, node)


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ('hours = ["mon-sun 00:00-24:00"]', LET_IN),
        # A day that nobody listed.
        ('hours = ["holiday 00:00-24:00"]', "POLICY_HOURS"),
        ('allowed_networks = ["127.0.0.0/8"]', LET_IN),
        ('allowed_networks = ["192.0.2.0/24"]', "POLICY_ADDRESS"),
        ('minimum_version = "99.0.0"', "POLICY_VERSION"),
        ("view_only = true", LET_IN),
        ('watermark = "閲覧 {label}"', LET_IN),
    ],
)
async def test_what_is_published_is_what_the_agent_goes_by(office: Office, rules: str, code: str) -> None:
    published = await office.publish(f"[organisation]\n{rules}\n", "--yes", "--json")
    assert published.status == 0, published.errors
    (computer,) = published.record["computers"]
    assert computer["label"] == AGENT
    assert published.record["stamped"] is True
    await office.agent_has(computer["version"])
    said, attempt = await office.connect(CLIENT)
    assert said == code
    await explained(office, code, attempt, rules)


async def explained(office: Office, code: str, attempt: str, rules: str) -> None:
    """The administrator is told the same, and which line made it so."""
    told = (await office.org("explain", attempt, "--json")).record
    assert (told["attempt"], told["code"], told["address"].partition(":")[0]) == (attempt, code, "127.0.0.1")
    access = (await office.org("explain", CLIENT, AGENT, "--address", "127.0.0.1", "--json")).record
    assert access["code"] == told["rules_now"]["code"]
    if code == LET_IN:
        assert (told["stage"], access["allowed"]) == ("open", True)
        return
    rule, _, value = rules.partition(" = ")
    assert (told["stage"], access["code"]) == ("accept", code)
    assert access["decided"] == {
        "name": rule,
        "value": value.strip('[]"'),
        "section": "[organisation]",
        "source": f"{office.organisation.folder}/published.toml:2:{len(rule) + 4}",
    }
    in_japanese = await office.org("explain", attempt, "--lang", "ja")
    assert f"職場のPCの判定: {code}" in in_japanese.out
    assert rule in in_japanese.out


async def test_what_would_let_nobody_in_is_not_published_by_the_way(office: Office) -> None:
    text = '[organisation]\nminimum_version = "99.0.0"\n'
    before = (await office.publish("", "--yes", "--json")).record
    shown = await office.publish(text, "--dry-run", "--json")
    (would,) = shown.record["computers"]
    assert (would["locks_out"], shown.record["published"]) == ("POLICY_VERSION", False)
    refused = await office.publish(text, "--lang", "en")
    assert refused.status == 2
    assert "nobody could reach Room 204" in refused.errors
    assert "minimum_version  any     99.0.0" in refused.errors
    # Neither changed anything, and what is in force already is not signed again.
    again = await office.publish("# The same rules.\n", "--json")
    assert (again.status, again.record["computers"], before["published"]) == (0, [], True)


async def test_an_attempt_is_told_to_its_own_organisation_alone(office: Office) -> None:
    other = await found_organisation(office.commands, office.home / "other")
    await other.join(await office.node.admit(other.root))
    _, attempt = await office.connect(CLIENT)
    assert (await office.org("explain", attempt)).status == 0
    refused = await office.run(
        "telerelay", "org", "explain", attempt, "--org", str(other.folder), "--lang", "en"
    )
    assert refused.status == 2
    assert f"the relay has no attempt {attempt} of this organisation" in refused.errors


async def test_documents_travel_on_a_stick_and_are_verified_all_the_same(office: Office) -> None:
    stick = office.home / "stick"
    stick.mkdir()
    exported = await office.org("policy", "export", AGENT, "--out", str(stick), "--json")
    assert exported.status == 0, exported.errors
    # The same machine, as it was when it was enrolled: it has never heard of a relay's documents.
    new = office.home / "new"
    shutil.copytree(office.home / "agent", new, ignore=shutil.ignore_patterns("documents", "*.lock"))
    files = [str(stick / f"{kind}.cose") for kind in ("computer", "stamp", "revocations")]
    taken = await office.run("telerelay-agent", "import", *files, "--data", str(new), "--json")
    assert (taken.status, taken.record["serves"]) == (0, True), taken.errors
    assert [one["kind"] for one in taken.record["taken"]] == ["computer", "stamp", "revocations"]
    again = await office.run("telerelay-agent", "import", *files, "--data", str(new), "--json")
    assert again.record["taken"] == []
    forged = (stick / "computer.cose").read_bytes()
    (stick / "computer.cose").write_bytes(forged[:-1] + bytes([forged[-1] ^ 1]))
    refused = await office.run("telerelay-agent", "import", files[0], "--data", str(new), "--lang", "en")
    assert refused.status == 5
    assert "error[DOCUMENT]" in refused.errors
    running = await office.run("telerelay-agent", "import", files[1], "--data", str(office.home / "agent"))
    assert (running.status, "error[ADDRESS_IN_USE]" in running.errors) == (6, True)


async def test_a_name_that_nobody_has_is_not_published(office: Office) -> None:
    refused = await office.publish('[computer."Room 240"]\nview_only = true\n', "--lang", "en")
    assert refused.status == 2
    assert "policy.toml:1:1: no computer is called Room 240; nearest: Room 204" in refused.errors


async def test_an_own_device_needs_its_exception_and_a_grant_keeps_to_the_policy(office: Office) -> None:
    own = f'[own."{TABLET}"]\napprover = "IT"\nreason = "repair"\nuntil = 2099-03-31\n'
    refusing = (await office.publish(own, "--json")).record["computers"]
    await office.agent_has(refusing[0]["version"])
    assert (await office.connect(TABLET))[0] == "DENIED"
    allowing = (
        await office.publish('[organisation]\ndevices = "own"\nsessions = 3\n' + own, "--json")
    ).record
    await office.agent_has(allowing["computers"][0]["version"])
    assert (await office.connect(TABLET))[0] == LET_IN
    # Granted anew it is no issued device, and the computer keeps its rules.
    await office.organisation.grant(TABLET, office.computer)
    (computer,) = (await office.org("list", "--json")).record["computers"]
    ends = {grant["label"]: grant["not_after"] for grant in computer["grants"]}
    assert ends == {CLIENT: None, TABLET: "2099-03-31T15:00:00Z"}
    access = (await office.org("explain", TABLET, AGENT, "--json")).record
    assert access["allowed"] is True
    assert {rule["name"]: rule["value"] for rule in access["rules"]}["sessions"] == "3"
