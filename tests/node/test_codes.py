"""Codes that no longer story shows, each from a real program or node."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from telerelay_endpoint.certificates import Role
from telerelay_endpoint.invite_keys import InviteKind, InviteTerms, invite_secret
from telerelay_endpoint.lines import Invite
from tests.kit.node import TELERELAY, NodeProcess
from tests.kit.outer_leg import PROGRAM, OuterLeg
from tests.kit.tenant import DAY, Tenant


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """It has an address for clients only beside the one for both."""
    sides = {"TELERELAY_NODE_LISTEN_OUTSIDE": "127.0.0.1:0"}
    with NodeProcess(tmp_path_factory.mktemp("n"), environment=sides) as running:
        yield running


@pytest.fixture(scope="module")
def tenant(node: NodeProcess) -> Tenant:
    made = Tenant(now=int(time.time()))
    node.admit(made)
    return made


def run(*command: str, line: str = "") -> tuple[int, str]:
    """A program to its end: exit code and what it said to its person."""
    ended = subprocess.run(command, input=line, capture_output=True, text=True, timeout=30, check=False)
    return ended.returncode, ended.stderr


async def test_a_certificate_of_a_client_is_no_agents(node: NodeProcess, tenant: Tenant) -> None:
    leg = await OuterLeg.dial(node.address, tenant.files(node.folder, Role.CLIENT))
    refused = await leg.hello("agent")
    assert (refused.name, refused.fields["code"]) == ("ERROR", "WRONG_ROLE")
    leg.close()


@pytest.fixture(scope="module")
def outside(node: NodeProcess) -> str:
    """The node's address for clients only."""
    transport = httpx.HTTPTransport(uds=str(node.data / "control.sock"))
    with httpx.Client(transport=transport, base_url="http://node") as client:
        address: str = client.get("/v1/node").json()["listening"][-1]
    return address


async def test_an_address_for_clients_takes_no_agent(node: NodeProcess, tenant: Tenant, outside: str) -> None:
    leg = await OuterLeg.dial(outside, tenant.files(node.folder, Role.AGENT))
    refused = await leg.hello("agent")
    assert (refused.name, refused.fields["code"]) == ("ERROR", "WRONG_SIDE")
    leg.close()


async def test_a_version_that_no_node_speaks(node: NodeProcess, tenant: Tenant) -> None:
    leg = await OuterLeg.dial(node.address, tenant.files(node.folder, Role.CLIENT))
    hello = {"role": "client", "features": [], "instance": "00" * 16, "counter": 1, "program": PROGRAM}
    await leg.send("HELLO", version=99, **hello)
    assert (await leg.receive()).fields["code"] == "VERSION"
    leg.close()


def test_terms_of_another_version_are_not_the_ones_that_were_read(
    node: NodeProcess, tenant: Tenant, tmp_path: Path
) -> None:
    terms = InviteTerms(bytes(16), InviteKind.CLIENT, None, "home PC", tenant.now + DAY)
    secret = invite_secret(bytes(32), tenant.id, terms)
    invite = Invite(tenant.id, node.line(tenant), terms, secret).format()
    enrol = (f"{TELERELAY}-client", "enrol", "--data", str(tmp_path), "--accept-terms", "99")
    code, said = run(*enrol, line=f"{invite}\n")
    assert code == 3
    assert "error[TERMS]" in said


def test_a_command_that_makes_no_sense() -> None:
    code, said = run(TELERELAY, "serve", "--listen", "nowhere")
    assert code == 2
    assert "error[USAGE]" in said


def test_a_machine_that_is_not_enrolled(tmp_path: Path) -> None:
    code, said = run(f"{TELERELAY}-client", "connect", "0410-6105-0R3G-G28A-D", "--data", str(tmp_path))
    assert code == 5
    assert "error[CERTIFICATE]" in said


def test_a_secret_that_others_may_read(tmp_path: Path) -> None:
    invite = tmp_path / "invite"
    invite.write_text("telerelay-invite:AAAA\n")
    invite.chmod(0o644)
    enrol = (f"{TELERELAY}-client", "enrol", "--data", str(tmp_path / "client"))
    code, said = run(*enrol, "--invite-file", str(invite))
    assert code == 5
    assert "error[KEY_FILE]" in said


def test_a_bug_of_ours_is_told_as_one(tmp_path: Path) -> None:
    """The program with a fault put into it, as it would be if we had made it."""
    faulty = (
        "import sys, telerelay.node.control as control\n"
        "control.NodeControl = lambda folder: 1 // 0\n"
        "from telerelay.cli.main import main\n"
        "main()\n"
    )
    code, said = run(sys.executable, "-c", faulty, "node", "list", "--data", str(tmp_path))
    assert code == 1
    assert "error[INTERNAL]" in said
