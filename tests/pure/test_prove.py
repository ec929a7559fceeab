"""What `telerelay prove` makes of its tries, and what it says by hand, without a desktop."""

import asyncio
import json
import random
import re
import ssl
from dataclasses import replace
from pathlib import Path
from struct import pack
from typing import Any

import pytest
import typer
from PIL import Image

from telerelay.authority.organisation import new_organisation
from telerelay.authority.profile import certify_agent, certify_client
from telerelay.authority.signing import Signer, sign
from telerelay.cli.prove import _conclude
from telerelay.prove import messages
from telerelay.prove.foreign import found_foreign
from telerelay.prove.ground import Asked, Ground
from telerelay.prove.hello import Offer, client_hello, read_reply, record_length
from telerelay.prove.messages import Clipboard
from telerelay.prove.page import verdict_of
from telerelay.prove.report import TYP, check, record, write
from telerelay.prove.requirements import REQUIREMENTS
from telerelay.prove.run import Proof, Result, choose
from telerelay.prove.trial import Try
from telerelay.prove.tries import CATALOGUE
from telerelay.prove.verdicts import NotTestedError, Outcome, Said, Verdict, passed
from telerelay.prove.watch import Marker
from telerelay_endpoint.certificates import Role, RoleKey, format_chain
from telerelay_endpoint.console import Console, rfc3339
from telerelay_endpoint.credentials import KEY_FILE, Credentials, Relay
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.keys import load_key_file, make_key, write_key_file
from telerelay_endpoint.lines import ClusterLine
from tests.kit.hostile.node import handshake

NOW = 1_795_000_000
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


async def _nothing(_ground: Ground) -> Verdict:
    return passed("nothing", "なし")


def tried(*outcomes: tuple[Outcome, bool], requirements: tuple[int, ...] = (1,)) -> Proof:
    """A run with these outcomes, each of an essential try or not."""
    results = [
        Result(
            Try(f"try-{number}", requirements, Said("tried", "試験"), _nothing, essential),
            Verdict(outcome, Said("seen", "結果")),
            0.1,
        )
        for number, (outcome, essential) in enumerate(outcomes)
    ]
    return Proof(Asked("0000-0000-0000-0000-0"), NOW, tuple(results))


# ---------------------------------------------------------------- the catalogue


def test_every_try_has_a_name_of_its_own_requirements_and_two_languages() -> None:
    names = [one.id for one in CATALOGUE]
    assert len(set(names)) == len(names)
    for one in CATALOGUE:
        assert one.requirements
        assert set(one.requirements) <= REQUIREMENTS.keys()
        assert JAPANESE.search(one.sentence.ja), one.id
        assert not JAPANESE.search(one.sentence.en), one.id


def test_every_requirement_is_there_in_two_languages() -> None:
    assert list(REQUIREMENTS) == list(range(1, 41))
    for one in REQUIREMENTS.values():
        assert JAPANESE.search(one.title.ja)
        assert JAPANESE.search(one.untested.ja)


def test_only_takes_names_and_families() -> None:
    assert [one.id for one in choose("keys")] == ["keys"]
    assert {one.id.split("-")[0] for one in choose("files,clipboard")} == {"files", "clipboard"}
    assert choose(None) == list(CATALOGUE)
    with pytest.raises(TelerelayError, match="--only clip: no try"):
        choose("keys,clip")


# ---------------------------------------------------------------- what a run comes to

PASS, FAIL, NOT = Outcome.PASS, Outcome.FAIL, Outcome.NOT_TESTED


@pytest.mark.parametrize(
    ("outcomes", "guarded", "requirement"),
    [
        ([(PASS, True), (PASS, False)], True, PASS),
        ([(PASS, True), (NOT, False)], True, PASS),
        ([(PASS, True), (NOT, True)], False, NOT),
        ([(PASS, True), (FAIL, False)], False, FAIL),
        ([(FAIL, True), (NOT, True)], False, FAIL),
        ([(NOT, False)], False, NOT),
        ([], False, NOT),
    ],
)
def test_guarded_is_what_nothing_speaks_against_and_nothing_essential_is_missing_of(
    outcomes: list[tuple[Outcome, bool]], guarded: object, requirement: Outcome
) -> None:
    proof = tried(*outcomes)
    assert proof.guarded is guarded
    assert proof.findings()[0].outcome is requirement
    # No try was about it.
    assert proof.findings()[39].outcome is NOT


def test_a_part_of_the_tries_proves_nothing(credentials: Credentials) -> None:
    whole = tried((PASS, True))
    part = replace(whole, left_out=(whole.results[0].tried,))
    assert (whole.is_well, whole.guarded) == (True, True)
    assert (part.is_well, part.guarded) == (True, False)
    assert part.findings()[0].outcome is NOT
    outcome, sentence = verdict_of(record(part, credentials))
    assert (outcome, "--only" in sentence.en) == (NOT, True)
    # Those that nothing rests on may be left out.
    lesser = replace(whole.results[0].tried, essential=False)
    assert replace(whole, left_out=(lesser,)).findings()[0].outcome is PASS


# ---------------------------------------------------------------- the report


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return enrolled(tmp_path, Role.CLIENT, NOW)


def enrolled(home: Path, role: Role, now: int) -> Credentials:
    """A device of this role, enrolled at that time (Unix seconds)."""
    folder = home / str(role)
    folder.mkdir()
    organisation = new_organisation("Kitamachi", now)
    issuer, key = organisation.roles[RoleKey.ISSUER], make_key()
    write_key_file(folder / KEY_FILE, key)
    by_issuer = (issuer.certificate, issuer.key, now)
    leaf = (
        certify_client(key.public_key(), *by_issuer)
        if role is Role.CLIENT
        else certify_agent(key.public_key(), bytes(10), *by_issuer)
    )
    relay = Relay(role, ClusterLine((bytes(32), bytes(32)), ()), "auditor")
    return Credentials(folder, relay, (leaf, issuer.certificate), organisation.root.certificate)


def test_what_others_said_cannot_write_into_the_page(credentials: Credentials, tmp_path: Path) -> None:
    hostile = '<script src="https://example.net"></script>&"'
    result = Result(CATALOGUE[0], passed(hostile, hostile + "結果", hostile), 0.1)
    proof = Proof(Asked("0000-0000-0000-0000-0"), NOW, (result,))
    write(tmp_path / "out", record(proof, credentials), credentials)
    page = (tmp_path / "out" / "prove.html").read_text()
    assert "<script" not in page
    assert "&lt;script src=&quot;https://example.net&quot;&gt;" in page
    assert "default-src 'none'" in page


def test_a_report_is_taken_from_its_own_organisation_only(credentials: Credentials, tmp_path: Path) -> None:
    reported = record(tried((PASS, True)), credentials)
    write(tmp_path / "out", reported, credentials)
    assert check(tmp_path / "out", credentials.root) == reported
    other = new_organisation("Minamimachi", NOW).root.certificate
    with pytest.raises(TelerelayError, match="no report of this organisation"):
        check(tmp_path / "out", other)
    signed = tmp_path / "out" / "prove.cose"
    signed.write_bytes(signed.read_bytes()[:-1] + b"\0")
    with pytest.raises(TelerelayError, match="signature"):
        check(tmp_path / "out", credentials.root)


def test_a_report_is_by_the_client_that_it_names(credentials: Credentials, tmp_path: Path) -> None:
    reported = record(tried((PASS, True)), credentials)
    for name in ("device", "organisation"):
        write(tmp_path / "out", {**reported, name: bytes(32).hex()}, credentials)
        with pytest.raises(TelerelayError, match="names another device"):
            check(tmp_path / "out", credentials.root)
    agent = enrolled(tmp_path, Role.AGENT, NOW)
    write(tmp_path / "out", record(tried((PASS, True)), agent), agent)
    with pytest.raises(TelerelayError, match="a device of the role agent"):
        check(tmp_path / "out", agent.root)


def test_a_report_may_outlive_its_certificates_but_not_begin_outside_of_them(tmp_path: Path) -> None:
    began = NOW - 20 * 365 * 86_400
    credentials = enrolled(tmp_path, Role.CLIENT, began)
    reported = record(replace(tried((PASS, True)), began=began), credentials)
    write(tmp_path / "out", reported, credentials)
    assert check(tmp_path / "out", credentials.root) == reported
    for outside in (began - 86_400, NOW):
        write(tmp_path / "out", {**reported, "time": rfc3339(outside)}, credentials)
        with pytest.raises(TelerelayError) as refused:
            check(tmp_path / "out", credentials.root)
        assert refused.value.code == "DOCUMENT"


def test_the_page_beside_a_report_is_the_one_that_is_made_of_it(
    credentials: Credentials, tmp_path: Path
) -> None:
    write(tmp_path / "out", record(tried((FAIL, True)), credentials), credentials)
    page = tmp_path / "out" / "prove.html"
    page.write_bytes(page.read_bytes().replace(b"Not guarded", b"Guarded"))
    with pytest.raises(TelerelayError, match=r"prove\.html is not the page"):
        check(tmp_path / "out", credentials.root)


@pytest.mark.parametrize(
    "damage",
    [
        {"tries": None},
        {"tries": [{}]},
        {"requirements": [1]},
        {"counts": []},
        {"signature": {"chain": []}},
        {"time": "yesterday"},
        {"time": 0},
        {"asked": {"computer": None, "watch": None}},
    ],
)
def test_what_is_signed_and_no_report_is_refused(
    credentials: Credentials, tmp_path: Path, damage: dict[str, Any]
) -> None:
    reported = record(tried((PASS, True)), credentials)
    write(tmp_path / "out", reported, credentials)
    encoded = json.dumps({**reported, **damage}).encode()
    signer = Signer(
        credentials.organisation, credentials.chain[0], load_key_file(credentials.folder / KEY_FILE)
    )
    (tmp_path / "out" / "prove.json").write_bytes(encoded)
    (tmp_path / "out" / "prove.cose").write_bytes(sign(TYP, encoded, signer))
    with pytest.raises(TelerelayError) as refused:
        check(tmp_path / "out", credentials.root)
    assert refused.value.code == "DOCUMENT"


def test_what_a_report_says_is_no_command_to_a_terminal(
    credentials: Credentials, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "\x1b]0;owned\x07\u202e"
    result = Result(CATALOGUE[0], Verdict(FAIL, Said(hostile, hostile), (hostile,)), 0.1)
    reported = record(Proof(Asked("0000-0000-0000-0000-0"), NOW, (result,)), credentials)
    reported["tries"][0]["id"] = hostile
    write(tmp_path / "out", reported, credentials)
    with pytest.raises(typer.Exit):
        _conclude(Console(json=False, lang="en"), check(tmp_path / "out", credentials.root), Path("out"))
    shown = capsys.readouterr().out
    assert "owned" in shown
    assert all(character.isprintable() or character == "\n" for character in shown)


def test_the_verdict_names_what_is_missing(credentials: Credentials) -> None:
    assert verdict_of(record(tried((PASS, True)), credentials))[0] is PASS
    assert verdict_of(record(tried((NOT, True), (PASS, True)), credentials))[0] is NOT
    assert verdict_of(record(tried((NOT, True), (FAIL, True)), credentials))[0] is FAIL


# ---------------------------------------------------------------- what it says, and how it looks


def test_messages_are_those_of_rfb() -> None:
    assert messages.cut_text(b"ab") == bytes.fromhex("06000000 00000002 6162")
    assert messages.cut_text(b"", -(2**31)) == bytes.fromhex("06000000 80000000")
    assert messages.clipboard(Clipboard.NOTIFY) == bytes.fromhex("06000000 fffffffc 08000001")
    assert messages.set_encodings([messages.Encoding.CLIPBOARD]) == bytes.fromhex("02000001 c0a1e5ce")
    assert messages.key(0xFF0D, down=True) == bytes.fromhex("04010000 0000ff0d")
    assert messages.pointer(1, 2, 1) == bytes.fromhex("05010001 0002")
    assert messages.request(3, 4, incremental=True) == bytes.fromhex("0301 00000000 00030004")
    assert messages.qemu_key(0xFFC2, 0x3F, down=False) == bytes.fromhex("ff000000 0000ffc2 0000003f")


def test_a_first_flight_is_read_as_what_it_offers() -> None:
    whole = client_hello(Offer.HYBRID)
    assert record_length(whole) == len(whole)
    assert record_length(whole[:4]) is None
    assert list(handshake.client_hello(whole).offered_shares) == [handshake.HYBRID]
    assert list(handshake.client_hello(client_hello(Offer.CLASSICAL)).offered_shares) == [0x1D]
    assert handshake.KEY_SHARE not in handshake.client_hello(client_hello(Offer.OLD)).extensions


@pytest.mark.parametrize(
    ("offer", "version"), [(Offer.OLD, ssl.TLSVersion.TLSv1_2), (Offer.CLASSICAL, ssl.TLSVersion.TLSv1_3)]
)
def test_a_server_that_takes_less_agrees_to_less(
    tmp_path: Path, offer: Offer, version: ssl.TLSVersion
) -> None:
    device = found_foreign()
    (tmp_path / "chain.pem").write_bytes(format_chain(device.chain))
    write_key_file(tmp_path / "key.pem", device.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")
    context.minimum_version = context.maximum_version = version
    came, leaves = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(came, leaves, server_side=True)
    came.write(client_hello(offer))
    with pytest.raises(ssl.SSLWantReadError):
        server.do_handshake()
    said = leaves.read()
    reply = read_reply(said[: record_length(said)])
    assert reply.agrees
    assert not reply.is_hybrid


def test_answers_to_it() -> None:
    assert read_reply(bytes.fromhex("1503030002 0246")).alert == 70
    versions, share = bytes.fromhex("002b00020304"), bytes.fromhex("0033000611ec00020102")
    body = (
        bytes.fromhex("0303")
        + bytes(32)
        + b"\0"
        + bytes.fromhex("130100")
        + pack(">H", 16)
        + versions
        + share
    )
    agreed = read_reply(
        bytes.fromhex("160303") + pack(">H", len(body) + 4) + b"\x02" + pack(">I", len(body))[1:] + body
    )
    assert agreed.is_hybrid
    assert agreed.agrees
    with pytest.raises(ValueError, match="neither"):
        read_reply(bytes.fromhex("160303 0004 02000000"))
    with pytest.raises(ValueError, match="neither"):
        read_reply(bytes.fromhex("1703030001 00"))


def test_a_marker_is_found_where_it_is_and_nowhere_else() -> None:
    noise = Image.frombytes("RGB", (48, 32), random.Random(5).randbytes(3 * 48 * 32))
    pattern = noise.point(lambda level: 255 * (level >= 128))
    marker = Marker("1", pattern, [])
    screen = Image.new("RGB", (300, 200))
    assert marker.find(screen) is None
    screen.paste(pattern.crop((0, 0, 48, 1)), (10, 10))
    screen.paste(pattern, (201, 33))
    assert marker.find(screen) == (201, 33)
    for mark in ("white", "black"):
        marked = Image.blend(screen, Image.new("RGB", screen.size, mark), 0.19)
        assert marker.find(marked) == (201, 33)


def test_keys_count_in_their_order() -> None:
    marker = Marker("1", Image.new("RGB", (1, 1)), ["F12", "F5", "F12", "F6", "F7"])
    assert marker.has([("F6", 0), ("F7", 0)])
    assert not marker.has([("F7", 0), ("F6", 0)])


def test_a_try_without_a_watch_is_no_pass(credentials: Credentials) -> None:
    ground = Ground(credentials, Asked("0000-0000-0000-0000-0"), None)
    named = {one.id: one for one in CATALOGUE}

    for name in ("clipboard-in-plain", "clipboard-in-negative", "clipboard-out-plain"):
        with pytest.raises(NotTestedError, match="--watch"):
            asyncio.run(_outcome(named[name], ground))


async def _outcome(one: Try, ground: Ground) -> Verdict:
    return await one.run(ground)
