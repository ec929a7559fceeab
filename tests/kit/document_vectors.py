"""Writes relay_core/spec/vectors/documents and lines: `python -m tests.kit.document_vectors`.

Made by the product's own authority, with keys that nobody keeps, so each run writes other bytes. What a
vector means is read from it by the independent decoder; the tests hold both readers against the files.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2

from telerelay.authority.cluster import new_cluster
from telerelay.authority.organisation import new_organisation
from telerelay.authority.signing import (
    sign_computer_document,
    sign_nodes,
    sign_revocations,
    sign_stamp,
)
from telerelay_endpoint.certificates import RoleKey, encode_certificate
from telerelay_endpoint.documents import Kind
from telerelay_endpoint.enrolment import make_csr
from telerelay_endpoint.invite_keys import InviteKind, InviteTerms, invite_secret, request_mac
from telerelay_endpoint.keys import make_key
from telerelay_endpoint.lines import INVITE_PREFIX, ClusterLine, Invite, from_base64url, to_base64url
from telerelay_endpoint.payloads import ListedNode, NodeAddress, NodeList
from tests.kit.cose import header, sign1
from tests.kit.document_decoder import annotate, annotate_line, invite_keys, read_document, read_line
from tests.kit.organisations import (
    COMPUTER,
    COMPUTER_DOCUMENT,
    NOW,
    OWN_GRANT,
    REVOCATIONS,
    STAMP,
    STRICT_RULES,
    with_version,
)
from tests.kit.vectors import VECTORS

NODES = NodeList(
    version=2,
    issued=NOW,
    nodes=(
        ListedNode(NodeAddress("tokyo-1", ("192.0.2.1:8443", "[2001:db8::1]:8443")), "telerelay/0.1.0"),
        ListedNode(NodeAddress("osaka-1", ("relay.example:443",)), "telerelay/0.1.0"),
    ),
)


class _Documents:
    def __init__(self) -> None:
        self.organisation = new_organisation("City of Example", NOW)
        self.other = new_organisation("City of Example", NOW)
        self.cluster, successor = new_cluster(NOW)
        self.pins = self.cluster.pins(successor.public_key())
        self.root = encode_certificate(self.organisation.root.certificate)
        self.policy = self.organisation.signer(RoleKey.POLICY)
        self.freshness = self.organisation.signer(RoleKey.FRESHNESS)
        self.revoker = self.organisation.signer(RoleKey.REVOKER)

    def good(self) -> dict[str, dict[str, Any]]:
        """File name and content of what must be read."""
        empty = replace(
            COMPUTER_DOCUMENT, grants=(), label="", rules=replace(COMPUTER_DOCUMENT.rules, view_only=True)
        )
        strict = replace(COMPUTER_DOCUMENT, grants=(OWN_GRANT,), rules=STRICT_RULES)
        nobody = replace(REVOCATIONS, version=1, devices=frozenset())
        return {
            "computer": self._file(
                Kind.COMPUTER,
                {
                    "two grants": sign_computer_document(COMPUTER_DOCUMENT, self.policy).encoded,
                    "no grant": sign_computer_document(empty, self.policy).encoded,
                    "every rule": sign_computer_document(strict, self.policy).encoded,
                },
            ),
            "stamp": self._file(Kind.STAMP, {"stamp": sign_stamp(STAMP, self.freshness).encoded}),
            "revocations": self._file(
                Kind.REVOCATIONS,
                {
                    "two devices": sign_revocations(REVOCATIONS, self.revoker).encoded,
                    "nobody": sign_revocations(nobody, self.revoker).encoded,
                },
            ),
            "nodes": self._file(Kind.NODES, {"two nodes": sign_nodes(NODES, self.cluster.signer).encoded}),
        }

    def refused(self) -> dict[str, Any]:
        """Each way to be no document of ours."""
        good = sign_computer_document(COMPUTER_DOCUMENT, self.policy).encoded
        payload, head = COMPUTER_DOCUMENT.encode(), header(Kind.COMPUTER, self.policy)
        plain: dict[int, Any] = cbor2.loads(payload)
        foreign = self.other.signer(RoleKey.POLICY)
        under_our_name = replace(foreign, organisation=self.policy.organisation)
        stamp = sign_stamp(STAMP, self.freshness).encoded
        tampered = cbor2.loads(good)
        tampered.value[2] = with_version(COMPUTER_DOCUMENT, 8).encode()
        older = sign_computer_document(with_version(COMPUTER_DOCUMENT, 6), self.policy).encoded
        again = sign_computer_document(replace(COMPUTER_DOCUMENT, grants=()), self.policy).encoded
        fewer = replace(REVOCATIONS, version=4, devices=frozenset(list(REVOCATIONS.devices)[:1]))
        late = {"now": COMPUTER_DOCUMENT.expires}
        rows: list[tuple[str, str, str, str, bytes, dict[str, Any]]] = [
            ("trailing byte", "1 form", "DOCUMENT", "deterministic", good + b"\0", {}),
            ("untagged", "1 form", "DOCUMENT", "no tagged COSE_Sign1", good[1:], {}),
            (
                "unprotected header",
                "1 form",
                "DOCUMENT",
                "unprotected header must be empty",
                sign1(head, payload, self.policy.key, unprotected={4: b"k"}),
                {},
            ),
            (
                "header with a kid",
                "1 header",
                "DOCUMENT",
                "nothing else",
                sign1({**head, 4: b"k"}, payload, self.policy.key),
                {},
            ),
            (
                "header without typ",
                "1 header",
                "DOCUMENT",
                "nothing else",
                sign1({key: value for key, value in head.items() if key != 16}, payload, self.policy.key),
                {},
            ),
            (
                "another algorithm",
                "1 header",
                "DOCUMENT",
                "not ES256",
                sign1({**head, 1: -35}, payload, self.policy.key),
                {},
            ),
            ("a stamp for a computer document", "1 typ", "DOCUMENT", "its typ is", stamp, {}),
            (
                "another organisation's",
                "1 organisation",
                "DOCUMENT",
                "another organisation's",
                sign_computer_document(COMPUTER_DOCUMENT, foreign).encoded,
                {},
            ),
            (
                "another organisation's key under our name",
                "2 not under the root",
                "DOCUMENT",
                "not signed by the key above it",
                sign_computer_document(COMPUTER_DOCUMENT, under_our_name).encoded,
                {},
            ),
            (
                "signed by the revoker",
                "2 role",
                "DOCUMENT",
                "not telerelay-role:policy",
                sign1(header(Kind.COMPUTER, self.revoker), payload, self.revoker.key),
                {},
            ),
            (
                "another payload under the signature",
                "3 signature",
                "DOCUMENT",
                "signature is wrong",
                cbor2.dumps(tampered),
                {},
            ),
            (
                "another key's signature",
                "3 signature",
                "DOCUMENT",
                "signature is wrong",
                sign1(head, payload, make_key()),
                {},
            ),
            (
                "an unknown key",
                "4 payload",
                "DOCUMENT",
                "which this version does not know",
                sign1(head, cbor2.dumps({**plain, 8: 1}, canonical=True), self.policy.key),
                {},
            ),
            (
                "an unknown key in the rules",
                "4 payload",
                "DOCUMENT",
                "which this version does not know",
                sign1(head, cbor2.dumps({**plain, 6: {**plain[6], 14: 1}}, canonical=True), self.policy.key),
                {},
            ),
            (
                "a missing key",
                "4 payload",
                "DOCUMENT",
                "lacks the key 7",
                sign1(
                    head,
                    cbor2.dumps({key: value for key, value in plain.items() if key != 7}, canonical=True),
                    self.policy.key,
                ),
                {},
            ),
            (
                "keys out of order",
                "4 payload",
                "DOCUMENT",
                "deterministic",
                sign1(head, cbor2.dumps(dict(reversed(plain.items()))), self.policy.key),
                {},
            ),
            (
                "a key twice",
                "4 payload",
                "DOCUMENT",
                "deterministic",
                sign1(head, b"\xa9" + payload[1:] + b"\x07\x61a", self.policy.key),
                {},
            ),
            (
                "a number in a longer form",
                "4 payload",
                "DOCUMENT",
                "deterministic",
                sign1(head, payload.replace(b"\x02\x07", b"\x02\x18\x07", 1), self.policy.key),
                {},
            ),
            ("issued in the future", "5 future", "DOCUMENT", "in the future", good, {"now": NOW - 301}),
            ("expired", "5 expired", "POLICY_STALE", "it expired", good, late),
            (
                "older than what is held",
                "5 older",
                "POLICY_STALE",
                "version 6 is older than 7",
                older,
                {"held": good},
            ),
            (
                "the same version with other bytes",
                "5 same version",
                "DOCUMENT",
                "another one with the version 7",
                again,
                {"held": good},
            ),
            (
                "a list that gives back",
                "5 gives back",
                "DOCUMENT",
                "gives back",
                sign_revocations(fewer, self.revoker).encoded,
                {"held": sign_revocations(REVOCATIONS, self.revoker).encoded, "document": "revocations"},
            ),
        ]
        return {
            "root": self.root.hex(),
            "vectors": [_refused_row(row) for row in rows],
        }

    def _file(self, kind: Kind, documents: dict[str, bytes]) -> dict[str, Any]:
        nodes = kind is Kind.NODES
        authority: dict[str, Any] = (
            {"pins": [pin.hex() for pin in self.pins]} if nodes else {"root": self.root.hex()}
        )
        anchor = self.pins if nodes else self.root
        vectors = [
            {
                "name": name,
                "fields": read_document(data, kind, anchor, NOW),
                "hex": data.hex(),
                "annotated": annotate(data),
            }
            for name, data in documents.items()
        ]
        return {"document": kind, **authority, "now": NOW, "vectors": vectors}


def _refused_row(row: tuple[str, str, str, str, bytes, dict[str, Any]]) -> dict[str, Any]:
    name, error, code, sentence, data, more = row
    held = more.get("held")
    return {
        "name": name,
        "document": more.get("document", "computer"),
        "error": error,
        "code": code,
        "sentence": sentence,
        "now": more.get("now", NOW),
        "held": held.hex() if held else None,
        "hex": data.hex(),
    }


def _lines() -> dict[str, dict[str, Any]]:
    cluster = ClusterLine(
        (bytes(range(32)), bytes(range(32, 64))), (NODES.nodes[0].node, NODES.nodes[1].node)
    )
    organisation, master = bytes(range(64, 96)), bytes(range(96, 128))
    invites = {
        "agent": InviteTerms(bytes(range(16)), InviteKind.AGENT, COMPUTER, "総務課 204", NOW),
        "client": InviteTerms(bytes(range(16, 32)), InviteKind.CLIENT, None, "", NOW + 86_400),
    }
    return {
        "cluster": {"line": "cluster", "vectors": [_line_vector("two nodes", cluster.format())]},
        "invite": {
            "line": "invite",
            "master": master.hex(),
            "vectors": [
                _invite_vector(
                    name,
                    master,
                    Invite(organisation, cluster, terms, invite_secret(master, organisation, terms)),
                )
                for name, terms in invites.items()
            ],
        },
        "refused": {
            "line": "invite",
            "vectors": _refused_invites(cluster, organisation, master, invites["agent"]),
        },
    }


def _line_vector(name: str, line: str) -> dict[str, Any]:
    data = from_base64url(line.partition(":")[2])
    return {
        "name": name,
        "line": line,
        "fields": read_line(line),
        "hex": data.hex(),
        "annotated": annotate_line(data),
    }


def _invite_vector(name: str, master: bytes, invite: Invite) -> dict[str, Any]:
    csr = make_csr(make_key(), invite.terms.computer)
    vector = _line_vector(name, invite.format())
    mac = request_mac(invite.secret, csr, invite.organisation, invite.terms.id).hex()
    return {
        **vector,
        "keys": invite_keys(master, vector["fields"]),
        "request": {"csr": csr.hex(), "mac": mac},
    }


def _refused_invites(
    cluster: ClusterLine, organisation: bytes, master: bytes, terms: InviteTerms
) -> list[dict[str, Any]]:
    line = Invite(organisation, cluster, terms, invite_secret(master, organisation, terms)).format()
    plain = cbor2.loads(from_base64url(line.removeprefix(INVITE_PREFIX)))

    def with_change(change: dict[int, Any]) -> str:
        fields = {key: value for key, value in {**plain, **change}.items() if value is not None}
        return INVITE_PREFIX + to_base64url(cbor2.dumps(fields, canonical=True))

    rows = [
        ("a cluster line", cluster.format(), "does not begin with telerelay-invite:"),
        ("cut off", line[:-1], "a character is missing"),
        ("padded", line + "=", "does not belong there"),
        ("a character of the other base64", line[:40] + "+" + line[41:], "does not belong there"),
        ("an unknown key", with_change({9: 1}), "has the key 9"),
        ("no secret", with_change({8: None}), "lacks the key 8"),
        ("a client's with a computer", with_change({4: 1}), "an agent's invite names a computer"),
        ("an agent's without a computer", with_change({5: None}), "an agent's invite names a computer"),
    ]
    return [
        {"name": name, "line": bad, "code": "INVITE", "sentence": sentence} for name, bad, sentence in rows
    ]


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _main() -> None:
    documents = _Documents()
    for name, content in {**documents.good(), "refused": documents.refused()}.items():
        _write(VECTORS / "documents" / f"{name}.json", content)
    for name, content in _lines().items():
        _write(VECTORS / "lines" / f"{name}.json", content)


if __name__ == "__main__":
    _main()
