"""Whatever bytes come, a parser takes them or refuses them in its own words; nothing else is raised.

`make fuzz` runs the same with many more examples. The parsers of Rust have their targets in relay_core/fuzz.
"""

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import cbor2
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telerelay.audit import proof
from telerelay.audit.checkpoints import CheckpointRefusedError, verify_checkpoint
from telerelay.audit.records import admit
from telerelay.audit.spool_files import parse as parse_record
from telerelay.audit.verifying import verify
from telerelay.authority.cluster import new_cluster
from telerelay.authority.organisation import new_organisation
from telerelay.authority.signing import sign, sign_computer_document, sign_nodes, sign_revocations, sign_stamp
from telerelay.node.settings import load as load_node_settings
from telerelay.org.journal import Journal
from telerelay_core import CoreError, parse_attempt_id, parse_computer_id
from telerelay_endpoint.certificates import (
    CertificateRefusedError,
    RoleKey,
    encode_certificate,
    parse_certificate,
    parse_chain,
    requested_key,
)
from telerelay_endpoint.credentials import Relay
from telerelay_endpoint.documents import (
    kind_of,
    verify_computer_document,
    verify_nodes,
    verify_revocations,
    verify_stamp,
)
from telerelay_endpoint.enrolment import make_csr
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.invite_keys import InviteKind, InviteTerms, invite_secret
from telerelay_endpoint.keys import make_key
from telerelay_endpoint.lines import ClusterLine, Invite, parse_cluster_line, parse_invite
from telerelay_endpoint.payloads import (
    ComputerDocument,
    ListedNode,
    NodeAddress,
    NodeList,
    RevocationList,
    Stamp,
)
from telerelay_endpoint.strict_cbor import FormRefusedError
from tests.kit.audit import office
from tests.kit.organisations import COMPUTER, COMPUTER_DOCUMENT, NOW, REVOCATIONS, STAMP

ORGANISATION = new_organisation("City", NOW)
ROOT = ORGANISATION.root.certificate
CLUSTER, SUCCESSOR = new_cluster(NOW)
PINS = CLUSTER.pins(SUCCESSOR.public_key())
NODES = NodeList(4, NOW, (ListedNode(NodeAddress("tokyo-1", ("192.0.2.1:8443",)), "telerelay/0.1.0"),))
LINE = ClusterLine((PINS[0], PINS[1]), (NodeAddress("tokyo-1", ("192.0.2.1:8443", "relay.example:443")),))
TERMS = InviteTerms(bytes(16), InviteKind.AGENT, COMPUTER, "総務課 田中", NOW)
INVITE = Invite(bytes(32), LINE, TERMS, invite_secret(bytes(32), bytes(32), TERMS))
RECORD = admit(organisation=bytes(32), action="admitted", reason="合意").encode(office().head(), 1, bytes(16))
CHECKPOINT = sign("application/telerelay-audit-checkpoint+cose", cbor2.dumps({0: "n1"}), office().signer)
EXPORT = proof.header({"organisation": "0" * 64}) + proof.segment(office().head()) + RECORD + b"\n"
JOURNAL = {
    "invite": "AAAAAAAAAAAAAAAAAAAAAA",
    "device": "AAAA",
    "kind": "agent",
    "label": "PC",
    "computer": None,
    "time": NOW,
    "chain": ["AAAA"],
}
RELAY = {
    "schema": "telerelay.relay/1",
    "role": "agent",
    "label": "PC",
    "computer": None,
    "pins": [pin.hex() for pin in PINS],
    "nodes": [["tokyo-1", ["192.0.2.1:8443"]]],
}
DEEP: Final = (b"[" * 5_000, b'{"a":' * 5_000, b"\x81" * 5_000, b"a=" + b"[" * 5_000, b"9" * 5_000)

InFile: TypeAlias = Callable[[Path], object]


@dataclass(frozen=True)
class Parser:
    """`read` takes `seeds` or refuses them with one of `refusals`; nothing else is ever raised."""

    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]


def of_text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda content: read(content.decode("utf-8", "replace"))


def of_file(name: str, read: InFile) -> Callable[[bytes], object]:
    """A parser of a file of that name; the folder is put there by the test."""

    def parse(content: bytes) -> object:
        path = FOLDER[0] / name
        path.write_bytes(content)
        return read(path)

    return parse


FOLDER: Final[list[Path]] = []
PARSERS: Final = {
    "computer ID": Parser(of_text(parse_computer_id), (CoreError,), (b"0410-6105-0R3G-G28A-D",)),
    "attempt ID": Parser(of_text(parse_attempt_id), (CoreError,), (b"7KQ2-M9XB",)),
    "invite": Parser(of_text(parse_invite), (TelerelayError,), (INVITE.format().encode(),)),
    "cluster line": Parser(of_text(parse_cluster_line), (TelerelayError,), (LINE.format().encode(),)),
    "computer document": Parser(
        lambda encoded: verify_computer_document(encoded, ROOT, NOW),
        (TelerelayError,),
        (sign_computer_document(COMPUTER_DOCUMENT, ORGANISATION.signer(RoleKey.POLICY)).encoded,),
    ),
    "stamp": Parser(
        lambda encoded: verify_stamp(encoded, ROOT, NOW),
        (TelerelayError,),
        (sign_stamp(STAMP, ORGANISATION.signer(RoleKey.FRESHNESS)).encoded,),
    ),
    "revocations": Parser(
        lambda encoded: verify_revocations(encoded, ROOT, NOW),
        (TelerelayError,),
        (sign_revocations(REVOCATIONS, ORGANISATION.signer(RoleKey.REVOKER)).encoded,),
    ),
    "node list": Parser(
        lambda encoded: verify_nodes(encoded, PINS, NOW),
        (TelerelayError,),
        (sign_nodes(NODES, CLUSTER.signer).encoded,),
    ),
    "document of any kind": Parser(
        kind_of, (TelerelayError,), (sign_stamp(STAMP, ORGANISATION.signer(RoleKey.FRESHNESS)).encoded,)
    ),
    "payload of a computer document": Parser(
        ComputerDocument.decode, (FormRefusedError,), (COMPUTER_DOCUMENT.encode(),)
    ),
    "payload of a stamp": Parser(Stamp.decode, (FormRefusedError,), (STAMP.encode(),)),
    "payload of revocations": Parser(RevocationList.decode, (FormRefusedError,), (REVOCATIONS.encode(),)),
    "payload of a node list": Parser(NodeList.decode, (FormRefusedError,), (NODES.encode(),)),
    "certificate": Parser(parse_certificate, (CertificateRefusedError,), (encode_certificate(ROOT),)),
    "chain": Parser(parse_chain, (CertificateRefusedError,), (ROOT.public_bytes(Encoding.PEM),)),
    "certificate request": Parser(
        lambda der: requested_key(der, COMPUTER),
        (CertificateRefusedError,),
        (make_csr(make_key(), COMPUTER),),
    ),
    "checkpoint": Parser(
        lambda encoded: verify_checkpoint(encoded, office().ca), (CheckpointRefusedError,), (CHECKPOINT,)
    ),
    "audit record": Parser(lambda line: parse_record(line, "here"), (TelerelayError,), (RECORD,)),
    "audit export": Parser(
        lambda export: verify(export.splitlines(keepends=True), office().ca), (TelerelayError,), (EXPORT,)
    ),
    "keeper's journal": Parser(
        of_file("journal.jsonl", lambda path: Journal(path).entries()),
        (TelerelayError,),
        (json.dumps(JOURNAL).encode() + b"\n",),
    ),
    "relay.json": Parser(
        of_file("relay.json", lambda path: Relay.load(path.parent)),
        (TelerelayError,),
        (json.dumps(RELAY).encode(),),
    ),
    "settings": Parser(
        of_file("node.toml", load_node_settings),
        (TelerelayError,),
        (b'name = "tokyo-1"\nlisten = ["127.0.0.1:0"]\nworkers = 3 # many\n',),
    ),
}


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    FOLDER[:] = [tmp_path_factory.mktemp("parsed")]


@st.composite
def changed(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """One of the seeds with some bytes set, taken away, put in, or doubled."""
    content = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        begin = draw(st.integers(0, len(content)))
        end = min(len(content), begin + draw(st.integers(0, 8)))
        content[begin:end] = draw(st.one_of(st.binary(max_size=8), st.just(bytes(content[begin:end] * 2))))
    return bytes(content)


@pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS.keys())
def test_a_parser_takes_or_refuses_what_it_gets(parser: Parser) -> None:
    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.one_of(changed(parser.seeds), st.binary(max_size=512), st.sampled_from(DEEP)))
    def holds(content: bytes) -> None:
        with contextlib.suppress(*parser.refusals):
            parser.read(content)

    holds()


@pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS.keys())
def test_a_parser_takes_its_own_seeds_or_says_why(parser: Parser) -> None:
    for seed in parser.seeds:
        try:
            parser.read(seed)
        except CheckpointRefusedError:
            assert parser is PARSERS["checkpoint"]
