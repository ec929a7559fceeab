"""A node that shows documents as it likes: what an agent holds stays in force (PROTOCOL.md §9)."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from telerelay.authority.organisation import NewOrganisation
from telerelay.authority.signing import sign_nodes
from telerelay_core import DoorOpen, SessionEnded
from telerelay_endpoint.certificates import RoleKey
from telerelay_endpoint.documents import Kind
from telerelay_endpoint.payloads import ListedNode, NodeAddress, NodeList
from tests.kit.condition import eventually
from tests.kit.hostile.certified import Cluster, Office
from tests.kit.hostile.served import DAY, Documents, ServedAgent, served_agent
from tests.kit.hostile.world import World, open_world
from tests.kit.rfb import look, ring, ring_once

GREETING = b"RFB 003.008\n"
Lie = Callable[[Documents], tuple[str, int, bytes]]


async def served(world: World) -> str:
    """How the granted client fares: "served", or its code."""
    before = len(world.desktop.connections)
    async with world.client() as client:
        await eventually(lambda: bool(client.of(DoorOpen) or client.of(SessionEnded)))
        if not client.of(DoorOpen):
            assert len(world.desktop.connections) == before
            return client.of(SessionEnded)[0].code
        reader, _ = await client.viewer()
        assert await reader.readexactly(len(GREETING)) == GREETING
        return "served"


async def tell(world: World, kind: str, version: int, document: bytes | None = None) -> None:
    """NEWS on the ready connection."""
    await eventually(lambda: world.agent_certificate.id in world.relay.ready)
    leg = world.relay.ready[world.agent_certificate.id].leg
    await leg.send("NEWS", kind=kind, version=version, document=document.hex() if document else None)


# ---------------------------------------------------------------- what the node keeps back


@pytest.mark.parametrize(
    ("withheld", "reason"),
    [
        ("computer", "there is no computer document"),
        ("stamp", "there is no freshness stamp"),
        ("revocations", "there is no revocation list"),
    ],
)
async def test_without_one_document_nobody_comes_in(tmp_path: Path, withheld: str, reason: str) -> None:
    world = World(tmp_path)
    documents = Documents(world)
    all_of_them = {
        "computer": documents.computer(),
        "stamp": documents.stamp(),
        "revocations": documents.revocations(),
    }
    documents.serve(**{kind: encoded for kind, encoded in all_of_them.items() if kind != withheld})
    async with open_world(world), served_agent(world) as agent:
        await eventually(lambda: len(world.gate.api.asked) == 3)
        assert await served(world) == "POLICY_STALE"
        assert reason in (await agent.says("refused"))["reason"]
        # The last one comes after all.
        await tell(world, withheld, 1, all_of_them[withheld] if len(all_of_them[withheld]) < 1984 else None)
        await agent.says("serving")
        assert await served(world) == "served"


async def test_a_stamp_that_names_more_than_the_node_shows_closes_the_door(tmp_path: Path) -> None:
    """The organisation took a grant back and revoked a device; the node serves what there was before."""
    for number, (document, revocations) in enumerate([(2, 1), (1, 2)]):
        world = World(tmp_path / str(number))
        documents = Documents(world)
        documents.serve(
            computer=documents.computer(),
            stamp=documents.stamp(document, revocations),
            revocations=documents.revocations(),
        )
        async with open_world(world), served_agent(world) as agent:
            await agent.says("document", 3)
            assert await served(world) == "POLICY_STALE"


async def test_a_stamp_that_is_kept_back_runs_out(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with open_world(world), _with_documents(world) as agent:
        agent.ahead = 14 * DAY - 60
        assert await served(world) == "served"
        agent.ahead = 14 * DAY + 60
        assert await served(world) == "POLICY_STALE"
        assert "freshness stamp: it expired" in (await agent.says("refused"))["reason"]


async def test_a_computer_document_runs_out_beneath_a_fresh_stamp(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with open_world(world), _with_documents(world) as agent:
        agent.ahead = 180 * DAY + 60
        later = Documents(world, issued=Documents(world).issued + 180 * DAY)
        await tell(world, "stamp", 2, later.stamp(epoch=2))
        await agent.says("document", 4)
        assert await served(world) == "POLICY_STALE"
        assert "computer document: it expired" in (await agent.says("refused"))["reason"]


async def test_a_node_that_sets_nothing_back_cannot_set_the_clock_back_either(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with open_world(world), _with_documents(world) as agent:
        documents = Documents(world, issued=Documents(world).issued + 3 * DAY)
        agent.ahead = 3 * DAY
        await tell(world, "stamp", 2, documents.stamp(epoch=2))
        await agent.says("document", 4)
        # The wall clock jumps back a year; what was signed is the least that time can be.
        agent.ahead = -365 * DAY
        assert agent.clock.now() == documents.issued
        assert await served(world) == "served"


# ---------------------------------------------------------------- what the node shows instead


def old_computer(documents: Documents) -> tuple[str, int, bytes]:
    return "computer", 6, documents.computer(4)


def old_stamp(documents: Documents) -> tuple[str, int, bytes]:
    return "stamp", 6, documents.stamp(5, 5, epoch=4)


def old_revocations(documents: Documents) -> tuple[str, int, bytes]:
    return "revocations", 6, documents.revocations(4)


def shorter_revocations(documents: Documents) -> tuple[str, int, bytes]:
    """Signed by the right key, newer, and yet it gives somebody back."""
    return "revocations", 6, documents.revocations(6)


def foreign_computer(documents: Documents) -> tuple[str, int, bytes]:
    return "computer", 6, documents.computer(6, of=_other(documents))


def foreign_stamp(documents: Documents) -> tuple[str, int, bytes]:
    return "stamp", 6, documents.stamp(5, 5, epoch=6, of=_other(documents))


def foreign_revocations(documents: Documents) -> tuple[str, int, bytes]:
    return "revocations", 6, documents.revocations(6, b"r" * 32, of=_other(documents))


def computer_by_another_role(documents: Documents) -> tuple[str, int, bytes]:
    """The keeper's machine was taken: its key stamps, and grants nothing."""
    return "computer", 6, documents.computer(6, signer=RoleKey.FRESHNESS)


def revocations_by_another_role(documents: Documents) -> tuple[str, int, bytes]:
    return "revocations", 6, documents.revocations(6, b"r" * 32, signer=RoleKey.POLICY)


def stamp_by_another_role(documents: Documents) -> tuple[str, int, bytes]:
    return "stamp", 6, documents.stamp(5, 5, epoch=6, signer=RoleKey.REVOKER)


def of_another_computer(documents: Documents) -> tuple[str, int, bytes]:
    return "computer", 6, documents.computer(6, computer=bytes(10))


def of_another_agent(documents: Documents) -> tuple[str, int, bytes]:
    return "computer", 6, documents.computer(6, agent=bytes(32))


def stamp_as_computer(documents: Documents) -> tuple[str, int, bytes]:
    return "computer", 6, documents.stamp(6, 6, epoch=6)


def revocations_as_stamp(documents: Documents) -> tuple[str, int, bytes]:
    return "stamp", 6, documents.revocations(6, b"r" * 32)


def flipped(documents: Documents) -> tuple[str, int, bytes]:
    encoded = documents.stamp(5, 5, epoch=6)
    return "stamp", 6, encoded[:-1] + bytes([encoded[-1] ^ 1])


def cut_short(documents: Documents) -> tuple[str, int, bytes]:
    return "stamp", 6, documents.stamp(5, 5, epoch=6)[:-1]


def no_document(_: Documents) -> tuple[str, int, bytes]:
    return "stamp", 6, b"<html>"


def nodes_of_another_cluster(documents: Documents) -> tuple[str, int, bytes]:
    """The node would like to be the only one that is ever dialled."""
    other = Cluster(documents.world.folder / "other").authority
    listed = ListedNode(NodeAddress("trap", ("192.0.2.66:8443",)), "telerelay/9")
    return "nodes", 6, sign_nodes(NodeList(6, documents.issued, (listed,)), other.signer).encoded


def _other(documents: Documents) -> NewOrganisation:
    """Another organisation of the same name."""
    return Office(documents.world.folder / "other").keys


OLD = {old_computer, old_stamp, old_revocations}
LIES = [
    old_computer,
    old_stamp,
    old_revocations,
    shorter_revocations,
    foreign_computer,
    foreign_stamp,
    foreign_revocations,
    computer_by_another_role,
    revocations_by_another_role,
    stamp_by_another_role,
    of_another_computer,
    of_another_agent,
    stamp_as_computer,
    revocations_as_stamp,
    flipped,
    cut_short,
    no_document,
    nodes_of_another_cluster,
]


@pytest.mark.parametrize("by", ["news", "api"])
@pytest.mark.parametrize("lie", LIES)
async def test_what_is_held_stays_in_force(tmp_path: Path, lie: Lie, by: str) -> None:
    world = World(tmp_path)
    async with open_world(world), _with_documents(world, version=5, revoked=b"x" * 32) as agent:
        held = {kind: agent.own.version(kind) for kind in Kind}
        kind, version, encoded = lie(Documents(world))
        if by == "news":
            await tell(world, kind, version, encoded)
        else:
            Documents(world).serve(**{kind: encoded})
            await tell(world, kind, version)
        refused = await agent.says("document_refused")
        assert (refused["kind"], refused["code"]) == (kind, "POLICY_STALE" if lie in OLD else "DOCUMENT")
        assert {kind: agent.own.version(kind) for kind in Kind} == held
        assert [address.name for address in agent.own.node_addresses()] == ["first"]
        assert await served(world) == "served"


async def test_a_session_runs_on_while_the_node_lies(tmp_path: Path) -> None:
    """One lie after another, and it is neither cut nor held up."""
    world = World(tmp_path)
    async with (
        open_world(world, ring),
        _with_documents(world, version=5, revoked=b"x" * 32) as agent,
        world.client() as client,
    ):
        reader, writer = await client.viewer()
        await look(reader, writer)
        for number, lie in enumerate(LIES):
            kind, version, encoded = lie(Documents(world))
            await tell(world, kind, version, encoded)
            refused = await agent.says("document_refused", number + 1)
            assert refused["kind"] == kind
            await ring_once(reader, writer)
        assert not client.of(SessionEnded)


async def test_an_older_version_is_not_even_fetched(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with open_world(world), _with_documents(world, version=5) as agent:
        asked = len(world.gate.api.asked)
        for kind in ("computer", "stamp", "revocations"):
            await tell(world, kind, 4)
        await agent.says("older_document_offered", 3)
        assert len(world.gate.api.asked) == asked
        assert await served(world) == "served"


async def test_after_a_restart_the_node_cannot_begin_anew(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with open_world(world):
        async with _with_documents(world, version=5, revoked=b"x" * 32):
            pass
        old = Documents(world)
        old.serve(computer=old.computer(4), stamp=old.stamp(4, 4, epoch=4), revocations=old.revocations(4))
        async with served_agent(world) as agent:
            for kind in ("computer", "stamp", "revocations"):
                await tell(world, kind, 6)
            await agent.says("document_refused", 3)
            assert {line["code"] for line in agent.lines("document_refused")} == {"POLICY_STALE"}
            assert agent.own.revoked() == [b"x" * 32]
            assert await served(world) == "served"


async def test_a_revocation_cuts_and_cannot_be_taken_back(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with open_world(world), _with_documents(world) as agent:
        documents = Documents(world)
        async with world.client() as client:
            reader, _ = await client.viewer()
            assert await reader.readexactly(len(GREETING)) == GREETING
            await tell(world, "revocations", 2, documents.revocations(2, world.client_certificate.id))
            assert await client.code() == "REVOKED"
        await tell(world, "revocations", 3, documents.revocations(3))
        assert (await agent.says("document_refused"))["code"] == "DOCUMENT"
        assert await served(world) == "REVOKED"


@asynccontextmanager
async def _with_documents(
    world: World, version: int = 1, revoked: bytes | None = None
) -> AsyncIterator[ServedAgent]:
    """The agent with a set of documents that stands."""
    documents = Documents(world)
    documents.serve(
        computer=documents.computer(version),
        stamp=documents.stamp(version, version, epoch=version),
        revocations=documents.revocations(version, *([revoked] if revoked else [])),
    )
    async with served_agent(world) as agent:
        await agent.says("serving")
        yield agent
