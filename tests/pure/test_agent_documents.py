"""The agent's keeper of documents: what is taken, what stays in force, what survives a restart."""

import asyncio
import os
from pathlib import Path

import pytest

from telerelay.authority.cluster import new_cluster
from telerelay_agent.documents import FOLDER, Fetching, OwnDocuments
from telerelay_agent.verdict import why_stale
from telerelay_endpoint.certificates import RoleKey
from telerelay_endpoint.documents import Clock, Kind
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.keys import make_key
from telerelay_endpoint.payloads import Grant
from tests.kit.fake_agent import FIRST_NODE, EnrolledAgent
from tests.kit.tenant import DAY, NOW, Tenant


@pytest.fixture
def agent(tmp_path: Path) -> EnrolledAgent:
    return EnrolledAgent(tmp_path)


def open_documents(agent: EnrolledAgent, clock: Clock | None = None) -> OwnDocuments:
    return OwnDocuments(agent.credentials, clock or Clock(lambda: NOW))


def refusal(own: OwnDocuments, kind: Kind, encoded: bytes) -> str:
    with pytest.raises(TelerelayError) as refused:
        own.take(kind, encoded)
    return refused.value.code


def take_all(own: OwnDocuments, tenant: Tenant) -> None:
    assert own.take(Kind.COMPUTER, tenant.document())
    assert own.take(Kind.STAMP, tenant.stamp())
    assert own.take(Kind.REVOCATIONS, tenant.revocations(devices=[b"r" * 32]))


def test_with_all_three_the_documents_stand(agent: EnrolledAgent) -> None:
    own = open_documents(agent)
    assert why_stale(own.for_verdict(), NOW) == "there is no computer document"
    take_all(own, agent.tenant)
    assert why_stale(own.for_verdict(), NOW) is None
    assert own.revoked() == [b"r" * 32]


def test_they_survive_a_restart_and_nobody_else_can_read_them(agent: EnrolledAgent) -> None:
    take_all(open_documents(agent), agent.tenant)
    own = open_documents(agent)
    assert why_stale(own.for_verdict(), NOW) is None
    files = list((agent.credentials.folder / FOLDER).iterdir())
    assert len(files) == 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_the_same_again_is_nothing_new(agent: EnrolledAgent) -> None:
    own = open_documents(agent)
    encoded = agent.tenant.document()
    assert own.take(Kind.COMPUTER, encoded)
    assert not own.take(Kind.COMPUTER, encoded)


def test_after_a_restart_an_older_one_is_still_refused(agent: EnrolledAgent) -> None:
    older, newer = agent.tenant.document(1), agent.tenant.document(2, [])
    assert open_documents(agent).take(Kind.COMPUTER, newer)
    own = open_documents(agent)
    assert refusal(own, Kind.COMPUTER, older) == "POLICY_STALE"
    assert own.version(Kind.COMPUTER) == 2


def test_the_same_version_with_other_bytes_is_refused(agent: EnrolledAgent) -> None:
    own = open_documents(agent)
    own.take(Kind.COMPUTER, agent.tenant.document(3))
    other = agent.tenant.document(3, [Grant(b"x" * 32, "somebody else")])
    assert refusal(own, Kind.COMPUTER, other) == "DOCUMENT"


@pytest.mark.parametrize("kind", [Kind.COMPUTER, Kind.STAMP, Kind.REVOCATIONS])
def test_a_foreign_organisations_word_is_refused(agent: EnrolledAgent, kind: Kind) -> None:
    foreign = Tenant(computer=agent.tenant.computer, agent_key=agent.tenant.agent_key)
    encoded = {
        Kind.COMPUTER: foreign.document(),
        Kind.STAMP: foreign.stamp(),
        Kind.REVOCATIONS: foreign.revocations(),
    }[kind]
    own = open_documents(agent)
    assert refusal(own, kind, encoded) == "DOCUMENT"
    assert own.version(kind) == 0
    assert not (agent.credentials.folder / FOLDER).exists()


def test_a_document_of_another_computer_key_or_signer_is_refused(agent: EnrolledAgent) -> None:
    own = open_documents(agent)
    other_computer = agent.tenant.sibling(computer=os.urandom(10))
    other_agent = agent.tenant.sibling(agent_key=make_key())
    assert refusal(own, Kind.COMPUTER, other_computer.document()) == "DOCUMENT"
    assert refusal(own, Kind.COMPUTER, other_agent.document()) == "DOCUMENT"
    assert refusal(own, Kind.COMPUTER, agent.tenant.document(signer=RoleKey.REVOKER)) == "DOCUMENT"
    assert refusal(own, Kind.STAMP, other_computer.stamp()) == "DOCUMENT"


def test_one_kind_never_passes_for_another(agent: EnrolledAgent) -> None:
    own = open_documents(agent)
    assert refusal(own, Kind.STAMP, agent.tenant.document()) == "DOCUMENT"
    assert refusal(own, Kind.COMPUTER, agent.tenant.stamp()) == "DOCUMENT"


def test_an_expired_document_is_refused_and_what_is_held_expires_too(agent: EnrolledAgent) -> None:
    own = open_documents(agent)
    assert refusal(own, Kind.STAMP, agent.tenant.stamp(expires_in=0)) == "POLICY_STALE"
    take_all(own, agent.tenant)
    assert why_stale(own.for_verdict(), NOW + 15 * DAY) is not None


def test_a_revocation_list_never_gives_back(agent: EnrolledAgent) -> None:
    own = open_documents(agent)
    own.take(Kind.REVOCATIONS, agent.tenant.revocations(1, [b"r" * 32]))
    assert refusal(own, Kind.REVOCATIONS, agent.tenant.revocations(2, [b"s" * 32])) == "DOCUMENT"
    assert own.revoked() == [b"r" * 32]


def test_the_clock_takes_what_is_held_into_account_from_the_start(agent: EnrolledAgent) -> None:
    take_all(open_documents(agent), agent.tenant)
    clock = Clock(lambda: NOW - 100 * DAY)
    open_documents(agent, clock)
    assert clock.now() == NOW


def test_the_node_list_replaces_the_invites_nodes(agent: EnrolledAgent) -> None:
    own = open_documents(agent)
    assert own.node_addresses() == (FIRST_NODE,)
    assert own.take(Kind.NODES, agent.nodes(2, "second", "third"))
    assert [node.name for node in own.node_addresses()] == ["second", "third"]
    foreign, _ = new_cluster(NOW)
    assert refusal(own, Kind.NODES, agent.nodes(3, "evil", authority=foreign)) == "DOCUMENT"
    assert [node.name for node in open_documents(agent).node_addresses()] == ["second", "third"]


# ---------------------------------------------------------------- fetching


class Node:
    """Answers as it is told, and remembers what it was asked for."""

    def __init__(self, *answers: bytes | TelerelayError | None) -> None:
        self.answers = list(answers)
        self.asked: list[Kind] = []

    async def fetch(self, kind: Kind) -> bytes | None:
        self.asked.append(kind)
        answer = self.answers.pop(0)
        if isinstance(answer, TelerelayError):
            raise answer
        return answer


async def fetch(node: Node, *kinds: Kind) -> tuple[list[tuple[Kind, bytes]], list[str]]:
    """Let `kinds` be fetched until the node has no answer left."""
    fetching = Fetching(node.fetch)
    fetched: list[tuple[Kind, bytes]] = []
    failed: list[str] = []
    for kind in kinds:
        fetching.want(kind)
    task = asyncio.create_task(
        fetching.run(
            lambda kind, encoded: fetched.append((kind, encoded)), lambda _, error: failed.append(error.code)
        )
    )
    async with asyncio.timeout(10):
        while node.answers or len(fetched) + len(failed) == 0:
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return fetched, failed


async def test_what_is_wanted_twice_is_fetched_once() -> None:
    node = Node(b"stamp", b"computer")
    fetched, _ = await fetch(node, Kind.STAMP, Kind.STAMP, Kind.COMPUTER)
    assert fetched == [(Kind.STAMP, b"stamp"), (Kind.COMPUTER, b"computer")]


async def test_an_unreachable_node_is_asked_again() -> None:
    node = Node(TelerelayError("UNREACHABLE"), b"stamp")
    fetched, failed = await fetch(node, Kind.STAMP)
    assert fetched == [(Kind.STAMP, b"stamp")]
    assert failed == ["UNREACHABLE"]


async def test_a_refusal_is_told_and_the_next_kind_fetched() -> None:
    node = Node(TelerelayError("REVOKED"), None, b"list")
    fetched, failed = await fetch(node, Kind.STAMP, Kind.COMPUTER, Kind.REVOCATIONS)
    assert fetched == [(Kind.REVOCATIONS, b"list")]
    assert failed == ["REVOKED"]
