"""The lines that people carry: what is pasted comes back, and damage is named (PROTOCOL.md §10.1, §10.2)."""

from dataclasses import replace

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.invite_keys import (
    InviteKind,
    InviteTerms,
    admission_hash,
    admission_key,
    invite_secret,
    request_mac,
)
from telerelay_endpoint.lines import (
    CLUSTER_PREFIX,
    INVITE_PREFIX,
    LINE_MAXIMUM,
    ClusterLine,
    Invite,
    from_base64url,
    parse_cluster_line,
    parse_invite,
    to_base64url,
)
from telerelay_endpoint.payloads import NodeAddress

CLUSTER = ClusterLine(
    (bytes([1]) * 32, bytes([2]) * 32),
    (
        NodeAddress("tokyo-1", ("192.0.2.1:8443",)),
        NodeAddress("osaka-1", ("relay.example:443", "[2001:db8::1]:8443")),
    ),
)
MASTER, ORGANISATION = bytes([3]) * 32, bytes([4]) * 32
TERMS = InviteTerms(bytes([5]) * 16, InviteKind.AGENT, bytes([6]) * 10, "総務課 田中", 1_790_000_000)
INVITE = Invite(ORGANISATION, CLUSTER, TERMS, invite_secret(MASTER, ORGANISATION, TERMS))


def test_both_lines_come_back() -> None:
    assert parse_cluster_line(CLUSTER.format()) == CLUSTER
    assert parse_invite(INVITE.format()) == INVITE
    assert parse_invite(f"  {INVITE.format()}\n") == INVITE
    client = replace(INVITE, terms=replace(TERMS, kind=InviteKind.CLIENT, computer=None))
    assert parse_invite(client.format()) == client


def test_a_cluster_line_holds_no_secret() -> None:
    encoded = cbor2.loads(from_base64url(CLUSTER.format().removeprefix(CLUSTER_PREFIX)))
    assert set(encoded) == {0, 1}


def refused(line: str, sentence: str, *, invite: bool = True) -> None:
    with pytest.raises(TelerelayError, match=sentence) as caught:
        parse_invite(line) if invite else parse_cluster_line(line)
    assert caught.value.code == ("INVITE" if invite else "USAGE")
    # What is shown must not give the secret away.
    assert line.removeprefix(INVITE_PREFIX)[-20:] not in caught.value.line("en") or len(line) < 20


def written(change: dict[int, object], prefix: str = INVITE_PREFIX) -> str:
    line = INVITE.format() if prefix == INVITE_PREFIX else CLUSTER.format()
    fields = {**cbor2.loads(from_base64url(line.removeprefix(prefix))), **change}
    fields = {key: value for key, value in fields.items() if value is not None}
    return prefix + to_base64url(cbor2.dumps(fields, canonical=True))


def test_damage_is_named() -> None:
    line = INVITE.format()
    refused("", "does not begin with telerelay-invite:")
    refused(CLUSTER.format(), "does not begin with telerelay-invite:")
    refused(line[:-1], "a character is missing")
    refused(line[:-20], "cannot be read as CBOR|deterministic|a character")
    refused(line[:60] + "!" + line[61:], "does not belong there")
    refused(line[:60] + " " + line[60:], "does not belong there")
    refused(INVITE_PREFIX + "A" * LINE_MAXIMUM, "longer than")
    refused(line, "does not begin with telerelay-cluster:", invite=False)
    refused(CLUSTER.format()[:-2], "a character|CBOR", invite=False)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({9: 1}, "has the key 9"),
        ({8: None}, "lacks the key 8"),
        ({8: bytes(31)}, "secret must be 32 bytes"),
        ({0: bytes(31)}, "organisation must be 32 bytes"),
        ({1: [bytes(32)]}, "pins must be a list"),
        ({2: []}, "nodes must be a list"),
        ({2: [["UPPER", ["192.0.2.1:1"]]]}, "a node name"),
        ({2: [["42", ["192.0.2.1:1"]]]}, "a node name"),
        ({2: [["a", []]]}, "addresses must be a list"),
        ({4: 2}, "kind must be a number from 0 to 1"),
        ({4: 1}, "an agent's invite names a computer"),
        ({5: None}, "an agent's invite names a computer"),
        ({5: bytes(9)}, "computer must be 10 bytes"),
        ({6: "a" * 129}, "label must be text"),
    ],
)
def test_an_invite_that_does_not_fit(change: dict[int, object], sentence: str) -> None:
    refused(written(change), sentence)


def test_a_cluster_line_that_does_not_fit() -> None:
    refused(written({2: 1}, CLUSTER_PREFIX), "has the key 2", invite=False)
    refused(written({0: [bytes(32), bytes(31)]}, CLUSTER_PREFIX), "pin must be 32 bytes", invite=False)


@given(st.text(max_size=80))
def test_whatever_is_pasted(text: str) -> None:
    for line in (text, INVITE_PREFIX + text, CLUSTER_PREFIX + text):
        for parse in (parse_invite, parse_cluster_line):
            with pytest.raises(TelerelayError):
                parse(line)


# ---------------------------------------------------------------- the keys of an invite


def test_what_the_node_shows_gives_the_secret_back() -> None:
    shown = InviteTerms(TERMS.id, InviteKind("agent"), TERMS.computer, "総務課 田中", TERMS.expiry)
    assert invite_secret(MASTER, ORGANISATION, shown) == INVITE.secret


@pytest.mark.parametrize(
    "altered",
    [
        replace(TERMS, id=bytes(16)),
        replace(TERMS, kind=InviteKind.CLIENT),
        replace(TERMS, computer=bytes(10)),
        replace(TERMS, computer=None),
        replace(TERMS, label="総務課 田中 "),
        replace(TERMS, expiry=TERMS.expiry + 1),
    ],
)
def test_what_the_node_alters_gives_another_key(altered: InviteTerms) -> None:
    secret = invite_secret(MASTER, ORGANISATION, altered)
    assert secret != INVITE.secret
    csr = b"the same request"
    right = request_mac(INVITE.secret, csr, ORGANISATION, TERMS.id)
    assert request_mac(secret, csr, ORGANISATION, TERMS.id) != right


def test_the_two_keys_have_nothing_in_common() -> None:
    k1 = admission_key(INVITE.secret)
    assert admission_hash(INVITE.secret) != k1
    assert k1 not in INVITE.secret
    assert len({k1, INVITE.secret, request_mac(INVITE.secret, b"", b"", b"")}) == 3
    # Whoever knows k1, the node, cannot make the MAC with it.
    assert request_mac(k1, b"csr", ORGANISATION, TERMS.id) != request_mac(
        INVITE.secret, b"csr", ORGANISATION, TERMS.id
    )
