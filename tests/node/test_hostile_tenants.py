"""A node of 1,700 organisations names none of them, and confuses no two (PROTOCOL.md §1.1, §3.4)."""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from typing_extensions import override

from telerelay.authority.profile import make_root
from telerelay_core import (
    AgentOffline,
    AgentOnline,
    AgentReady,
    ApiConnection,
    Decision,
    Node,
    RouteAsked,
    Stopped,
)
from telerelay_endpoint.certificates import encode_certificate, organisation_id, parse_chain
from telerelay_endpoint.keys import make_key
from tests.kit.hostile.certified import Certified, Cluster, Office
from tests.kit.hostile.endpoints import Told, online, running_agent, running_client

ORGANISATIONS = 1_700
OF_ONE_NAME = 200
# What `Office` calls its organisations.
ONE_NAME = "Kitamachi"
NOWHERE = "127.0.0.1:9"
CERTIFICATE_AUTHORITIES, SIGNATURE_ALGORITHMS = 47, 13


class RunningNode(Told):
    """A node that grants nothing, but tells apart who asks."""

    def __init__(self, handle: Node) -> None:
        super().__init__(handle)
        self.handle = handle

    @override
    def heard(self, event: object) -> None:
        super().heard(event)
        if isinstance(event, RouteAsked):
            self.handle.decide(event.ticket, Decision.deny("DENIED"))
        if isinstance(event, ApiConnection):
            os.close(event.fd)


@dataclass
class Town:
    """A node with its cluster, and the organisations of which the test has the keys: all of one name."""

    folder: Path
    cluster: Cluster
    offices: list[Office]
    roots: list[bytes]
    address: str = ""
    told: RunningNode = field(init=False)

    @property
    def dial(self) -> dict[str, Any]:
        return {"nodes": [("first", [self.address])], "pins": list(self.cluster.pins)}


@pytest.fixture(scope="module")
def minted(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """Seventeen hundred roots, made once."""
    folder, now = tmp_path_factory.mktemp("town"), int(time.time())
    offices = [Office(folder / "a"), Office(folder / "b"), Office(folder / "c")]
    shared = OF_ONE_NAME - len(offices)
    names = [ONE_NAME] * shared + [f"Town {number:04}" for number in range(ORGANISATIONS - OF_ONE_NAME)]
    roots = [encode_certificate(make_root(make_key(), name, now)) for name in names]
    roots += [office.root for office in offices]
    assert len(set(roots)) == ORGANISATIONS
    return Town(folder, Cluster(folder), offices, roots)


@asynccontextmanager
async def open_town(town: Town) -> AsyncIterator[Town]:
    own = town.cluster.node()
    node = Node(name="first", listeners=[("127.0.0.1:0", "both")], chain=own.chain, key=own.key)
    node.set_snapshot(organisations=[(root, False) for root in town.roots], revoked=[], nodes_version=0)
    town.told = RunningNode(node)
    (town.address,) = node.start()
    try:
        yield town
    finally:
        node.stop(0)
        await town.told.wait(Stopped)
        town.told.close()


# ---------------------------------------------------------------- who comes in


async def test_devices_of_every_organisation_come_in_as_their_own(minted: Town) -> None:
    async with open_town(minted) as town:
        for number, office in enumerate(town.offices, start=1):
            own, client = office.agent(), office.client()
            async with running_agent(own, office.root, town.dial, NOWHERE) as agent:
                await online(agent)
                ready = await town.told.wait(AgentReady, number)
                assert (ready.organisation, ready.device) == (office.keys.organisation, own.id)
            async with running_client(client, office.root, town.dial, own.computer) as asking:
                assert await asking.code() == "DENIED"
                asked = await town.told.wait(RouteAsked, number)
                assert (asked.organisation, asked.client) == (office.keys.organisation, client.id)


async def test_an_organisation_of_an_admitted_ones_name_stays_out(minted: Town) -> None:
    stranger = Office(minted.folder / "stranger")
    async with open_town(minted) as town:
        await _assert_refused(town, stranger.agent(), stranger)


async def test_leaves_that_were_swapped_between_two_of_one_name_stay_out(minted: Town) -> None:
    first, second = minted.offices[:2]
    async with open_town(minted) as town:
        for office, other in ((first, second), (second, first)):
            mine, theirs = office.agent(), other.agent()
            leaf, issuer = parse_chain(mine.chain.read_bytes())[0], parse_chain(theirs.chain.read_bytes())[1]
            swapped = mine.chain.with_name("swapped.pem")
            swapped.write_bytes(b"".join(item.public_bytes(Encoding.PEM) for item in (leaf, issuer)))
            await _assert_refused(town, replace(mine, chain=swapped), other)


async def _assert_refused(town: Town, own: Certified, office: Office) -> None:
    async with running_agent(own, office.root, town.dial, NOWHERE) as agent:
        assert (await agent.wait(AgentOffline)).code == "CERTIFICATE"
        assert not agent.of(AgentOnline)
    assert own.id not in [ready.device for ready in town.told.of(AgentReady)]


# ---------------------------------------------------------------- what a stranger reads


@pytest.mark.parametrize("language", ["telerelay/1", "http/1.1"])
async def test_what_the_node_says_names_no_tenant(minted: Town, language: str) -> None:
    async with open_town(minted) as town:
        spoken = await _ask_openssl(town, language)
    request = _extensions_of_request(spoken["CertificateRequest"])
    assert SIGNATURE_ALGORITHMS in request
    assert CERTIFICATE_AUTHORITIES not in request
    flight = b"".join(spoken.values())
    # Its own chain is there to read, so a tenant's name would be too.
    assert encode_certificate(town.cluster.authority.certificate) in flight
    assert ONE_NAME.encode() not in flight
    assert b"Town " not in flight
    for root in town.roots:
        assert root[-64:] not in flight
        assert organisation_id(x509.load_der_x509_certificate(root)) not in flight


async def test_the_flight_does_not_depend_on_who_came_before(minted: Town) -> None:
    async with open_town(minted) as town:
        first = await _ask_openssl(town, "telerelay/1")
        office = town.offices[0]
        async with running_agent(office.agent(), office.root, town.dial, NOWHERE) as agent:
            await online(agent)
            second = await _ask_openssl(town, "telerelay/1")
    for name in ("EncryptedExtensions", "CertificateRequest", "Certificate"):
        assert first[name] == second[name]


async def _ask_openssl(town: Town, language: str) -> dict[str, bytes]:
    """The node's handshake messages by their names, as OpenSSL deciphers them for a stranger."""
    program = await asyncio.create_subprocess_exec(
        *["openssl", "s_client", "-connect", town.address, "-servername", "first", "-alpn", language],
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
