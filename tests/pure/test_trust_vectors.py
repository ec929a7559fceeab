"""Documents, lines and keys in the vectors: the product and the independent decoder read them alike."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest

from telerelay_endpoint import cose
from telerelay_endpoint.certificates import parse_certificate
from telerelay_endpoint.documents import (
    Signed,
    verify_computer_document,
    verify_nodes,
    verify_revocations,
    verify_stamp,
)
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.invite_keys import admission_hash, admission_key, invite_secret, request_mac
from telerelay_endpoint.lines import parse_cluster_line, parse_invite
from telerelay_endpoint.payloads import ComputerDocument, NodeList, RevocationList, Stamp
from tests.kit.document_decoder import (
    RefusedError,
    annotate,
    annotate_line,
    invite_keys,
    read_document,
    read_line,
)
from tests.kit.document_decoder import request_mac as mac_of
from tests.kit.vectors import VECTORS, digits, load

Row = tuple[dict[str, Any], dict[str, Any]]


def rows(folder: str, *names: str) -> Iterator[Any]:
    for name in names:
        content = load(VECTORS / folder / f"{name}.json")
        for vector in content["vectors"]:
            yield pytest.param((content, vector), id=f"{name}: {vector['name']}")


GOOD = list(rows("documents", "computer", "stamp", "revocations", "nodes"))
REFUSED = list(rows("documents", "refused"))
LINES = list(rows("lines", "cluster", "invite"))


def verify(kind: str, data: bytes, authority: bytes | list[bytes], now: int, held: bytes | None) -> Any:
    """What the product makes of a document."""
    if not isinstance(authority, bytes):
        return verify_nodes(data, authority, now)
    root = parse_certificate(authority)
    if kind == "computer":
        return verify_computer_document(data, root, now, _held(held, ComputerDocument))
    if kind == "stamp":
        return verify_stamp(data, root, now, _held(held, Stamp))
    return verify_revocations(data, root, now, _held(held, RevocationList))


def _held(encoded: bytes | None, kind: Any) -> Any:
    return Signed(kind.decode(cose.take_apart(encoded).payload), encoded) if encoded else None


def authority(content: dict[str, Any]) -> bytes | list[bytes]:
    return (
        bytes.fromhex(content["root"])
        if "root" in content
        else [bytes.fromhex(pin) for pin in content["pins"]]
    )


def fields(document: ComputerDocument | Stamp | RevocationList | NodeList) -> Any:
    """As the vectors write it."""
    if isinstance(document, NodeList):
        nodes = [{**asdict(listed.node), "program": listed.program} for listed in document.nodes]
        return plain({"version": document.version, "issued": document.issued, "nodes": nodes})
    shown = asdict(document)
    if isinstance(document, RevocationList):
        shown["devices"] = sorted(document.devices)
    return plain(shown)


def plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("row", GOOD)
def test_a_document_is_read_alike(row: Row) -> None:
    content, vector = row
    data, anchor, now = bytes.fromhex(vector["hex"]), authority(content), content["now"]
    assert read_document(data, content["document"], anchor, now) == vector["fields"]
    assert fields(verify(content["document"], data, anchor, now, None).document) == vector["fields"]


@pytest.mark.parametrize("row", GOOD)
def test_annotations_are_the_bytes(row: Row) -> None:
    _, vector = row
    assert digits(vector["annotated"]) == vector["hex"]
    assert annotate(bytes.fromhex(vector["hex"])) == vector["annotated"]


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.parametrize("row", GOOD)
def test_one_flipped_byte_is_no_document(row: Row) -> None:
    content, vector = row
    data, anchor, now = bytes.fromhex(vector["hex"]), authority(content), content["now"]
    for place in range(len(data)):
        flipped = data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]
        with pytest.raises(RefusedError):
            read_document(flipped, content["document"], anchor, now)
        with pytest.raises(TelerelayError):
            verify(content["document"], flipped, anchor, now, None)


@pytest.mark.parametrize("row", REFUSED)
def test_a_refusal_has_its_step_its_code_and_its_sentence(row: Row) -> None:
    content, vector = row
    data, anchor, kind = bytes.fromhex(vector["hex"]), authority(content), vector["document"]
    held = bytes.fromhex(vector["held"]) if vector["held"] else None
    with pytest.raises(RefusedError) as independent:
        read_document(data, kind, anchor, vector["now"], held)
    assert str(independent.value) == vector["error"]
    with pytest.raises(TelerelayError) as caught:
        verify(kind, data, anchor, vector["now"], held)
    assert caught.value.code == vector["code"]
    assert vector["sentence"] in caught.value.detail


def test_every_step_of_the_protocol_has_a_refusal() -> None:
    steps = {row.values[0][1]["error"][0] for row in REFUSED}
    assert steps == set("12345")


@pytest.mark.parametrize("row", LINES)
def test_a_line_is_read_alike(row: Row) -> None:
    content, vector = row
    assert read_line(vector["line"]) == vector["fields"]
    assert digits(vector["annotated"]) == vector["hex"]
    assert annotate_line(bytes.fromhex(vector["hex"])) == vector["annotated"]
    if content["line"] == "cluster":
        cluster = parse_cluster_line(vector["line"])
        assert plain(asdict(cluster)) == vector["fields"]
        assert cluster.format() == vector["line"]
    else:
        invite = parse_invite(vector["line"])
        assert invite.format() == vector["line"]
        shown = plain(asdict(invite))
        assert {**shown.pop("cluster"), **shown.pop("terms"), **shown} == vector["fields"]


@pytest.mark.parametrize("row", list(rows("lines", "invite")))
def test_the_keys_of_an_invite_are_derived_alike(row: Row) -> None:
    content, vector = row
    master, keys, request = bytes.fromhex(content["master"]), vector["keys"], vector["request"]
    invite = parse_invite(vector["line"])
    assert invite_keys(master, vector["fields"]) == keys
    assert (
        invite_secret(master, invite.organisation, invite.terms)
        == invite.secret
        == bytes.fromhex(keys["secret"])
    )
    assert admission_key(invite.secret).hex() == keys["k1"]
    assert admission_hash(invite.secret).hex() == keys["admit"]
    csr = bytes.fromhex(request["csr"])
    assert request_mac(invite.secret, csr, invite.organisation, invite.terms.id).hex() == request["mac"]
    assert mac_of(bytes.fromhex(keys["k2"]), csr, invite.organisation, invite.terms.id) == request["mac"]


@pytest.mark.parametrize("row", list(rows("lines", "refused")))
def test_a_line_that_is_refused(row: Row) -> None:
    _, vector = row
    with pytest.raises(TelerelayError) as caught:
        parse_invite(vector["line"])
    assert caught.value.code == vector["code"]
    assert vector["sentence"] in caught.value.detail
