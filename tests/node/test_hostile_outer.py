"""A node that is not the cluster's, or not the one that was dialled, gets no HELLO (PROTOCOL.md §3.3)."""

import asyncio
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from telerelay.authority.profile import certify_node
from telerelay_core import AgentOffline, AgentOnline, CoreError, Dial
from telerelay_endpoint.certificates import RoleKey
from telerelay_endpoint.keys import make_key
from tests.kit.hostile.certified import Certified, Cluster, put
from tests.kit.hostile.desktop import open_desktop
from tests.kit.hostile.endpoints import end_of
from tests.kit.hostile.node.leg import Leg
from tests.kit.hostile.world import World, open_world

YEAR = 365 * 86_400
GARBAGE = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n<html>proxy</html>"


def of_another_cluster(world: World) -> Certified:
    """The same name of the CA, the same name of the node."""
    return Cluster(world.folder / "other").node()


def of_another_node(world: World) -> Certified:
    return world.cluster.node("second")


def without_its_authority(world: World) -> Certified:
    key = make_key()
    chain = world.cluster.authority.certify_node(key.public_key(), "first", int(time.time()))
    return put(world.folder, key, chain[:1])


def under_the_authoritys_name(world: World) -> Certified:
    """The CA's certificate is public; its key is not."""
    key, authority = make_key(), world.cluster.authority.certificate
    leaf = certify_node(key.public_key(), "first", authority, make_key(), int(time.time()))
    return put(world.folder, key, [leaf, authority])


def with_the_authority_beside_it(world: World) -> Certified:
    """A chain that is right in itself, and the pinned certificate last."""
    other = Cluster(world.folder / "other").authority
    key = make_key()
    leaf = certify_node(key.public_key(), "first", other.certificate, other.key, int(time.time()))
    return put(world.folder, key, [leaf, other.certificate, world.cluster.authority.certificate])


def of_an_organisation(world: World) -> Certified:
    """A tenant signs itself a node."""
    key, issuer = make_key(), world.office.keys.roles[RoleKey.ISSUER]
    leaf = certify_node(key.public_key(), "first", issuer.certificate, issuer.key, int(time.time()))
    return put(world.folder, key, [leaf, issuer.certificate])


def of_an_agent(world: World) -> Certified:
    """Its usage is a server's too."""
    return world.office.agent()


def expired(world: World) -> Certified:
    key, authority = make_key(), world.cluster.authority
    chain = authority.certify_node(key.public_key(), "first", int(time.time()) - 3 * YEAR)
    return put(world.folder, key, chain)


FORGERIES = [
    of_another_cluster,
    of_another_node,
    without_its_authority,
    under_the_authoritys_name,
    with_the_authority_beside_it,
    of_an_organisation,
    of_an_agent,
    expired,
]


@pytest.mark.parametrize("forge", FORGERIES)
async def test_nobody_says_hello_to_a_node_that_is_not_pinned(
    tmp_path: Path, forge: Callable[[World], Certified]
) -> None:
    world = World(tmp_path)
    async with open_world(world, node=forge(world)), world.agent() as agent, world.client() as client:
        assert await client.code() == "PIN"
        assert (await end_of(client)).stage == "dial"
        assert (await agent.wait(AgentOffline)).code == "PIN"
        assert not agent.of(AgentOnline)
        with pytest.raises(CoreError, match="PIN"):
            await asyncio.to_thread(Dial(**world.dial).open_api)
        assert not world.gate.legs
        assert not world.gate.api.asked


async def test_the_successors_key_is_as_good_as_the_authoritys(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cluster.pins = (bytes(32), world.cluster.pins[0])
    async with open_world(world), world.session() as (_, client):
        reader, _ = await client.viewer()
        assert await reader.readexactly(12) == b"RFB 003.008\n"


async def test_a_redirect_leads_to_no_node_that_is_not_pinned(tmp_path: Path) -> None:
    world, other = World(tmp_path), World(tmp_path / "other")

    async def redirect(leg: Leg) -> None:
        asked = await leg.expect("CONNECT")
        node = {"name": "first", "addresses": [other.gate.address]}
        await leg.send("REDIRECT", node=node, attempt=asked["attempt"])
        await leg.ended()

    world.gate.serve = redirect
    async with open_world(world), open_world(other), world.client() as client:
        assert await client.code() == "PIN"
        assert len(world.gate.legs) == 1
        assert not other.gate.legs


async def test_no_older_tls_is_spoken(tmp_path: Path) -> None:
    world = World(tmp_path)
    context = world.context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with open_desktop() as desktop, world.gate.open(context):
        world.desktop = desktop
        async with world.agent() as agent, world.client() as client:
            assert await client.code() == "UNREACHABLE"
            assert (await end_of(client)).stage == "dial"
            assert (await agent.wait(AgentOffline)).code == "UNREACHABLE"
        assert not world.gate.legs


async def test_a_node_that_agrees_on_no_protocol_hears_no_hello(tmp_path: Path) -> None:
    """Pinned and named as it must be, but it speaks nothing that was offered, and does not say so."""
    world = World(tmp_path)
    context = world.context()
    context.set_alpn_protocols(["another/1"])
    async with open_desktop() as desktop, world.gate.open(context):
        world.desktop = desktop
        async with world.agent() as agent, world.client() as client:
            assert await client.code() == "UNREACHABLE"
            assert (await end_of(client)).stage == "dial"
            assert (await agent.wait(AgentOffline)).code == "UNREACHABLE"
            with pytest.raises(CoreError, match="UNREACHABLE"):
                await asyncio.to_thread(Dial(**world.dial).open_api)
        # Its own end of the handshake was over before ours could look.
        assert not [leg.hello for leg in world.gate.legs if leg.hello]


@pytest.mark.parametrize("answer", [b"", GARBAGE, b"\x16\x03\x03\xff\xff", b"\x15\x03\x03\x00\x02\x02\x28"])
async def test_what_is_no_node_is_unreachable(tmp_path: Path, answer: bytes) -> None:
    world = World(tmp_path)

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(5)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(reply, "127.0.0.1", 0)
    world.gate.port = server.sockets[0].getsockname()[1]
    async with server, world.client() as client:
        assert await client.code() == "UNREACHABLE"
        assert (await end_of(client)).stage == "dial"


async def test_an_impostor_at_one_address_does_not_hide_the_node_at_another(tmp_path: Path) -> None:
    """Whoever can answer for one name keeps nobody from the node that answers for the next."""
    world, other = World(tmp_path), World(tmp_path / "other")
    async with open_world(world), open_world(other), world.agent() as agent:
        await agent.wait(AgentOnline)
        dial = {**world.dial, "nodes": [("first", [other.gate.address, world.gate.address])]}
        async with world.client(dial=dial) as client:
            reader, _ = await client.viewer()
            assert await reader.readexactly(12) == b"RFB 003.008\n"
        assert not other.gate.legs
