"""An organisation works from another machine: it reaches the node's one port and needs nothing else."""

import asyncio
import json
import shutil
import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from telerelay.demo import show
from telerelay.demo.organisation import Organisation, found_organisation
from telerelay.demo.pair import enrol_agent, enrol_client, run_agent, run_client
from telerelay.demo.programs import Commands, ProgramError
from telerelay.demo.relay import Node, open_node
from telerelay.demo.run import run_demo
from telerelay_endpoint.console import Console
from telerelay_endpoint.credentials import RELAY_FILE, open_dial
from telerelay_endpoint.enrolment import Pending, request_body
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.keys import make_key
from telerelay_endpoint.lines import parse_invite
from telerelay_endpoint.terms import current_terms
from tests.kit.hostile.desktop import open_desktop
from tests.kit.namespace import private_network
from tests.kit.neighbour import HERE, Neighbour, neighbour
from tests.kit.ordinary import AS_NOBODY, NOBODY, Installed
from tests.kit.rfb import ring

PORT: Final = 8443
# Building and installing the wheels is part of whichever test comes first.
pytestmark = pytest.mark.timeout(300)

# What is not said to be reachable is refused, and counted.
ONE_PORT: Final = f"""
    table inet lock {{
        counter refused {{ }}
        chain output {{
            type filter hook output priority 0; policy drop;
            oif lo accept
            ct state established,related accept
            meta l4proto ipv6-icmp accept
            ip daddr {HERE} tcp dport {PORT} ct state new accept
            counter name refused reject with icmpx type admin-prohibited
        }}
    }}
"""
CLOSED: Final = "delete table inet lock"
# What somebody there meets: at each address in turn, then in the node's folder.
PROBE: Final = """
import json, os, socket, sys

def told(act):
    try:
        act()
    except OSError as error:
        return type(error).__name__ if error.errno is None else os.strerror(error.errno)
    return "reached"

def port(host, number):
    return told(lambda: socket.create_connection((host, int(number)), timeout=5).close())

node, number, other, data = sys.argv[1:]
control = os.path.join(data, "control.sock")
print(json.dumps({
    "the port": port(node, number),
    "another port": port(node, other),
    "own loopback": port("127.0.0.1", number),
    "control socket": told(lambda: socket.socket(socket.AF_UNIX).connect(control)),
    "data folder": told(lambda: os.listdir(data)),
    "database": told(lambda: open(os.path.join(data, "store.db")).close()),
}))
"""


def elsewhere(installed: Installed, other: Neighbour, home: Path) -> Commands:
    """The commands on the other machine, as its ordinary user."""
    home.mkdir()
    shutil.chown(home, NOBODY, NOBODY)
    commands = Commands.under(home)
    return replace(commands, folder=installed.programs, before=(*other.entering, *AS_NOBODY))


async def listed(commands: Commands, organisation: Organisation) -> dict[str, Any]:
    """What `org list` says."""
    said = await commands.run("telerelay", "org", "list", "--org", str(organisation.folder), "--json")
    found: dict[str, Any] = json.loads(said)
    return found


def refused(other: Neighbour) -> int:
    """How many packets its firewall has refused."""
    said = json.loads(other.run("nft", "-j", "list", "counter", "inet", "lock", "refused"))
    (packets,) = [item["counter"]["packets"] for item in said["nftables"] if "counter" in item]
    return int(packets)


async def test_the_org_commands_need_the_nodes_one_port_and_nothing_else(
    installed: Installed, tmp_path: Path
) -> None:
    # Where everybody may look: what closes the folder is its own mode.
    data = installed.folder / "data-of-the-node"
    home = installed.folder / "elsewhere"
    with private_network(), neighbour() as other, socket.create_server((HERE, 0)) as another_port:
        other.nft(ONE_PORT)
        here, there = Commands.under(tmp_path), elsewhere(installed, other, home)
        async with open_node(here, data, f"{HERE}:{PORT}") as node, open_desktop(ring) as desktop:
            organisation = await found_organisation(there, home / "organisation")
            await organisation.join(await node.admit(organisation.root))
            async with organisation.keeper() as keeper:
                computer = await enrol_agent(here, organisation, "office PC", tmp_path / "agent")
                await enrol_client(there, organisation, "home PC", home / "client")
                await organisation.grant("home PC", computer)
                async with (
                    run_agent(here, "agent", tmp_path / "agent", computer, desktop.address) as agent,
                    run_client(there, "client", home / "client", computer) as client,
                ):
                    shown = await listed(there, organisation)
                    await organisation.revoke("home PC")
                    finished = await client.program.event(lambda event: event.get("event") == "finished", 5)
                    revoked = await listed(there, organisation)
                    allowed = [event for event in agent.program.told() if event.get("event") == "allowed"]
                said = [event.get("event") for event in keeper.told()]
            # Nothing of all this has so much as tried another way.
            assert refused(other) == 0
            met = json.loads(probe(other, str(another_port.getsockname()[1]), node))
            assert refused(other) > 0

            # The port is the way: without it there is none.
            other.nft(CLOSED)
            other.nft(ONE_PORT.replace(f"tcp dport {PORT}", "tcp dport 1"))
            with pytest.raises(ProgramError) as unreachable:
                await listed(there, organisation)

    assert said.count("approved") == 2
    assert "stamped" in said
    assert len(allowed) == 1
    assert {device["label"]: device["revoked"] for device in shown["devices"]} == {
        "office PC": False,
        "home PC": False,
    }
    assert {device["label"]: device["revoked"] for device in revoked["devices"]} == {
        "office PC": False,
        "home PC": True,
    }
    assert finished["code"] == "REVOKED"
    assert met == {
        "the port": "reached",
        "another port": "No route to host",
        "own loopback": "Connection refused",
        "control socket": "Permission denied",
        "data folder": "Permission denied",
        "database": "Permission denied",
    }
    assert "error[UNREACHABLE]" in unreachable.value.said


def probe(other: Neighbour, another_port: str, node: Node) -> str:
    """What an ordinary user there meets. From here the other port and the folder are open."""
    socket.create_connection((HERE, int(another_port)), timeout=5).close()
    assert (node.data / "control.sock").is_socket()
    assert (node.data / "store.db").is_file()
    arguments = (HERE, str(PORT), another_port, str(node.data))
    return other.run(*AS_NOBODY, "/usr/bin/python3", "-c", PROBE, *arguments)


# ---------------------------------------------------------------- enrolment is real


@dataclass(frozen=True)
class Fault:
    """A node's database that lets it do everything but take an enrolment's request in.

    `breaks` and `mends`: SQL. `status`, `code`, `exit_code`: what POST /v1/enrol and a command end with.
    """

    breaks: str
    mends: str
    status: int
    code: str
    exit_code: int


# The node knows this failure: its database refuses to write.
REFUSING: Final = Fault(
    "CREATE TRIGGER broken BEFORE INSERT ON enrolments BEGIN SELECT RAISE(ABORT, 'broken'); END",
    "DROP TRIGGER broken",
    503,
    "STORE",
    6,
)
# This one it does not: a hash that became text.
DAMAGED: Final = Fault(
    "CREATE TRIGGER broken AFTER INSERT ON invites"
    " BEGIN UPDATE invites SET admit = hex(admit) WHERE id = NEW.id; END",
    "UPDATE invites SET admit = unhex(admit)",
    500,
    "INTERNAL",
    1,
)


def change(data: Path, statement: str) -> None:
    """Change the node's database under it."""
    with sqlite3.connect(data / "store.db") as store:
        # SQLite has it from 3.41 on.
        store.create_function("unhex", 1, bytes.fromhex, deterministic=True)
        store.execute(statement)
    store.close()


def status_of_enrol(line: str) -> int:
    """The status of the answer to a request with this invite, read off the wire."""
    invite, terms = parse_invite(line), current_terms()
    body = json.dumps(request_body(Pending(invite, terms.version, terms.hash), make_key())).encode()
    head = f"POST /v1/enrol HTTP/1.1\r\nHost: node\r\nContent-Length: {len(body)}\r\n"
    head += "Content-Type: application/json\r\nConnection: close\r\n\r\n"
    with socket.socket(fileno=open_dial(invite.cluster, folder=None).open_api()) as connected:
        connected.settimeout(10)
        connected.sendall(head.encode() + body)
        answer = b"".join(iter(lambda: connected.recv(4096), b""))
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize("fault", [REFUSING, DAMAGED], ids=lambda fault: str(fault.status))
async def test_an_enrolment_that_the_node_cannot_take_in_fails_and_can_go_on_later(
    tmp_path: Path, fault: Fault
) -> None:
    commands = Commands.under(tmp_path)
    agent = tmp_path / "agent"
    terms = str(current_terms().version)
    enrol = ("telerelay-agent", "enrol", "--data", str(agent), "--accept-terms", terms)
    async with open_node(commands, tmp_path / "node") as node:
        change(node.data, fault.breaks)
        organisation = await found_organisation(commands, tmp_path / "organisation")
        await organisation.join(await node.admit(organisation.root))
        async with organisation.keeper():
            invite = await organisation.invite("agent", "office PC")
            assert await asyncio.to_thread(status_of_enrol, invite.line) == fault.status
            with pytest.raises(ProgramError, match=f"ended with status {fault.exit_code}") as failed:
                await commands.run(*enrol, said=f"{invite.line}\n")
            (line,) = failed.value.said.splitlines()
            assert line.startswith(f"error[{fault.code}]")
            assert not (agent / RELAY_FILE).exists()
            change(node.data, fault.mends)
            await commands.run(*enrol)
    assert (agent / RELAY_FILE).exists()


@pytest.mark.parametrize("fault", [REFUSING, DAMAGED], ids=lambda fault: str(fault.status))
def test_without_enrolment_there_is_no_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    @asynccontextmanager
    async def open_broken_node(commands: Commands, data: Path) -> AsyncIterator[Node]:
        async with open_node(commands, data) as node:
            change(node.data, fault.breaks)
            yield node

    monkeypatch.setattr(show, "open_node", open_broken_node)
    screen = tmp_path / "screen.png"
    # Where there is no desktop: nobody gets so far as to look for it.
    asked = show.Asked(sessions=1, desktop="127.0.0.1:9", screen=screen)
    with pytest.raises(TelerelayError) as failed:
        run_demo(Console(lang="en"), asked, None, keep=False)
    assert (failed.value.code, failed.value.exit_code) == (fault.code, fault.exit_code)
    assert "telerelay-agent enrol" in failed.value.detail
    assert not screen.exists()
