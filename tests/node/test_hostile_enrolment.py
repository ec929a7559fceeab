"""A node between a machine that enrols and its organisation: it swaps, and nothing is installed (§10.3)."""

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from telerelay.authority.devices import DeviceIssuer, EnrolmentRequest, check_request, issue
from telerelay.authority.profile import certify_agent, certify_client
from telerelay_core import Dial
from telerelay_endpoint.certificates import Role, RoleKey, encode_certificate
from telerelay_endpoint.credentials import KEY_FILE, load_credentials
from telerelay_endpoint.enrolment import begin, finish, make_csr
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.invite_keys import InviteKind, InviteTerms, invite_secret
from telerelay_endpoint.keys import key_id, load_key_file, make_key
from telerelay_endpoint.lines import ClusterLine, Invite, from_base64url, to_base64url
from telerelay_endpoint.payloads import NodeAddress
from telerelay_endpoint.terms import current_terms
from tests.kit.hostile.certified import Cluster, Office
from tests.kit.hostile.node.api import Answer, as_json, refusal
from tests.kit.hostile.world import World, open_world

MASTER = secrets.token_bytes(32)
COMPUTER = bytes(range(10))
Sign = Callable[["Enrolling", EnrolmentRequest], list[x509.Certificate]]


@dataclass
class Enrolling:
    """An office PC that enrols through the node, and its organisation, which answers whatever it is shown."""

    world: World
    sign: Sign
    shown: Callable[[dict[str, Any]], dict[str, Any]] = lambda request: request
    requests: list[dict[str, Any]] = field(default_factory=list)
    refused: list[TelerelayError] = field(default_factory=list)

    def __post_init__(self) -> None:
        invite, expiry = secrets.token_bytes(16), int(time.time()) + 3600
        self.terms = InviteTerms(invite, InviteKind.AGENT, COMPUTER, "desk 4", expiry)
        handlers = self.world.gate.api.handlers
        handlers["POST /v1/enrol"] = self._take
        handlers[f"GET /v1/enrol/{to_base64url(invite)}"] = self._answer

    @property
    def folder(self) -> Path:
        return self.world.folder / "enrolling"

    @property
    def issuer(self) -> DeviceIssuer:
        return issuer_of(self.world.office)

    async def run(self) -> None:
        """What `telerelay-agent enrol` does once the terms of use were accepted."""
        organisation = self.world.office.keys.organisation
        line = ClusterLine(self.world.cluster.pins, (NodeAddress("first", (self.world.gate.address,)),))
        invite = Invite(organisation, line, self.terms, invite_secret(MASTER, organisation, self.terms))
        pending = begin(self.folder, invite, Role.AGENT, current_terms(), int(time.time()))

        def open_cluster(_: ClusterLine) -> Dial:
            return Dial(**self.world.dial)

        def clock() -> int:
            return int(time.time())

        await asyncio.to_thread(finish, self.folder, pending, open_cluster, clock, lambda: None)

    def _take(self, body: bytes) -> Answer:
        self.requests.append(self.shown(json.loads(body)))
        return as_json({}, 202)

    def _answer(self, _: bytes) -> Answer:
        request = self.requests[-1]
        asked = EnrolmentRequest(self.terms, from_base64url(request["csr"]), from_base64url(request["mac"]))
        try:
            chain = self.sign(self, asked)
        except TelerelayError as error:
            self.refused.append(error)
            return refusal(403, error.code)
        return as_json({"chain": [to_base64url(encode_certificate(item)) for item in chain]})


def issuer_of(office: Office) -> DeviceIssuer:
    role = office.keys.roles[RoleKey.ISSUER]
    return DeviceIssuer(office.keys.root.certificate, role.certificate, role.key)


def as_the_keeper_does(enrolling: Enrolling, request: EnrolmentRequest) -> list[x509.Certificate]:
    check_request(request, MASTER, enrolling.issuer.root, int(time.time()))
    return issue(request, enrolling.issuer, int(time.time()))


async def test_through_an_honest_node_a_machine_enrols(tmp_path: Path) -> None:
    world = World(tmp_path)
    enrolling = Enrolling(world, as_the_keeper_does)
    async with open_world(world):
        await enrolling.run()
    credentials = load_credentials(enrolling.folder, int(time.time()))
    assert credentials.organisation == world.office.keys.organisation
    assert credentials.device == key_id(load_key_file(enrolling.folder / KEY_FILE).public_key())
    assert credentials.relay.computer == COMPUTER


# ---------------------------------------------------------------- on the way to the organisation


async def test_a_swapped_request_is_signed_by_nobody(tmp_path: Path) -> None:
    """The node puts a key of its own where the machine's was: it knows k1, and the binding needs k2."""
    mine = make_key()

    def swap(request: dict[str, Any]) -> dict[str, Any]:
        return {**request, "csr": to_base64url(make_csr(mine, COMPUTER))}

    await _assert_refused_by_organisation(Enrolling(World(tmp_path), as_the_keeper_does, swap))


async def test_a_request_with_another_binding_is_signed_by_nobody(tmp_path: Path) -> None:
    def swap(request: dict[str, Any]) -> dict[str, Any]:
        mac = from_base64url(request["mac"])
        return {**request, "mac": to_base64url(bytes([mac[0] ^ 1]) + mac[1:])}

    await _assert_refused_by_organisation(Enrolling(World(tmp_path), as_the_keeper_does, swap))


async def _assert_refused_by_organisation(enrolling: Enrolling) -> None:
    await _assert_nothing_is_installed(enrolling)
    assert [error.code for error in enrolling.refused] == ["INVITE"]


# ---------------------------------------------------------------- on the way back


def of_another_key(enrolling: Enrolling, _: EnrolmentRequest) -> list[x509.Certificate]:
    """A true certificate of the true organisation, whose key the node holds."""
    return _agent(make_key().public_key(), COMPUTER, enrolling.issuer)


def of_another_organisation(enrolling: Enrolling, request: EnrolmentRequest) -> list[x509.Certificate]:
    """The same name; the node holds its root."""
    return issue(request, issuer_of(Office(enrolling.world.folder / "other")), int(time.time()))


def under_the_organisations_root(enrolling: Enrolling, request: EnrolmentRequest) -> list[x509.Certificate]:
    """Another organisation's chain, and the right root behind it."""
    return [*of_another_organisation(enrolling, request)[:2], enrolling.issuer.root]


def of_the_cluster(enrolling: Enrolling, request: EnrolmentRequest) -> list[x509.Certificate]:
    authority = enrolling.world.cluster.authority
    issuer = DeviceIssuer(authority.certificate, authority.certificate, authority.key)
    return issue(request, issuer, int(time.time()))


def of_a_client(enrolling: Enrolling, request: EnrolmentRequest) -> list[x509.Certificate]:
    """The right key under the other EKU."""
    issuer = enrolling.issuer
    leaf = certify_client(_asked_key(request), issuer.certificate, issuer.key, int(time.time()))
    return [leaf, issuer.certificate, issuer.root]


def of_another_computer(enrolling: Enrolling, request: EnrolmentRequest) -> list[x509.Certificate]:
    """The right key under another SAN."""
    return _agent(_asked_key(request), bytes(10), enrolling.issuer)


def without_root(enrolling: Enrolling, request: EnrolmentRequest) -> list[x509.Certificate]:
    return as_the_keeper_does(enrolling, request)[:2]


def _asked_key(request: EnrolmentRequest) -> Any:
    return x509.load_der_x509_csr(request.csr).public_key()


def _agent(key: Any, computer: bytes, issuer: DeviceIssuer) -> list[x509.Certificate]:
    leaf = certify_agent(key, computer, issuer.certificate, issuer.key, int(time.time()))
    return [leaf, issuer.certificate, issuer.root]


SWAPS: Sequence[Sign] = [
    of_another_key,
    of_another_organisation,
    under_the_organisations_root,
    of_the_cluster,
    of_a_client,
    of_another_computer,
    without_root,
]


@pytest.mark.parametrize("swap", SWAPS)
async def test_a_swapped_chain_is_not_installed(tmp_path: Path, swap: Sign) -> None:
    enrolling = Enrolling(World(tmp_path), swap)
    await _assert_nothing_is_installed(enrolling)
    assert not enrolling.refused


async def _assert_nothing_is_installed(enrolling: Enrolling) -> None:
    async with open_world(enrolling.world):
        with pytest.raises(TelerelayError) as refused:
            await enrolling.run()
    assert refused.value.code == "INVITE"
    assert len(enrolling.requests) == 1
    assert {path.name for path in enrolling.folder.iterdir()} == {KEY_FILE, "enrolment.json"}


async def test_a_node_that_is_not_pinned_is_not_even_asked(tmp_path: Path) -> None:
    """The first bytes hold k1, with which a stranger could ask in this machine's place."""
    world = World(tmp_path)
    enrolling = Enrolling(world, as_the_keeper_does)
    async with open_world(world, node=Cluster(world.folder / "other").node()):
        with pytest.raises(TelerelayError) as refused:
            await enrolling.run()
    assert refused.value.code == "PIN"
    assert not enrolling.requests
