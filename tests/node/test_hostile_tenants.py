"""A node of 1,700 organisations names none of them, and confuses no two (PROTOCOL.md §1.1, §3.4)."""

import asyncio
import json
import re
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from telerelay.authority.profile import make_root
from telerelay_core import SessionOpened
from telerelay_endpoint.certificates import Role, encode_certificate, format_chain, organisation_id
from telerelay_endpoint.keys import make_key
from tests.kit.beside import beside, counting
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import TELERELAY, NodeProcess
from tests.kit.outer_leg import OuterLeg
from tests.kit.tenant import Files, Tenant

ORGANISATIONS = 1_700
OF_ONE_NAME = 200
# What a tenant's organisation calls itself.
ONE_NAME = "Kitamachi"
OTHER_NAME = "Town {:04}"
# The operator's connections at a time.
OPERATORS = 16
CERTIFICATE_AUTHORITIES, SIGNATURE_ALGORITHMS = 47, 13
pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True)
class Town:
    """A running node and the roots that it admitted; the keys of some: two of one name, one of another."""

    node: NodeProcess
    roots: Sequence[x509.Certificate]
    tenants: Sequence[Tenant]

    def files(self, leaf: Tenant, issuer: Tenant) -> Files:
        """An agent's key and certificate, below the issuer of its own organisation or of another one."""
        own = leaf.files(self.node.folder, Role.AGENT)
        chain = own.chain.with_name(f"{leaf.id.hex()[:16]}-below-{issuer.id.hex()[:16]}.pem")
        chain.write_bytes(format_chain([leaf.chain(Role.AGENT)[0], issuer.issuer.certificate]))
        return Files(chain, own.key)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Everybody is admitted: the first by the command, the rest as the command does it."""
    now = int(time.time())
    tenants = [Tenant(now), Tenant(now), Tenant(now, OTHER_NAME.format(0))]
    names = [ONE_NAME] * (OF_ONE_NAME - 2)
    names += [OTHER_NAME.format(number) for number in range(1, ORGANISATIONS - OF_ONE_NAME)]
    others = [make_root(make_key(), name, now) for name in names]
    roots = [tenants[0].root, tenants[1].root, *others, tenants[2].root]
    with NodeProcess(tmp_path_factory.mktemp("town")) as node:
        _admit_by_command(node, roots[0])
        with ThreadPoolExecutor(OPERATORS) as operators:
            list(operators.map(partial(_admit, node), [roots[at::OPERATORS] for at in range(OPERATORS)]))
        for tenant in tenants:
            node.admit(tenant)  # once more, for the line that its administrator gets
            node.publish(tenant)
        yield Town(node, roots, tenants)


def _admit_by_command(node: NodeProcess, root: x509.Certificate) -> None:
    file = node.folder / "root.pem"
    file.write_bytes(root.public_bytes(Encoding.PEM))
    command = (TELERELAY, "node", "admit", str(file), "--data", str(node.data), "--json")
    said = json.loads(subprocess.run(command, capture_output=True, timeout=30, check=True).stdout)
    assert (said["organisation"], said["new"]) == (organisation_id(root).hex(), True)


def _admit(node: NodeProcess, roots: Sequence[x509.Certificate]) -> None:
    with node.control() as control:
        for root in roots:
            organisation, _, _ = control.admit(root.public_bytes(Encoding.PEM))
            assert organisation == organisation_id(root)


# ---------------------------------------------------------------- who comes in


async def test_members_of_each_organisation_meet_their_own(town: Town) -> None:
    async with beside(town.node), counting(town.node, {"ended.DONE": len(town.tenants)}):
        await _assert_all_meet(town)


async def test_after_a_restart_everybody_is_still_there(town: Town) -> None:
    assert await asyncio.to_thread(town.node.stop) == 0
    await asyncio.to_thread(town.node.start)
    with town.node.control() as control:
        present = control.organisations()
    # Beside them stand those of the tests' own sessions.
    roots = {organisation_id(root) for root in town.roots}
    admitted = [row for row in present if row.organisation in roots]
    assert {row.organisation for row in admitted} == roots
    assert len(admitted) == ORGANISATIONS
    assert [row.name for row in admitted].count(ONE_NAME) == OF_ONE_NAME
    await _assert_all_meet(town)
    await _assert_leaves_are_confused_with_none(town)


async def _assert_all_meet(town: Town) -> None:
    for tenant in town.tenants:
        async with agent_of(town.node, tenant):
            async with client_of(town.node, tenant) as client:
                opened = await client.wait(SessionOpened)
            # An agent that left before would take the path with it.
            await asyncio.to_thread(town.node.record, kind="END", attempt=opened.attempt)
        start = await asyncio.to_thread(town.node.record, kind="START", attempt=opened.attempt)
        assert start["organisation"] == tenant.id.hex()


# ---------------------------------------------------------------- who stays out


async def test_leaves_that_were_swapped_between_two_of_one_name_stay_out(town: Town) -> None:
    async with beside(town.node), counting(town.node, {"handshakes_failed.certificate": 2}):
        await _assert_leaves_are_confused_with_none(town)


async def _assert_leaves_are_confused_with_none(town: Town) -> None:
    first, second = town.tenants[:2]
    assert first.root.subject == second.root.subject
    for tenant in (first, second):
        leg = await OuterLeg.dial(town.node.address, town.files(tenant, tenant))
        assert (await leg.hello("agent")).name == "WELCOME"
        leg.close()
    for leaf, issuer in ((first, second), (second, first)):
        # The issuer's organisation is here, and its issuer never signed this leaf.
        assert await _alert(town, town.files(leaf, issuer)) == "SSLV3_ALERT_CERTIFICATE_UNKNOWN"


async def test_an_organisation_of_an_admitted_ones_name_stays_out(town: Town) -> None:
    stranger = Tenant(town.tenants[0].now)
    assert stranger.root.subject == town.tenants[0].root.subject
    async with beside(town.node), counting(town.node, {"handshakes_failed.not_admitted": 1}):
        assert await _alert(town, town.files(stranger, stranger)) == "TLSV1_ALERT_UNKNOWN_CA"


async def _alert(town: Town, files: Files) -> str:
    """The TLS alert that answers this certificate."""
    with pytest.raises(ssl.SSLError) as refused:
        # In TLS 1.3 a client is through with its handshake before its certificate is judged.
        await (await OuterLeg.dial(town.node.address, files)).hello("agent")
    return refused.value.reason


# ---------------------------------------------------------------- what a stranger reads


@pytest.mark.parametrize("language", ["telerelay/1", "http/1.1"])
async def test_what_the_node_says_names_no_tenant(town: Town, language: str) -> None:
    spoken = await _ask_openssl(town, language)
    request = _extensions_of_request(spoken["CertificateRequest"])
    assert SIGNATURE_ALGORITHMS in request
    assert CERTIFICATE_AUTHORITIES not in request
    flight = b"".join(spoken.values())
    # Its own chain is there to read, so a tenant's name would be too.
    (authority,) = x509.load_pem_x509_certificates((town.node.data / "cluster" / "ca.pem").read_bytes())
    assert encode_certificate(authority) in flight
    assert ONE_NAME.encode() not in flight
    assert b"Town " not in flight
    for root in town.roots:
        assert encode_certificate(root)[-64:] not in flight
        assert organisation_id(root) not in flight


async def test_the_flight_does_not_depend_on_who_came_before(town: Town) -> None:
    first = await _ask_openssl(town, "telerelay/1")
    async with agent_of(town.node, town.tenants[0]):
        second = await _ask_openssl(town, "telerelay/1")
    for name in ("EncryptedExtensions", "CertificateRequest", "Certificate"):
        assert first[name] == second[name]


async def _ask_openssl(town: Town, language: str) -> dict[str, bytes]:
    """The node's handshake messages by their names, as OpenSSL deciphers them for a stranger."""
    program = await asyncio.create_subprocess_exec(
        *["openssl", "s_client", "-connect", town.node.address, "-servername", "relay-1", "-alpn", language],
        *["-tls1_3", "-msg"],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await program.communicate()
    pattern = r"<<< TLS 1\.3, Handshake \[length \w+\], (\w+)\n((?:    [0-9a-f ]+\n)+)"
    messages = re.findall(pattern, output.decode(errors="replace"))
    return {name: bytes.fromhex(dump) for name, dump in messages}


def _extensions_of_request(message: bytes) -> dict[int, bytes]:
    """The extensions of a CertificateRequest (RFC 8446 §4.3.2) by their number."""
    rest = message[4:]
    rest = rest[1 + rest[0] :]
    block, found = rest[2 : 2 + int.from_bytes(rest[:2], "big")], {}
    while block:
        end = 4 + int.from_bytes(block[2:4], "big")
        found[int.from_bytes(block[:2], "big")] = block[4:end]
        block = block[end:]
    return found
