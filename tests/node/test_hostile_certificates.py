"""A node that ends inner TLS itself: neither end says a byte to a stranger (PROTOCOL.md §7)."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from telerelay.authority.profile import certify_agent, certify_client
from telerelay_core import DoorOpen, SessionOpened
from telerelay_endpoint.certificates import RoleKey, encode_certificate, parse_chain
from telerelay_endpoint.keys import key_id, load_key_file, make_key
from tests.kit.condition import eventually
from tests.kit.hostile.certified import Certified, Office
from tests.kit.hostile.desktop import open_desktop
from tests.kit.hostile.endpoints import end_of, online
from tests.kit.hostile.impostor.agent import INNER_ALPN, pose_as_agent
from tests.kit.hostile.impostor.client import X25519, pose_as_client
from tests.kit.hostile.impostor.stream import Heard, Mask
from tests.kit.hostile.node.handshake import HYBRID, server_hello
from tests.kit.hostile.node.leg import Leg
from tests.kit.hostile.node.relay import Pairing
from tests.kit.hostile.scripts import FirstLeg, pair_agent, pair_client
from tests.kit.hostile.world import World, open_world

YEAR = 365 * 86_400
PROTOCOLS = [pytest.param((), id="none"), pytest.param((b"telerelay/1",), id="another")]
Make = Callable[[World], Mask]
Issue = Callable[[ec.EllipticCurvePublicKey, World, x509.Certificate, ec.EllipticCurvePrivateKey, int], bytes]


def as_agent(
    key: ec.EllipticCurvePublicKey,
    world: World,
    issuer: x509.Certificate,
    signing: ec.EllipticCurvePrivateKey,
    now: int,
) -> bytes:
    """A leaf for the computer that is asked for."""
    return encode_certificate(certify_agent(key, world.computer, issuer, signing, now))


def as_client(
    key: ec.EllipticCurvePublicKey,
    _: World,
    issuer: x509.Certificate,
    signing: ec.EllipticCurvePrivateKey,
    now: int,
) -> bytes:
    """A leaf for a client."""
    return encode_certificate(certify_client(key, issuer, signing, now))


# ---------------------------------------------------------------- masks of either end


def own_chain(device: Certified) -> Mask:
    """The true chain with its true key."""
    chain = parse_chain(device.chain.read_bytes())
    return Mask([encode_certificate(item) for item in chain], load_key_file(device.key))


def with_another_key(device: Certified) -> Mask:
    """Whoever carries a leg sees the chain that its endpoint shows; the key stays away."""
    return Mask(own_chain(device).chain, make_key())


def without_issuer(device: Certified) -> Mask:
    """The true leaf and key, and nothing that leads to the root."""
    mask = own_chain(device)
    return Mask(mask.chain[:1], mask.key)


def certified(
    issue: Issue,
    world: World,
    issuers: list[x509.Certificate],
    signing: ec.EllipticCurvePrivateKey,
    age: int = 0,
) -> Mask:
    """A leaf that `signing` signed in the name of the first of `issuers`."""
    key = make_key()
    leaf = issue(key.public_key(), world, issuers[0], signing, int(time.time()) - age)
    return Mask([leaf, *map(encode_certificate, issuers)], key)


def of_the_cluster(issue: Issue, world: World) -> Mask:
    authority = world.cluster.authority
    return certified(issue, world, [authority.certificate], authority.key)


def of_another_organisation(issue: Issue, world: World) -> Mask:
    """Another root of the very same name, another issuer, and whatever names are asked for."""
    issuer = Office(world.folder / "other").keys.roles[RoleKey.ISSUER]
    return certified(issue, world, [issuer.certificate], issuer.key)


def in_the_issuers_name(issue: Issue, world: World) -> Mask:
    return certified(issue, world, [world.office.keys.roles[RoleKey.ISSUER].certificate], make_key())


def of_another_role_key(issue: Issue, world: World) -> Mask:
    """The key that stamps documents signs no certificates."""
    freshness = world.office.keys.roles[RoleKey.FRESHNESS]
    return certified(issue, world, [freshness.certificate], freshness.key)


def of_a_client(issue: Issue, world: World) -> Mask:
    """A stolen client key makes itself an issuer."""
    client = own_chain(world.client_certificate)
    leaf, issuer = (x509.load_der_x509_certificate(item) for item in client.chain)
    return certified(issue, world, [leaf, issuer], client.key)


def expired(issue: Issue, world: World) -> Mask:
    issuer = world.office.keys.roles[RoleKey.ISSUER]
    return certified(issue, world, [issuer.certificate], issuer.key, age=3 * YEAR)


OF_EITHER_END = [
    of_the_cluster,
    of_another_organisation,
    in_the_issuers_name,
    of_another_role_key,
    of_a_client,
    expired,
]


# ---------------------------------------------------------------- the client


async def pose_to_client(
    world: World, mask: Mask, protocols: Sequence[bytes] = (INNER_ALPN,)
) -> tuple[Heard, str, str]:
    """The node takes a client's leg and is the agent itself. Gives what it heard, and the client's end."""
    heard: list[Heard] = []

    async def act(leg: Leg) -> None:
        await pair_client(leg)
        heard.append(await pose_as_agent(leg, mask, protocols))
        leg.close()

    world.gate.serve = FirstLeg(act)
    async with open_world(world), world.client() as client:
        end = await end_of(client)
        assert (end.bytes_sent, end.bytes_received, end.session) == (0, 0, None)
        assert await client.code() == end.code
        assert not client.of(DoorOpen)
    return heard[0], end.code, end.stage


async def test_an_impostor_with_the_agents_own_key_would_be_believed(tmp_path: Path) -> None:
    world = World(tmp_path)
    heard, _, _ = await pose_to_client(world, own_chain(world.agent_certificate))
    assert heard.finished
    assert heard.application


@pytest.mark.parametrize("make", OF_EITHER_END)
async def test_a_client_believes_no_other_chain(tmp_path: Path, make: Callable[[Issue, World], Mask]) -> None:
    world = World(tmp_path)
    _assert_refused(*await pose_to_client(world, make(as_agent, world)))


@pytest.mark.parametrize("make", [with_another_key, without_issuer])
async def test_a_client_believes_no_chain_that_is_not_proven(
    tmp_path: Path, make: Callable[[Certified], Mask]
) -> None:
    world = World(tmp_path)
    _assert_refused(*await pose_to_client(world, make(world.agent_certificate)))


async def test_a_client_believes_no_agent_of_another_computer(tmp_path: Path) -> None:
    world = World(tmp_path)
    _assert_refused(*await pose_to_client(world, own_chain(world.office.agent())))


async def test_a_client_believes_no_other_client(tmp_path: Path) -> None:
    world = World(tmp_path)
    _assert_refused(*await pose_to_client(world, own_chain(world.office.client())))


@pytest.mark.parametrize("protocols", PROTOCOLS)
async def test_a_client_speaks_nothing_to_an_agent_of_no_protocol_or_another(
    tmp_path: Path, protocols: Sequence[bytes]
) -> None:
    world = World(tmp_path)
    heard, code, stage = await pose_to_client(world, own_chain(world.agent_certificate), protocols)
    assert (code, stage) == ("IDENTITY", "inner")
    assert not heard.application


def _assert_refused(heard: Heard, code: str, stage: str) -> None:
    assert (code, stage) == ("IDENTITY", "inner")
    assert not heard.finished
    assert not heard.application
    # Above 40 stand the alerts about certificates and signatures; close_notify is 0.
    assert heard.alert is not None
    assert heard.alert > 40


# ---------------------------------------------------------------- the agent


async def pose_to_agent(
    world: World,
    mask: Mask | None,
    revoked: list[bytes] | None = None,
    group: int = HYBRID,
    protocols: Sequence[bytes] = (INNER_ALPN,),
) -> tuple[Heard, str, str]:
    """The node asks an agent in the name of the granted client, and is that client itself."""
    heard: list[Heard] = []

    async def act(leg: Leg) -> None:
        await pair_agent(leg, world.client_certificate.id)
        heard.append(await pose_as_client(leg, mask, group, protocols))
        leg.close()

    first = FirstLeg(act)
    world.gate.serve = first
    async with open_world(world), world.agent() as agent:
        agent.handle.set_revoked(revoked or [])
        end = await end_of(agent)
        assert (end.bytes_sent, end.bytes_received, end.session) == (0, 0, None)
        assert end.client == world.client_certificate.id
        assert not agent.of(SessionOpened)
        assert not world.desktop.connections
        await eventually(lambda: len(first.reports) == 1)
        assert (first.reports[0]["code"], first.reports[0]["stage"]) == (end.code, end.stage)
    return heard[0], end.code, end.stage


async def test_an_impostor_with_the_clients_own_key_would_be_believed(tmp_path: Path) -> None:
    world = World(tmp_path)
    heard, _, stage = await pose_to_agent(world, own_chain(world.client_certificate))
    assert heard.application
    assert stage == "open"


@pytest.mark.parametrize("make", OF_EITHER_END)
async def test_an_agent_believes_no_other_chain(tmp_path: Path, make: Callable[[Issue, World], Mask]) -> None:
    world = World(tmp_path)
    _assert_turned_away(*await pose_to_agent(world, make(as_client, world)))


@pytest.mark.parametrize("make", OF_EITHER_END)
async def test_an_agent_believes_no_other_chain_of_a_key_that_was_named(
    tmp_path: Path, make: Callable[[Issue, World], Mask]
) -> None:
    """The verdict let the impostor's own key in: now the chain alone stands between."""
    world = World(tmp_path)
    mask = make(as_client, world)
    world.client_certificate = _named(mask, world.client_certificate)
    _assert_turned_away(*await pose_to_agent(world, mask))


@pytest.mark.parametrize("make", [with_another_key, without_issuer])
async def test_an_agent_believes_no_chain_that_is_not_proven(
    tmp_path: Path, make: Callable[[Certified], Mask]
) -> None:
    world = World(tmp_path)
    _assert_turned_away(*await pose_to_agent(world, make(world.client_certificate)))


async def test_an_agent_serves_no_other_client_of_its_organisation(tmp_path: Path) -> None:
    world = World(tmp_path)
    _assert_turned_away(*await pose_to_agent(world, own_chain(world.office.client())))


async def test_an_agent_serves_no_agent(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.client_certificate = world.office.agent()
    _assert_turned_away(*await pose_to_agent(world, own_chain(world.client_certificate)))


async def test_an_agent_serves_nobody_without_a_certificate(tmp_path: Path) -> None:
    _assert_turned_away(*await pose_to_agent(World(tmp_path), None))


async def test_an_agent_serves_no_revoked_device(tmp_path: Path) -> None:
    world = World(tmp_path)
    mask = own_chain(world.client_certificate)
    heard, code, stage = await pose_to_agent(world, mask, revoked=[world.client_certificate.id])
    assert (code, stage) == ("REVOKED", "inner")
    assert not heard.application


async def test_an_agent_agrees_on_no_key_without_the_hybrid(tmp_path: Path) -> None:
    """Whoever records today and computes in twenty years reads nothing."""
    world = World(tmp_path)
    mask = own_chain(world.client_certificate)
    _assert_turned_away(*await pose_to_agent(world, mask, group=X25519))


@pytest.mark.parametrize("protocols", PROTOCOLS)
async def test_an_agent_speaks_nothing_to_a_client_of_no_protocol_or_another(
    tmp_path: Path, protocols: Sequence[bytes]
) -> None:
    world = World(tmp_path)
    mask = own_chain(world.client_certificate)
    heard, code, stage = await pose_to_agent(world, mask, protocols=protocols)
    assert (code, stage) == ("IDENTITY", "inner")
    assert not heard.application


def _assert_turned_away(heard: Heard, code: str, stage: str) -> None:
    assert (code, stage) == ("IDENTITY", "inner")
    assert not heard.application
    assert heard.alert is not None
    assert heard.alert >= 40


# ---------------------------------------------------------------- two real ends that do not belong together


async def test_two_agents_of_one_organisation_are_not_confused(tmp_path: Path) -> None:
    world = World(tmp_path)
    stranger = world.admit(world.office.agent())
    await _join_with(world, stranger)


async def test_the_same_computer_id_in_another_organisation_is_another_computer(tmp_path: Path) -> None:
    world = World(tmp_path)
    stranger = world.admit(Office(world.folder / "other").agent(world.computer))
    await _join_with(world, stranger)


async def _join_with(world: World, stranger: Certified) -> None:
    """The node joins the client with another agent, which would serve it."""
    world.relay.computers[world.computer] = stranger.id
    async with open_world(world), open_desktop() as other, world.agent(stranger, other.address) as agent:
        await online(agent)
        async with world.client() as client:
            assert await client.code() == "IDENTITY"
            assert (await end_of(client)).stage == "inner"
            assert not client.of(DoorOpen)
        assert (await end_of(agent)).code == "IDENTITY"
        assert not other.connections
        _assert_certificates_were_shown(world.relay.pairings[0])


async def test_two_clients_of_one_organisation_are_not_confused(tmp_path: Path) -> None:
    world = World(tmp_path)
    stranger = world.admit(world.office.client())
    world.relay.incoming["client"] = world.client_certificate.id.hex()
    async with open_world(world), world.agent() as agent:
        await online(agent)
        async with world.client(stranger) as client:
            assert await client.code() == "IDENTITY"
            assert not client.of(DoorOpen)
        end = await end_of(agent)
        assert (end.code, end.stage, end.client) == ("IDENTITY", "inner", world.client_certificate.id)
        assert not world.desktop.connections
        await eventually(lambda: [report["code"] for report in world.relay.reports] == ["IDENTITY"])
        _assert_certificates_were_shown(world.relay.pairings[0])


def _assert_certificates_were_shown(pairing: Pairing) -> None:
    """The handshake got as far as certificates: nothing else cut it short."""
    flight = pairing.crossed("to_client")
    assert server_hello(flight).chosen_group == HYBRID
    # ServerHello with the hybrid share takes 1.2 KiB; a chain and its signature another.
    assert len(flight) > 2_000


def _named(mask: Mask, device: Certified) -> Certified:
    """A device whose ID is that of the mask's own key."""
    leaf = x509.load_der_x509_certificate(mask.chain[0])
    return Certified(device.chain, device.key, leaf, key_id(mask.key.public_key()))
