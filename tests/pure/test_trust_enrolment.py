"""Enrolment through a node that may lie: nothing is signed or believed that the invite does not bear out."""

import json
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from telerelay.authority.devices import DeviceIssuer, EnrolmentRequest, check_request, issue
from telerelay.authority.organisation import new_organisation
from telerelay.authority.profile import certify_agent, certify_client
from telerelay_endpoint import enrolment
from telerelay_endpoint.certificates import Role, encode_certificate
from telerelay_endpoint.credentials import load_credentials
from telerelay_endpoint.enrolment import PENDING_FILE, Pending, check_chain, make_csr, request_body
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.invite_keys import InviteKind, InviteTerms, invite_secret, request_mac
from telerelay_endpoint.keys import create_key_file, key_id, load_key_file, make_key
from telerelay_endpoint.lines import ClusterLine, Invite, from_base64url, to_base64url
from telerelay_endpoint.payloads import NodeAddress
from telerelay_endpoint.terms import current_terms
from tests.kit.fake_node import FakeNode, Json
from tests.kit.organisations import COMPUTER, NOW, issuer_of

ORGANISATION = new_organisation("City", NOW)
ROOT = ORGANISATION.root.certificate
ISSUER = issuer_of(ORGANISATION)
OTHER = new_organisation("City", NOW)
MASTER = bytes([7]) * 32
CLUSTER = ClusterLine((bytes(32), bytes(32)), (NodeAddress("a", ("192.0.2.1:8443",)),))
AGENT_TERMS = InviteTerms(bytes([5]) * 16, InviteKind.AGENT, COMPUTER, "Room 204", NOW + 3600)
CLIENT_TERMS = InviteTerms(bytes([6]) * 16, InviteKind.CLIENT, None, "Tanaka", NOW + 3600)
TERMS = current_terms()
KEY = make_key()


def invite_of(terms: InviteTerms) -> Invite:
    return Invite(
        ORGANISATION.organisation, CLUSTER, terms, invite_secret(MASTER, ORGANISATION.organisation, terms)
    )


def request_of(terms: InviteTerms, key: ec.EllipticCurvePrivateKey = KEY) -> EnrolmentRequest:
    """What an honest machine asks, as an honest node shows it."""
    body = request_body(Pending(invite_of(terms), TERMS.version, TERMS.hash), key)
    return EnrolmentRequest(terms, from_base64url(body["csr"]), from_base64url(body["mac"]))


def refused(act: Callable[[], object], sentence: str) -> None:
    with pytest.raises(TelerelayError, match=sentence) as caught:
        act()
    assert caught.value.code == "INVITE"


# ---------------------------------------------------------------- the organisation's side


@pytest.mark.parametrize("terms", [AGENT_TERMS, CLIENT_TERMS])
def test_an_honest_request_is_taken(terms: InviteTerms) -> None:
    request = request_of(terms)
    assert check_request(request, MASTER, ROOT, NOW) == key_id(KEY.public_key())
    leaf, issuer, root = issue(request, ISSUER, NOW)
    chain = [encode_certificate(certificate) for certificate in (leaf, issuer, root)]
    assert check_chain(invite_of(terms), KEY.public_key(), chain, NOW) == [leaf, issuer, root]


def unsigned(request: EnrolmentRequest, sentence: str, now: int = NOW) -> None:
    refused(lambda: check_request(request, MASTER, ROOT, now), sentence)


def test_a_key_swapped_by_the_node() -> None:
    mine = request_of(CLIENT_TERMS, make_key())
    unsigned(replace(request_of(CLIENT_TERMS), csr=mine.csr), "was not made with this invite")


@pytest.mark.parametrize(
    "altered",
    [
        replace(AGENT_TERMS, kind=InviteKind.CLIENT, computer=None),
        replace(AGENT_TERMS, computer=bytes(10)),
        replace(AGENT_TERMS, label="Room 205"),
        replace(AGENT_TERMS, expiry=NOW + 7200),
        replace(AGENT_TERMS, id=bytes(16)),
    ],
)
def test_terms_altered_by_the_node(altered: InviteTerms) -> None:
    unsigned(replace(request_of(AGENT_TERMS), terms=altered), "was not made with this invite")


def test_the_node_knows_k1_and_gains_nothing() -> None:
    k1 = from_base64url(request_body(Pending(invite_of(CLIENT_TERMS), 1, b""), KEY)["k1"])
    csr = make_csr(make_key(), None)
    mac = request_mac(k1, csr, ORGANISATION.organisation, CLIENT_TERMS.id)
    unsigned(EnrolmentRequest(CLIENT_TERMS, csr, mac), "was not made with this invite")


def test_a_request_for_another_organisation() -> None:
    theirs = invite_secret(MASTER, OTHER.organisation, CLIENT_TERMS)
    csr = make_csr(KEY, None)
    mac = request_mac(theirs, csr, OTHER.organisation, CLIENT_TERMS.id)
    unsigned(EnrolmentRequest(CLIENT_TERMS, csr, mac), "was not made with this invite")


def test_an_expired_invite() -> None:
    unsigned(request_of(CLIENT_TERMS), "expired", CLIENT_TERMS.expiry)
    assert check_request(request_of(CLIENT_TERMS), MASTER, ROOT, CLIENT_TERMS.expiry - 1)


def bound(terms: InviteTerms, csr: bytes) -> EnrolmentRequest:
    """A request of somebody who has the invite, with a CSR of his own making."""
    mac = request_mac(invite_of(terms).secret, csr, ORGANISATION.organisation, terms.id)
    return EnrolmentRequest(terms, csr, mac)


def test_a_request_that_asks_for_more_than_the_invite_gives() -> None:
    unsigned(bound(AGENT_TERMS, make_csr(KEY, bytes(10))), "names another computer")
    unsigned(bound(AGENT_TERMS, make_csr(KEY, None)), "names another computer")
    unsigned(bound(CLIENT_TERMS, make_csr(KEY, COMPUTER)), "names another computer")
    named = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "admin")])
    )
    unsigned(bound(CLIENT_TERMS, named.sign(KEY, SHA256()).public_bytes(Encoding.DER)), "has a subject")
    empty = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    big = ec.generate_private_key(ec.SECP384R1())
    unsigned(bound(CLIENT_TERMS, empty.sign(big, SHA256()).public_bytes(Encoding.DER)), "not P-256")
    dns = empty.add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example")]), critical=False)
    unsigned(bound(CLIENT_TERMS, dns.sign(KEY, SHA256()).public_bytes(Encoding.DER)), "no URI")
    csr = make_csr(KEY, None)
    unsigned(bound(CLIENT_TERMS, csr[:-1] + bytes([csr[-1] ^ 1])), "not signed by its own key|cannot be read")
    unsigned(bound(CLIENT_TERMS, b"\x30\x00"), "cannot be read")


def test_extensions_of_the_request_do_not_reach_the_certificate() -> None:
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    csr = csr.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    request = bound(CLIENT_TERMS, csr.sign(KEY, SHA256()).public_bytes(Encoding.DER))
    check_request(request, MASTER, ROOT, NOW)
    leaf = issue(request, ISSUER, NOW)[0]
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


# ---------------------------------------------------------------- the endpoint's side


def chain_of(leaf: x509.Certificate, issuer: DeviceIssuer = ISSUER) -> list[bytes]:
    return [encode_certificate(certificate) for certificate in (leaf, issuer.certificate, issuer.root)]


def test_a_chain_that_the_invite_did_not_promise() -> None:
    mine = KEY.public_key()
    agent = certify_agent(mine, COMPUTER, ISSUER.certificate, ISSUER.key, NOW)
    client = certify_client(mine, ISSUER.certificate, ISSUER.key, NOW)
    elsewhere = certify_agent(mine, bytes(10), ISSUER.certificate, ISSUER.key, NOW)
    foreign = issuer_of(OTHER)
    cases = [
        ([], "0 certificates"),
        (chain_of(agent)[:2], "2 certificates"),
        ([b"", *chain_of(agent)[1:]], "cannot be read"),
        (
            chain_of(certify_agent(mine, COMPUTER, foreign.certificate, foreign.key, NOW), foreign),
            "another organisation",
        ),
        (
            [
                *chain_of(certify_agent(mine, COMPUTER, foreign.certificate, foreign.key, NOW), foreign)[:2],
                chain_of(agent)[2],
            ],
            "not signed",
        ),
        (
            chain_of(certify_agent(make_key().public_key(), COMPUTER, ISSUER.certificate, ISSUER.key, NOW)),
            "another key",
        ),
        (chain_of(client), "another role or computer"),
        (chain_of(elsewhere), "another role or computer"),
    ]
    for chain, sentence in cases:
        refused(lambda chain=chain: check_chain(invite_of(AGENT_TERMS), mine, chain, NOW), sentence)  # type: ignore[misc]
    assert check_chain(invite_of(AGENT_TERMS), mine, chain_of(agent), NOW)[0] == agent


# ---------------------------------------------------------------- both, through a node


@dataclass
class Stage:
    """A node that knows one invite, the folder of a machine, and the organisation behind the node."""

    node: FakeNode
    folder: Path
    invite: Invite

    def begin(self, role: Role = Role.CLIENT) -> Pending:
        return enrolment.begin(self.folder, self.invite, role, TERMS, int(time.time()))

    def finish(self, waiting: Callable[[], None] = lambda: None) -> None:
        pending = Pending.load(self.folder)
        assert pending is not None
        enrolment.finish(
            self.folder, pending, lambda _cluster: self.node.opener(), lambda: int(time.time()), waiting
        )

    @contextmanager
    def answer(self, approve: Callable[[EnrolmentRequest], Json]) -> Iterator[None]:
        """The organisation answers the first request that the node shows."""

        def wait() -> None:
            with self.node.changed:
                assert self.node.changed.wait_for(lambda: bool(self.node.requests), 10)
            (request,) = self.node.requests.values()
            csr, mac = from_base64url(request["csr"]), from_base64url(request["mac"])
            answer = approve(EnrolmentRequest(self.invite.terms, csr, mac))
            with self.node.changed:
                self.node.answers[request["id"]] = answer
                self.node.changed.notify_all()

        thread = threading.Thread(target=wait)
        thread.start()
        try:
            yield
        finally:
            thread.join()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    terms = replace(CLIENT_TERMS, expiry=int(time.time()) + 60)
    invite = Invite(
        ORGANISATION.organisation, CLUSTER, terms, invite_secret(MASTER, ORGANISATION.organisation, terms)
    )
    node = FakeNode(ORGANISATION.organisation)
    node.invites[to_base64url(terms.id)] = {
        "id": to_base64url(terms.id),
        "kind": terms.kind,
        "label": terms.label,
    }
    return Stage(node, tmp_path / "client", invite)


def approve(request: EnrolmentRequest) -> Json:
    now = int(time.time())
    check_request(request, MASTER, ROOT, now)
    return {"chain": [to_base64url(encode_certificate(made)) for made in issue(request, ISSUER, now)]}


def test_a_machine_enrols(stage: Stage) -> None:
    stage.begin()
    with stage.answer(approve):
        stage.finish()
    credentials = load_credentials(stage.folder, int(time.time()))
    assert credentials.organisation == ORGANISATION.organisation
    assert credentials.relay.role is Role.CLIENT
    assert credentials.relay.cluster == CLUSTER
    assert credentials.relay.label == "Tanaka"
    assert credentials.device == key_id(load_key_file(stage.folder / "device.key").public_key())
    names = {path.name: stat.S_IMODE(path.stat().st_mode) for path in stage.folder.iterdir()}
    assert names == {"device.key": 0o600, "chain.pem": 0o644, "root.pem": 0o644, "relay.json": 0o644}
    assert stat.S_IMODE(stage.folder.stat().st_mode) == 0o700
    # An endpoint never sends its root: it is not in what Rust takes as the chain.
    assert len(credentials.chain) == 2


def test_the_body_is_what_the_protocol_says(stage: Stage) -> None:
    body = request_body(stage.begin(), KEY)
    assert set(body) == {"id", "k1", "csr", "mac", "terms"}
    assert body["terms"] == {"version": TERMS.version, "hash": to_base64url(TERMS.hash)}
    assert to_base64url(stage.invite.secret) not in json.dumps(body)


def test_the_pending_file_is_private(stage: Stage) -> None:
    stage.begin()
    pending = stage.folder / PENDING_FILE
    assert stat.S_IMODE(pending.stat().st_mode) == 0o600
    pending.chmod(0o640)
    with pytest.raises(TelerelayError, match="others may read it"):
        Pending.load(stage.folder)


class InterruptedOnceError(Exception):
    """Stands for Ctrl-C."""


@pytest.mark.parametrize("where", ["before the request", "while waiting", "after the answer"])
def test_interrupted_and_resumed_with_the_same_key(stage: Stage, where: str) -> None:
    def interrupt(*_: object) -> None:
        raise InterruptedOnceError

    stage.begin()
    key = (stage.folder / "device.key").read_bytes()
    if where == "before the request":
        stage.node.failures = ["refuse"]
        with pytest.raises(TelerelayError, match="no node"):
            stage.finish()
    elif where == "while waiting":
        with pytest.raises(InterruptedOnceError):
            stage.finish(interrupt)
    else:
        (stage.folder / "relay.json").mkdir()  # the last step of all fails
        with stage.answer(approve), pytest.raises(OSError, match="directory"):
            stage.finish()
        (stage.folder / "relay.json").rmdir()
    pending = Pending.load(stage.folder)
    assert pending is not None
    enrolment.begin(stage.folder, pending.invite, Role.CLIENT, TERMS, int(time.time()))
    with stage.answer(approve):
        stage.finish()
    assert (stage.folder / "device.key").read_bytes() == key
    assert load_credentials(stage.folder, int(time.time())).relay.role is Role.CLIENT
    assert not (stage.folder / PENDING_FILE).exists()


def test_a_node_that_breaks_connections(stage: Stage) -> None:
    stage.begin()
    stage.node.failures = ["cut"]
    with stage.answer(approve):
        stage.finish()
    assert load_credentials(stage.folder, int(time.time())).relay.role is Role.CLIENT


@pytest.mark.parametrize(
    ("lie", "sentence"),
    [
        (lambda _answer: {"chain": "all of it"}, "cannot be read"),
        (lambda _answer: {"chain": [1, 2, 3]}, "cannot be read"),
        (lambda answer: {"chain": answer["chain"][:2]}, "2 certificates"),
    ],
)
def test_a_node_that_alters_the_answer(stage: Stage, lie: Callable[[Json], Json], sentence: str) -> None:
    stage.begin()
    stage.node.shown_chain = lie
    with stage.answer(approve), pytest.raises(TelerelayError, match=sentence):
        stage.finish()
    assert not (stage.folder / "chain.pem").exists()
    assert not (stage.folder / "relay.json").exists()


def test_refused_by_the_organisation(stage: Stage) -> None:
    stage.begin()
    with stage.answer(lambda _request: {"refuse": "INVITE"}):
        refused(stage.finish, "INVITE")


def test_unknown_to_the_node(stage: Stage) -> None:
    stage.node.invites.clear()
    stage.begin()
    refused(stage.finish, "unknown")


def test_the_organisation_answers_too_late(stage: Stage) -> None:
    pending = stage.begin()
    clock = iter([0, 10**11])
    with pytest.raises(TelerelayError, match="before the organisation answered") as caught:
        enrolment.finish(
            stage.folder, pending, lambda _: stage.node.opener(), lambda: next(clock, 10**11), lambda: None
        )
    assert caught.value.code == "INVITE"


def test_what_is_refused_before_a_byte_is_sent(stage: Stage) -> None:
    refused(lambda: stage.begin(Role.AGENT), "it is meant for the client, this is the agent")
    late = stage.invite.terms.expiry
    refused(lambda: enrolment.begin(stage.folder, stage.invite, Role.CLIENT, TERMS, late), "it expired")
    assert stage.node.served == []
    stage.begin()
    with stage.answer(approve):
        stage.finish()
    with pytest.raises(TelerelayError, match="enrolled already") as caught:
        stage.begin()
    assert caught.value.code == "USAGE"


def test_a_key_that_others_may_read_is_not_used(stage: Stage) -> None:
    stage.folder.mkdir()
    create_key_file(stage.folder / "device.key")
    (stage.folder / "device.key").chmod(0o644)
    stage.begin()
    with pytest.raises(TelerelayError, match="others may read it") as caught:
        stage.finish()
    assert caught.value.code == "KEY_FILE"
    assert stage.node.served == []
