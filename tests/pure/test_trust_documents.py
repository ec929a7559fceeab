"""Signed documents: what PROTOCOL.md §9 describes is taken, all else refused with its own sentence."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any, Final

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from telerelay.authority.cluster import new_cluster
from telerelay.authority.organisation import new_organisation
from telerelay.authority.signing import (
    Signer,
    sign_computer_document,
    sign_nodes,
    sign_revocations,
    sign_stamp,
)
from telerelay_endpoint import cose
from telerelay_endpoint.certificates import RoleKey
from telerelay_endpoint.documents import (
    CLOCK_LEEWAY_S,
    SIGNERS,
    Clock,
    Kind,
    Signed,
    kind_of,
    require_current,
    verify_computer_document,
    verify_nodes,
    verify_revocations,
    verify_stamp,
)
from telerelay_endpoint.errors import RemoteError, TelerelayError
from telerelay_endpoint.keys import make_key
from telerelay_endpoint.payloads import (
    ComputerDocument,
    Grant,
    ListedNode,
    NodeAddress,
    NodeList,
    Own,
    RevocationList,
    Rules,
    Stamp,
)
from tests.kit.cose import header, sign1
from tests.kit.organisations import COMPUTER_DOCUMENT, NOW, REVOCATIONS, STAMP, with_version
from tests.kit.timetables import timetables

ORGANISATION = new_organisation("City", NOW)
OTHER = new_organisation("City", NOW)
ROOT = ORGANISATION.root.certificate
POLICY = ORGANISATION.signer(RoleKey.POLICY)
FRESHNESS = ORGANISATION.signer(RoleKey.FRESHNESS)
REVOKER = ORGANISATION.signer(RoleKey.REVOKER)
CLUSTER, SUCCESSOR = new_cluster(NOW)
PINS = CLUSTER.pins(SUCCESSOR.public_key())
NODES = NodeList(
    4, NOW, (ListedNode(NodeAddress("tokyo-1", ("192.0.2.1:8443", "[2001:db8::1]:8443")), "telerelay/0.1.0"),)
)
DOCUMENT = sign_computer_document(COMPUTER_DOCUMENT, POLICY)


def refused(verify: Callable[[], object], code: str, sentence: str) -> None:
    """It is refused with this code, and the sentence says why."""
    with pytest.raises(TelerelayError, match=sentence) as caught:
        verify()
    assert caught.value.code == code


def forged(encoded: bytes, sentence: str, code: str = "DOCUMENT") -> None:
    """The bytes do not pass as a computer document."""
    refused(lambda: verify_computer_document(encoded, ROOT, NOW), code, sentence)


# ---------------------------------------------------------------- what is taken


def test_each_kind_comes_back_as_it_was_signed() -> None:
    assert verify_computer_document(DOCUMENT.encoded, ROOT, NOW) == DOCUMENT
    stamp = sign_stamp(STAMP, FRESHNESS)
    assert verify_stamp(stamp.encoded, ROOT, NOW) == stamp
    revocations = sign_revocations(REVOCATIONS, REVOKER)
    assert verify_revocations(revocations.encoded, ROOT, NOW) == revocations
    nodes = sign_nodes(NODES, CLUSTER.signer)
    assert verify_nodes(nodes.encoded, PINS, NOW) == nodes
    kinds = [kind_of(signed.encoded) for signed in (DOCUMENT, stamp, revocations, nodes)]
    assert kinds == [Kind.COMPUTER, Kind.STAMP, Kind.REVOCATIONS, Kind.NODES]


def test_the_hand_made_form_is_the_real_one() -> None:
    encoded = sign1(header(Kind.COMPUTER, POLICY), COMPUTER_DOCUMENT.encode(), POLICY.key)
    assert verify_computer_document(encoded, ROOT, NOW).document == COMPUTER_DOCUMENT


# ---------------------------------------------------------------- step 1: form and header


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({1: -35}, "not ES256"),
        ({1: True}, "not ES256"),
        ({16: 61}, "typ must be text"),
        ({16: "application/telerelay-stamp+cose"}, "its typ is 'application/telerelay-stamp\\+cose'"),
        ({33: [b"a", b"b"]}, "x5chain one certificate"),
        ({33: b"\x30\x00"}, "the certificate cannot be read"),
        ({-70001: b"short"}, "32 bytes"),
        ({-70001: OTHER.organisation}, "another organisation's"),
        ({4: b"kid"}, "nothing else"),
        ({-70001: None}, "nothing else"),
    ],
)
def test_header(change: dict[int, Any], sentence: str) -> None:
    written = {**header(Kind.COMPUTER, POLICY), **change}
    written = {key: value for key, value in written.items() if value is not None}
    forged(sign1(written, COMPUTER_DOCUMENT.encode(), POLICY.key), sentence)


def test_form() -> None:
    payload, good = COMPUTER_DOCUMENT.encode(), header(Kind.COMPUTER, POLICY)
    forged(b"", "cannot be read")
    forged(b"\xff", "no tagged COSE_Sign1")
    forged(DOCUMENT.encoded[1:], "no tagged COSE_Sign1")
    forged(sign1(good, payload, POLICY.key, tag=98), "no tagged COSE_Sign1")
    forged(sign1(good, payload, POLICY.key, unprotected={4: b"kid"}), "unprotected header must be empty")
    forged(DOCUMENT.encoded + b"\0", "deterministic")
    forged(b"\x98\x04".join(DOCUMENT.encoded.split(b"\x84", 1)), "deterministic")
    forged(DOCUMENT.encoded[:-65] + b"\x58\x3f" + DOCUMENT.encoded[-63:], "64 bytes|cannot be read")
    unsorted = cbor2.dumps({16: good[16], 1: -7, 33: good[33], -70001: good[-70001]})
    forged(sign1(unsorted, payload, POLICY.key), "header is not in deterministic CBOR")
    forged(b"\x00" * (cose.MAXIMUM + 1), "more than 1048576")
    forged(sign1(b"\xa0", payload, POLICY.key), "nothing else")
    forged(sign1(cbor2.dumps([]), payload, POLICY.key), "nothing else")


def test_a_kind_never_passes_for_another() -> None:
    signed = {
        Kind.COMPUTER: DOCUMENT.encoded,
        Kind.STAMP: sign_stamp(STAMP, FRESHNESS).encoded,
        Kind.REVOCATIONS: sign_revocations(REVOCATIONS, REVOKER).encoded,
    }
    checks: dict[Kind, Callable[[bytes], object]] = {
        Kind.COMPUTER: lambda encoded: verify_computer_document(encoded, ROOT, NOW),
        Kind.STAMP: lambda encoded: verify_stamp(encoded, ROOT, NOW),
        Kind.REVOCATIONS: lambda encoded: verify_revocations(encoded, ROOT, NOW),
        Kind.NODES: lambda encoded: verify_nodes(encoded, PINS, NOW),
    }
    for kind, encoded in signed.items():
        for wanted, check in checks.items():
            if wanted is not kind:
                refused(lambda check=check, encoded=encoded: check(encoded), "DOCUMENT", "its typ is")  # type: ignore[misc]


# ---------------------------------------------------------------- step 2: the signer's certificate


@pytest.mark.parametrize("role", [role for role in RoleKey if role is not RoleKey.POLICY])
def test_wrong_role_key(role: RoleKey) -> None:
    signer = ORGANISATION.signer(role)
    sentence = (
        "may sign others" if role is RoleKey.ISSUER else f"telerelay-role:{role}, not telerelay-role:policy"
    )
    forged(sign1(header(Kind.COMPUTER, signer), COMPUTER_DOCUMENT.encode(), signer.key), sentence)


def test_certificate_of_another_organisation_under_our_name() -> None:
    foreign = replace(OTHER.signer(RoleKey.POLICY), organisation=ORGANISATION.organisation)
    forged(sign_computer_document(COMPUTER_DOCUMENT, foreign).encoded, "not signed by the key above it")


def test_the_whole_of_another_organisation() -> None:
    foreign = sign_computer_document(COMPUTER_DOCUMENT, OTHER.signer(RoleKey.POLICY))
    forged(foreign.encoded, "another organisation's")


def test_expired_role_certificate_is_stale_not_forged() -> None:
    end = int(POLICY.certificate.not_valid_after_utc.timestamp())
    fresh = sign_computer_document(replace(COMPUTER_DOCUMENT, issued=end, expires=end + 99), POLICY)
    assert verify_computer_document(fresh.encoded, ROOT, end) == fresh
    refused(
        lambda: verify_computer_document(fresh.encoded, ROOT, end + 1), "POLICY_STALE", "certificate expired"
    )


def test_role_uri_beside_another() -> None:
    key, root = make_key(), ORGANISATION.root
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ROOT.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.fromtimestamp(NOW - 60, UTC))
        .not_valid_after(datetime.fromtimestamp(NOW + 60, UTC))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier(f"telerelay-role:{role}") for role in ("policy", "revoker")]
            ),
            critical=True,
        )
        .sign(root.key, SHA256())
    )
    signer = Signer(ORGANISATION.organisation, certificate, key)
    forged(sign_computer_document(COMPUTER_DOCUMENT, signer).encoded, "not telerelay-role:policy")


# ---------------------------------------------------------------- step 3: the signature


def test_signed_by_another_key() -> None:
    forged(sign1(header(Kind.COMPUTER, POLICY), COMPUTER_DOCUMENT.encode(), make_key()), "signature is wrong")


def test_another_payload_under_the_same_signature() -> None:
    tagged = cbor2.loads(DOCUMENT.encoded)
    tagged.value[2] = with_version(COMPUTER_DOCUMENT, 8).encode()
    forged(cbor2.dumps(tagged), "signature is wrong")


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_every_flipped_bit_is_found() -> None:
    for place in range(len(DOCUMENT.encoded)):
        for bit in range(8):
            tampered = bytearray(DOCUMENT.encoded)
            tampered[place] ^= 1 << bit
            with pytest.raises(RemoteError):
                verify_computer_document(bytes(tampered), ROOT, NOW)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_calmly(encoded: bytes) -> None:
    with pytest.raises(TelerelayError) as caught:
        verify_computer_document(encoded, ROOT, NOW)
    assert caught.value.code == "DOCUMENT"


# ---------------------------------------------------------------- step 4: the payload


def with_payload(payload: bytes, sentence: str) -> None:
    forged(sign1(header(Kind.COMPUTER, POLICY), payload, POLICY.key), sentence)


PLAIN: dict[int, Any] = cbor2.loads(COMPUTER_DOCUMENT.encode())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({8: 1}, "has the key 8, which this version does not know"),
        ({5: [{0: bytes(32), 1: "a", 9: True}]}, "has the key 9"),
        ({6: {**PLAIN[6], 14: 1}}, "has the key 14"),
        ({7: None}, "lacks the key 7"),
        ({0: bytes(9)}, "computer must be 10 bytes"),
        ({1: "a" * 32}, "agent must be 32 bytes"),
        ({2: -1}, "version must be a number"),
        ({2: True}, "version must be a number"),
        ({2: 1.0}, "version must be a number"),
        ({3: 2**64}, "issued must be a number|deterministic"),
        ({5: [{0: bytes(32)}]}, "a grant lacks the key 1"),
        ({5: [{0: bytes(32), 1: "a" * 129}]}, "label must be text"),
        ({5: [{0: bytes(32), 1: "田" * 43}]}, "label must be text"),
        ({5: [{0: bytes(32), 1: "a", 2: "now"}]}, "not-before must be a number"),
        ({5: {}}, "grants must be a list"),
        ({5: [PLAIN[5][0]] * 4097}, "grants must be a list of 0 to 4096"),
        ({6: {**PLAIN[6], 0: []}}, "services must be a list"),
        ({6: {**PLAIN[6], 0: ["rfb", "ssh"]}}, "neither rfb nor rdp"),
        ({6: {**PLAIN[6], 0: [["rfb"]]}}, "neither rfb nor rdp"),
        ({6: {**PLAIN[6], 1: 65536}}, "sessions must be a number"),
        ({6: {**PLAIN[6], 4: 1}}, "view-only must be true or false"),
        ({5: [{0: bytes(32), 1: "a", 4: {0: "a", 1: "b"}}]}, "the grant of an own device has no end"),
        ({5: [{0: bytes(32), 1: "a", 3: 9, 4: {0: "a"}}]}, "own lacks the key 1"),
        ({5: [{0: bytes(32), 1: "a", 3: 9, 4: {0: "", 1: "b"}}]}, "approver must be text of 1"),
        ({6: {**PLAIN[6], 5: {0: 841, 1: [[0, 0, 60]]}}}, "UTC offset must be a number"),
        ({6: {**PLAIN[6], 5: {0: 540, 1: []}}}, "spans must be a list of 1"),
        ({6: {**PLAIN[6], 5: {0: 540, 1: [[8, 0, 60]]}}}, "day must be a number from 0 to 7"),
        ({6: {**PLAIN[6], 5: {0: 540, 1: [[0, 60, 60]]}}}, "a span is empty or longer than a day"),
        ({6: {**PLAIN[6], 5: {0: 540, 1: [[0, 0, 1441]]}}}, "a span is empty or longer than a day"),
        ({6: {**PLAIN[6], 5: {0: 540, 1: [[0, 0, 60]], 2: []}}}, "deterministic"),
        ({6: {**PLAIN[6], 6: ["192.0.2.1/24"]}}, "not written as ADDRESS/LENGTH"),
        ({6: {**PLAIN[6], 6: ["192.0.2.1"]}}, "not in its shortest form"),
        ({6: {**PLAIN[6], 7: []}}, "denied networks must be a list of 1"),
        ({6: {**PLAIN[6], 8: [1, 2]}}, "minimum version must be a list"),
        ({6: {**PLAIN[6], 9: [""]}}, "notice must be text of 1"),
        ({6: {**PLAIN[6], 9: ["a"] * 17}}, "notices must be a list of 1 to 16"),
        ({6: {**PLAIN[6], 10: ""}}, "deterministic"),
        ({6: {**PLAIN[6], 11: 2**32}}, "session limit must be a number"),
        ({6: {**PLAIN[6], 12: False}}, "deterministic"),
        ({6: {**PLAIN[6], 13: 1}}, "own devices must be true or false"),
        ({7: b"bytes"}, "label must be text"),
    ],
)
def test_payload(change: dict[int, Any], sentence: str) -> None:
    written = {key: value for key, value in {**PLAIN, **change}.items() if value is not None}
    with_payload(cbor2.dumps(written, canonical=True), sentence)


def test_payload_that_is_not_deterministic() -> None:
    payload = COMPUTER_DOCUMENT.encode()
    with_payload(payload + b"\0", "deterministic")
    with_payload(cbor2.dumps(dict(reversed(PLAIN.items()))), "deterministic")
    # The same key twice: readers would disagree which one counts.
    with_payload(b"\xa9" + payload[1:] + b"\x07\x61a", "deterministic")
    with_payload(b"\xbf" + payload[1:] + b"\xff", "deterministic")
    with_payload(payload.replace(b"\x02\x07", b"\x02\x18\x07", 1), "deterministic")
    with_payload(cbor2.dumps({**PLAIN, 2: cbor2.CBORTag(2, b"\x07")}, canonical=True), "deterministic")
    with_payload(cbor2.dumps([]), "must be a map")
    with_payload(cbor2.dumps({"0": 1}), "integer keys")


def test_a_payload_that_would_unfold_is_not_written_again() -> None:
    # 30 levels of a list that names the one below twice: 2^30 items when written out.
    unfolding: list[Any] = []
    for _ in range(30):
        unfolding = [unfolding, unfolding]
    with_payload(cbor2.dumps({**PLAIN, 5: [unfolding]}, value_sharing=True), "must be a map|must be a list")


def test_revocations_have_one_form() -> None:
    devices = sorted(REVOCATIONS.devices)
    for listed in (list(reversed(devices)), [*devices, devices[-1]]):
        payload = cbor2.dumps({0: 3, 1: NOW, 2: listed}, canonical=True)
        encoded = sign1(header(Kind.REVOCATIONS, REVOKER), payload, REVOKER.key)
        refused(lambda encoded=encoded: verify_revocations(encoded, ROOT, NOW), "DOCUMENT", "deterministic")  # type: ignore[misc]


# ---------------------------------------------------------------- step 5: times and versions


def test_issued_in_the_future() -> None:
    early = NOW - CLOCK_LEEWAY_S
    assert verify_computer_document(DOCUMENT.encoded, ROOT, early) == DOCUMENT
    refused(lambda: verify_computer_document(DOCUMENT.encoded, ROOT, early - 1), "DOCUMENT", "in the future")


def test_expired() -> None:
    last = COMPUTER_DOCUMENT.expires - 1
    assert verify_computer_document(DOCUMENT.encoded, ROOT, last) == DOCUMENT
    refused(lambda: verify_computer_document(DOCUMENT.encoded, ROOT, last + 1), "POLICY_STALE", "it expired")
    stamp = sign_stamp(STAMP, FRESHNESS)
    assert verify_stamp(stamp.encoded, ROOT, STAMP.expires - 1) == stamp
    refused(lambda: verify_stamp(stamp.encoded, ROOT, STAMP.expires), "POLICY_STALE", "it expired")


def test_versions_of_a_computer_document() -> None:
    def verify(document: ComputerDocument) -> Signed[ComputerDocument]:
        return verify_computer_document(sign_computer_document(document, POLICY).encoded, ROOT, NOW, DOCUMENT)

    assert verify_computer_document(DOCUMENT.encoded, ROOT, NOW, DOCUMENT) == DOCUMENT
    assert verify(with_version(COMPUTER_DOCUMENT, 8)).document.version == 8
    refused(lambda: verify(with_version(COMPUTER_DOCUMENT, 6)), "POLICY_STALE", "version 6 is older than 7")
    refused(
        lambda: verify(replace(COMPUTER_DOCUMENT, grants=())), "DOCUMENT", "another one with the version 7"
    )
    refused(
        lambda: verify(replace(COMPUTER_DOCUMENT, computer=bytes(10), version=8)),
        "DOCUMENT",
        "another computer",
    )


def test_versions_of_a_stamp_are_epochs() -> None:
    held = sign_stamp(STAMP, FRESHNESS)

    def verify(stamp: Stamp) -> Signed[Stamp]:
        return verify_stamp(sign_stamp(stamp, FRESHNESS).encoded, ROOT, NOW, held)

    assert verify(replace(STAMP, epoch=NOW + 1)).document.epoch == NOW + 1
    refused(lambda: verify(replace(STAMP, epoch=NOW - 1, document_version=9)), "POLICY_STALE", "older than")
    refused(lambda: verify(replace(STAMP, document_version=9)), "DOCUMENT", "another one with the version")
    refused(lambda: verify(replace(STAMP, computer=bytes(10), epoch=NOW + 1)), "DOCUMENT", "another computer")


def test_a_revocation_list_never_gives_back() -> None:
    held = sign_revocations(REVOCATIONS, REVOKER)

    def verify(version: int, devices: frozenset[bytes]) -> Signed[RevocationList]:
        encoded = sign_revocations(RevocationList(version, NOW, devices), REVOKER).encoded
        return verify_revocations(encoded, ROOT, NOW, held)

    assert verify(4, REVOCATIONS.devices | {bytes(32)}).document.version == 4
    refused(lambda: verify(4, frozenset(list(REVOCATIONS.devices)[:1])), "DOCUMENT", "gives back")
    refused(lambda: verify(2, REVOCATIONS.devices), "POLICY_STALE", "version 2 is older than 3")
    refused(
        lambda: verify(3, REVOCATIONS.devices | {bytes(32)}), "DOCUMENT", "another one with the version 3"
    )


# ---------------------------------------------------------------- node lists


def test_node_list() -> None:
    held = sign_nodes(NODES, CLUSTER.signer)
    other = new_cluster(NOW)[0]

    def verify(nodes: NodeList, signer: Signer) -> Signed[NodeList]:
        return verify_nodes(sign_nodes(nodes, signer).encoded, PINS, NOW, held)

    assert verify(replace(NODES, version=5), CLUSTER.signer).document.version == 5
    refused(lambda: verify(replace(NODES, version=3), CLUSTER.signer), "POLICY_STALE", "older than 4")
    refused(lambda: verify(NODES, other.signer), "DOCUMENT", "another cluster's")
    disguised = replace(other.signer, organisation=CLUSTER.signer.organisation)
    refused(lambda: verify(NODES, disguised), "DOCUMENT", "not the cluster CA's")
    node = CLUSTER.certify_node(CLUSTER.key.public_key(), "tokyo-1", NOW)[0]
    leaf = replace(CLUSTER.signer, certificate=node)
    refused(lambda: verify(NODES, leaf), "DOCUMENT", "not signed by the key above it|may not sign others")
    for bad in ("", "-a", "a-", "A", "a.b", "42", "0x2a", "a" * 64):
        nodes = replace(NODES, nodes=(ListedNode(NodeAddress(bad, ("192.0.2.1:1",)), "p"),))
        refused(lambda nodes=nodes: verify(nodes, CLUSTER.signer), "DOCUMENT", "node name")  # type: ignore[misc]


# ---------------------------------------------------------------- what a verdict stands on


def test_the_three_that_a_verdict_stands_on() -> None:
    stamp, revocations = sign_stamp(STAMP, FRESHNESS), sign_revocations(REVOCATIONS, REVOKER)
    require_current(DOCUMENT, stamp, revocations, NOW)
    refused(lambda: require_current(None, stamp, revocations, NOW), "POLICY_STALE", "no computer document")
    refused(lambda: require_current(DOCUMENT, None, revocations, NOW), "POLICY_STALE", "no freshness stamp")
    refused(lambda: require_current(DOCUMENT, stamp, None, NOW), "POLICY_STALE", "no revocation list")
    newer = sign_stamp(replace(STAMP, document_version=8), FRESHNESS)
    refused(
        lambda: require_current(DOCUMENT, newer, revocations, NOW), "POLICY_STALE", "for document version 8"
    )
    revoked = sign_stamp(replace(STAMP, revocations_version=4), FRESHNESS)
    refused(
        lambda: require_current(DOCUMENT, revoked, revocations, NOW),
        "POLICY_STALE",
        "asks for revocation list 4",
    )
    more = sign_revocations(replace(REVOCATIONS, version=4), REVOKER)
    require_current(DOCUMENT, stamp, more, NOW)
    other = sign_stamp(replace(STAMP, computer=bytes(10)), FRESHNESS)
    refused(lambda: require_current(DOCUMENT, other, revocations, NOW), "DOCUMENT", "another computer")
    refused(
        lambda: require_current(DOCUMENT, stamp, revocations, STAMP.expires),
        "POLICY_STALE",
        "stamp: it expired",
    )


def test_a_grant_holds_in_its_time() -> None:
    always, timed = Grant(bytes(32), "a"), Grant(bytes(32), "a", NOW, NOW + 10)
    assert always.holds(0)
    assert [timed.holds(time) for time in (NOW - 1, NOW, NOW + 9, NOW + 10)] == [False, True, True, False]


def test_the_clock_is_never_earlier_than_what_was_signed() -> None:
    wall = [NOW]
    clock = Clock(lambda: wall[0])
    clock.saw(NOW + 100)
    clock.saw(NOW - 100)
    assert clock.now() == NOW + 100
    wall[0] = NOW + 200
    assert clock.now() == NOW + 200
    wall[0] = 0
    assert clock.now() == NOW + 100


def test_every_kind_but_the_node_list_has_its_signer() -> None:
    assert {kind: role.value for kind, role in SIGNERS.items()} == {
        Kind.COMPUTER: "policy",
        Kind.STAMP: "freshness",
        Kind.REVOCATIONS: "revoker",
    }


LINE: Final = st.text(min_size=1, max_size=32)
NETWORKS: Final = st.lists(st.ip_addresses().map(lambda address: str(ip_network(address))), max_size=3).map(
    tuple
)
TIMETABLES: Final = timetables(st.integers(0, 840), st.integers(0, 2**32 - 1))


@given(
    st.builds(
        ComputerDocument,
        computer=st.binary(min_size=10, max_size=10),
        agent=st.binary(min_size=32, max_size=32),
        version=st.integers(0, 2**64 - 1),
        issued=st.integers(0, 2**64 - 1),
        expires=st.integers(0, 2**64 - 1),
        grants=st.lists(
            st.builds(
                Grant,
                client=st.binary(min_size=32, max_size=32),
                label=st.text(max_size=32),
                not_before=st.none() | st.integers(0, 2**64 - 1),
                not_after=st.none() | st.integers(0, 2**64 - 1),
            )
            | st.builds(
                Grant,
                client=st.just(bytes(32)),
                label=st.just("own"),
                not_after=st.integers(0, 2**64 - 1),
                own=st.builds(Own, approver=LINE, reason=LINE),
            ),
            max_size=4,
        ).map(tuple),
        rules=st.builds(
            Rules,
            services=st.sampled_from([("rfb",), ("rdp",), ("rfb", "rdp")]),
            sessions=st.integers(0, 2**16 - 1),
            resume_limit=st.integers(0, 2**32 - 1),
            idle_timeout=st.integers(0, 2**32 - 1),
            view_only=st.booleans(),
            hours=st.none() | TIMETABLES,
            allowed_networks=NETWORKS,
            denied_networks=NETWORKS,
            minimum_version=st.none() | st.tuples(*[st.integers(0, 2**16 - 1)] * 3),
            notices=st.lists(LINE, max_size=3).map(tuple),
            watermark=st.text(max_size=32),
            session_limit=st.integers(0, 2**32 - 1),
            lock_on_disconnect=st.booleans(),
            own_devices=st.booleans(),
        ),
        label=st.text(max_size=32),
    )
)
def test_a_computer_document_survives_its_form(document: ComputerDocument) -> None:
    assert ComputerDocument.decode(document.encode()) == document
