"""The chain and its checkpoints: whatever is done to records in spool or SQL is found, and named."""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from telerelay.audit import proof, records
from telerelay.audit.auditing import Auditor, Demand
from telerelay.audit.chain import Head, fingerprint
from telerelay.audit.checkpoints import CHECKPOINT_ROWS, CheckpointRefusedError, Notary, verify_checkpoint
from telerelay.audit.moving import Mover
from telerelay.audit.reading import PAGE_ROWS, Wanted
from telerelay.audit.records import Record
from telerelay.audit.spool import GROUP_ROWS, Spool
from telerelay.audit.verifying import BreakKind, Verdict, verify
from telerelay.authority.signing import sign
from telerelay.store.engine import Store
from telerelay_endpoint.documents import Kind
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.lines import from_base64url
from tests.kit.audit import Office, office
from tests.kit.condition import eventually

NODE = "n1"
OURS, THEIRS = b"\x07" * 32, b"\x08" * 32
FAR_MS = 4_000_000_000_000


def _admit(organisation: bytes, reason: str) -> Record:
    return records.admit(organisation=organisation, action="admitted", reason=reason)


@dataclass
class Audit:
    """A spool, its database, an auditor. Records 1–3 and 6 are ours, 5, 7, 8 theirs, 4 and 9 checkpoints."""

    folder: Path
    office: Office
    store: Store
    spool: Spool
    mover: Mover

    @property
    def auditor(self) -> Auditor:
        return Auditor(self.store, self.spool, self.mover)

    async def everything(self) -> list[bytes]:
        return [line async for line in self.auditor.everything()]

    async def verdict(self, known: Head | None = None) -> Verdict:
        return verify(await self.everything(), self.office.ca, known)

    async def breaks(self) -> list[tuple[str, int, int]]:
        return _breaks(await self.verdict())

    async def export(self, organisation: bytes = OURS) -> list[bytes]:
        demand = Demand(organisation, 0, FAR_MS, "Kitamachi Town", "its own request")
        return [line async for line in self.auditor.export(demand)]

    def sql(self, statement: str, *values: object) -> None:
        with sqlite3.connect(self.folder / "store.db") as database:
            database.execute(statement, values)
        database.close()

    def stored(self, seq: int) -> bytes:
        with sqlite3.connect(self.folder / "store.db") as database:
            (found,) = database.execute("SELECT record FROM audit_records WHERE seq = ?", [seq]).fetchone()
        database.close()
        return bytes(found)

    def put(self, seq: int, record: bytes) -> None:
        self.sql("UPDATE audit_records SET record = ? WHERE seq = ?", record, seq)


def _breaks(verdict: Verdict) -> list[tuple[str, int, int]]:
    return [(broken.kind, broken.first, broken.last) for broken in verdict.breaks]


@pytest_asyncio.fixture
async def audit(tmp_path: Path) -> AsyncIterator[Audit]:
    (tmp_path / "audit").mkdir()
    store = await Store.open(tmp_path / "store.db")
    mover, signing = Mover(store, NODE), office(NODE)
    spool = Spool(tmp_path / "audit", signing.head(), signing.notary(tmp_path), progressed=mover.progressed)
    opened = Audit(tmp_path, signing, store, spool, mover)
    following = asyncio.create_task(mover.follow(spool))
    await spool.write([_admit(OURS, f"one {number}") for number in range(3)])
    await spool.seal()
    await spool.write([_admit(organisation, "two") for organisation in (THEIRS, OURS, THEIRS, THEIRS)])
    await spool.seal()
    await mover.reached(9)
    yield opened
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await spool.stop()
    await store.close()


# ---------------------------------------------------------------- whole


async def test_a_clean_chain_says_what_it_holds(audit: Audit) -> None:
    verdict = await audit.verdict()
    assert (verdict.records, verdict.checkpoints, verdict.breaks) == (9, 2, [])
    assert verdict.begin <= verdict.end
    assert verdict.heads == {NODE: audit.spool.head}


async def test_each_record_names_the_link_before_it_and_holds_its_own_salt(audit: Audit) -> None:
    head, salts = Head.of_nothing(NODE), set()
    for seq in range(1, 10):
        record = json.loads(audit.stored(seq))
        assert (record["seq"], bytes.fromhex(record["prev"])) == (seq, head.link)
        salts.add(record["salt"])
        head = head.after(fingerprint(audit.stored(seq)))
    assert head == audit.spool.head
    assert {len(salt) for salt in salts} == {32}
    assert len(salts) == 9


async def test_a_checkpoint_is_signed_by_the_node_and_passes_for_nothing_else(audit: Audit) -> None:
    signed = from_base64url(json.loads(audit.stored(4))["signed"])
    checkpoint = verify_checkpoint(signed, audit.office.ca)
    assert (checkpoint.head.node, checkpoint.head.seq) == (NODE, 3)
    assert abs(checkpoint.time - time.time()) < 60
    for other, why in ((office("n2").ca, "another cluster"), (audit.office.ca, "signature")):
        changed = signed if why == "another cluster" else signed[:-1] + bytes([signed[-1] ^ 1])
        with pytest.raises(CheckpointRefusedError, match=why):
            verify_checkpoint(changed, other)
    another_kind = sign(Kind.NODES.typ, checkpoint.encode(), audit.office.signer)
    with pytest.raises(CheckpointRefusedError, match="no checkpoint"):
        verify_checkpoint(another_kind, audit.office.ca)


# ---------------------------------------------------------------- tampered with, in SQL

Tamper = Callable[[Audit], None]


def _flip(seq: int) -> Tamper:
    return lambda audit: audit.put(seq, audit.stored(seq).replace(b"admitted", b"refused!"))


def _damage(audit: Audit) -> None:
    audit.put(6, audit.stored(6)[:-5])


def _remove(audit: Audit) -> None:
    audit.sql("DELETE FROM audit_records WHERE seq = 6")


def _remove_and_renumber(audit: Audit) -> None:
    _remove(audit)
    for seq in (7, 8, 9):
        audit.sql("UPDATE audit_records SET seq = ? WHERE seq = ?", seq - 1, seq)


def _insert(audit: Audit) -> None:
    for seq in (9, 8, 7, 6):
        audit.sql("UPDATE audit_records SET seq = ? WHERE seq = ?", seq + 1, seq)
    link = bytes.fromhex(json.loads(audit.stored(7))["prev"])
    forged = _admit(OURS, "never happened").encode(Head(NODE, 5, link), 1_800_000_000_000, bytes(16))
    audit.sql(
        "INSERT INTO audit_records (node, seq, kind, time, record) VALUES (?, 6, 'ADMIT', 0, ?)",
        NODE,
        forged[:-1],
    )


def _swap(audit: Audit) -> None:
    second, third = audit.stored(2), audit.stored(3)
    audit.put(2, third)
    audit.put(3, second)


def _truncate(audit: Audit) -> None:
    audit.sql("DELETE FROM audit_records WHERE seq > 6")


def _rewrite(audit: Audit, signed: Callable[[Head], bytes] | None = None, last: int = 9) -> None:
    """Change record 2 and make every later link fit again, as somebody without the node's key would."""
    head = Head.of_nothing(NODE)
    for seq in range(1, last + 1):
        record = json.loads(audit.stored(seq))
        record["prev"] = head.link.hex()
        if seq == 2:
            record["reason"] = "nothing to see"
        if signed is not None and record["kind"] == records.CHECKPOINT:
            encoded = records.checkpoint(signed(head)).encode(head, 1_800_000_000_000, bytes(16))[:-1]
        else:
            encoded = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
        audit.put(seq, encoded)
        head = head.after(fingerprint(encoded))


def _forge(audit: Audit) -> None:
    """As `_rewrite`, with checkpoints by a node of another cluster that bears our names for both."""
    stranger = replace(office.__wrapped__(NODE).signer, organisation=audit.office.signer.organisation)
    notary = Notary(stranger, audit.folder / "elsewhere")
    _rewrite(audit, lambda head: notary.sign(head, int(time.time())))


def _replay(audit: Audit) -> None:
    """The first checkpoint stands again where the second was."""
    old, new = json.loads(audit.stored(4)), json.loads(audit.stored(9))
    audit.put(9, json.dumps({**new, "signed": old["signed"]}, sort_keys=True, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (_flip(2), [(BreakKind.ALTERED, 2, 2)]),
        (_flip(1), [(BreakKind.ALTERED, 1, 1)]),
        (_flip(8), [(BreakKind.ALTERED, 8, 8)]),
        (_damage, [(BreakKind.ALTERED, 6, 6)]),
        (_remove, [(BreakKind.MISSING, 6, 6)]),
        (_remove_and_renumber, [(BreakKind.MISSING, 6, 6)]),
        # One row too many: the last of them stands behind what the node has.
        (_insert, [(BreakKind.INSERTED, 6, 6), (BreakKind.ALTERED, 6, 6), (BreakKind.TRUNCATED, 9, 9)]),
        (_swap, [(BreakKind.REORDERED, 2, 2)]),
        (_truncate, [(BreakKind.TRUNCATED, 7, 9)]),
        (_rewrite, [(BreakKind.REWRITTEN, 1, 3), (BreakKind.REWRITTEN, 5, 8), (BreakKind.ALTERED, 9, 9)]),
        (_forge, [(BreakKind.FORGED, 4, 4), (BreakKind.FORGED, 9, 9), (BreakKind.ALTERED, 9, 9)]),
        (_replay, [(BreakKind.FORGED, 9, 9), (BreakKind.ALTERED, 9, 9)]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_what_is_done_to_the_database_is_found(
    audit: Audit, tamper: Tamper, found: Sequence[tuple[BreakKind, int, int]]
) -> None:
    tamper(audit)
    assert await audit.breaks() == list(found)


async def test_a_record_whose_own_link_was_changed_is_told_from_the_one_before_it(audit: Audit) -> None:
    record = json.loads(audit.stored(6))
    record["prev"] = "00" * 32
    audit.put(6, json.dumps(record, sort_keys=True, separators=(",", ":")).encode())
    assert await audit.breaks() == [(BreakKind.ALTERED, 6, 6)]


async def test_a_head_that_somebody_kept_finds_what_a_whole_restored_machine_hides(audit: Audit) -> None:
    lines = await audit.everything()
    kept = audit.spool.head
    shorter = [*lines[:-4], _end_of(lines[:-4])]
    assert verify(shorter, audit.office.ca).breaks == []
    assert _breaks(verify(shorter, audit.office.ca, kept)) == [(BreakKind.TRUNCATED, 7, 9)]
    assert verify(lines, audit.office.ca, kept).breaks == []


def _end_of(lines: Sequence[bytes]) -> bytes:
    head = Head.of_nothing(NODE)
    for line in lines[2:]:
        head = head.after(fingerprint(line[:-1]))
    return json.dumps({"end": {"node": NODE, "seq": head.seq, "link": head.link.hex()}}).encode() + b"\n"


async def test_a_stream_that_broke_off_is_not_taken_for_the_whole(audit: Audit) -> None:
    lines = await audit.everything()
    assert _breaks(verify(lines[:-1], audit.office.ca)) == [(BreakKind.TRUNCATED, 10, 10)]
    with pytest.raises(TelerelayError, match="no export"):
        verify(lines[1:], audit.office.ca)


async def test_more_records_than_a_node_leaves_unsigned_are_a_break(audit: Audit) -> None:
    lines = [proof.header({}), proof.segment(Head.of_nothing(NODE))]
    head = Head.of_nothing(NODE)
    for _ in range(CHECKPOINT_ROWS + GROUP_ROWS + 1):
        lines.append(_admit(OURS, "").encode(head, 1_800_000_000_000, bytes(16)))
        head = head.after(fingerprint(lines[-1][:-1]))
    assert _breaks(verify([*lines[:-1], _end_of(lines[:-1])], audit.office.ca)) == []
    assert _breaks(verify([*lines, _end_of(lines)], audit.office.ca)) == [
        (BreakKind.UNSIGNED, 1, CHECKPOINT_ROWS + GROUP_ROWS + 1)
    ]


# ---------------------------------------------------------------- tampered with, in the spool


async def _left(folder: Path) -> tuple[Path, list[bytes]]:
    """A node that died: its records are in the spool alone, behind them a checkpoint."""
    (folder / "audit").mkdir()
    signing = office(NODE)
    spool = Spool(folder / "audit", signing.head(), signing.notary(folder))
    await spool.write([_admit(OURS, f"{number}") for number in range(5)])
    await spool.seal()
    await spool.stop()
    (file,) = (folder / "audit").iterdir()
    return file, file.read_bytes().splitlines(keepends=True)


async def _verdict_after_start(folder: Path) -> list[tuple[str, int, int]]:
    store, signing = await Store.open(folder / "store.db"), office(NODE)
    mover, notary = Mover(store, NODE), signing.notary(folder)
    head = notary.resume(await mover.take_over(folder / "audit"), signing.ca)
    spool = Spool(folder / "audit", head, notary)
    await spool.write([_admit(OURS, "later")])
    await spool.stop()
    await mover.catch_up(spool)
    lines = [line async for line in Auditor(store, spool, mover).everything()]
    await store.close()
    return _breaks(verify(lines, signing.ca))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda lines: lines, []),
        (
            lambda lines: [lines[0], lines[1].replace(b'"1"', b'"9"'), *lines[2:]],
            [(BreakKind.ALTERED, 2, 2)],
        ),
        (lambda lines: [*lines[:2], *lines[3:]], [(BreakKind.MISSING, 3, 3)]),
        (lambda lines: lines[:3], [(BreakKind.MISSING, 4, 5)]),
        (lambda _lines: [], [(BreakKind.MISSING, 1, 5)]),
    ],
    ids=["untouched", "flipped", "removed", "truncated", "emptied"],
)
async def test_what_is_done_to_the_spool_of_a_dead_node_is_found_when_it_is_back(
    tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], found: Any
) -> None:
    file, lines = await _left(tmp_path)
    file.write_bytes(b"".join(change(lines)))
    assert await _verdict_after_start(tmp_path) == found


async def test_a_kept_checkpoint_that_is_not_this_nodes_stops_the_start(tmp_path: Path) -> None:
    await _left(tmp_path)
    (tmp_path / "n1.checkpoint").write_bytes(b"\xd2garbage")
    with pytest.raises(TelerelayError, match="is damaged") as caught:
        office(NODE).notary(tmp_path).resume(Head.of_nothing(NODE), office(NODE).ca)
    assert caught.value.code == "STORE"


# ---------------------------------------------------------------- when checkpoints are made


async def _kinds(folder: Path) -> list[str]:
    lines = b"".join(file.read_bytes() for file in sorted((folder / "audit").iterdir())).splitlines()
    return [json.loads(line)["kind"] for line in lines]


async def test_checkpoints_come_with_the_records_with_time_and_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "audit").mkdir()
    signing = office(NODE)
    spool = Spool(
        tmp_path / "audit", signing.head(), signing.notary(tmp_path), checkpoint_rows=2, checkpoint_s=3_600
    )
    await spool.write([_admit(OURS, "")])
    assert await _kinds(tmp_path) == ["ADMIT"]
    await spool.write([_admit(OURS, "")])
    assert await _kinds(tmp_path) == ["ADMIT", "ADMIT", "CHECKPOINT"]
    # Nothing new: nothing to sign.
    await spool.seal()
    await spool.write([_admit(OURS, "")])
    await spool.stop()
    assert await _kinds(tmp_path) == ["ADMIT", "ADMIT", "CHECKPOINT", "ADMIT", "CHECKPOINT"]


async def test_a_quiet_node_signs_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "audit").mkdir()
    signing = office(NODE)
    spool = Spool(tmp_path / "audit", signing.head(), signing.notary(tmp_path), checkpoint_s=0.2)
    await spool.write([_admit(OURS, "")])
    await eventually(lambda: spool.head.seq == 2)
    assert await _kinds(tmp_path) == ["ADMIT", "CHECKPOINT"]
    await spool.stop()


# ---------------------------------------------------------------- one organisation's share


async def test_an_export_proves_itself_and_shows_nothing_of_others(audit: Audit) -> None:
    lines = await audit.export()
    verdict = verify(lines, audit.office.ca)
    assert verdict.breaks == []
    assert (verdict.records, verdict.foreign, verdict.checkpoints) == (8, 3, 3)
    assert THEIRS.hex().encode() not in b"".join(lines)
    header = json.loads(lines[0])
    assert header == {
        "schema": "telerelay.audit/1",
        "organisation": OURS.hex(),
        "from": "1970-01-01T00:00:00Z",
        "to": "2096-10-02T07:06:40Z",
        "requested_by": "Kitamachi Town",
        "ground": "its own request",
    }
    # It stands in the chain itself, before anything was given out.
    own = json.loads(audit.stored(10))
    assert (own["kind"], own["requested_by"], own["exported"]) == ("EXPORT", "Kitamachi Town", 4)
    assert (await audit.verdict()).breaks == []


async def test_an_old_share_needs_no_proof_of_what_came_after_it(audit: Audit) -> None:
    await audit.spool.write([_admit(THEIRS, "later") for _ in range(50)])
    await audit.spool.seal()
    lines = await audit.export()
    assert verify(lines, audit.office.ca).breaks == []
    assert sum(line.startswith(b'{"segment"') for line in lines) == 2
    assert sum(line.startswith(b'{"fingerprint"') for line in lines) == 3


def _without_ours(lines: list[bytes]) -> list[bytes]:
    """One of our records hidden as if it were another organisation's."""
    return [
        json.dumps({"fingerprint": fingerprint(line[:-1]).hex()}).encode() + b"\n"
        if b"one 1" in line
        else line
        for line in lines
    ]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda lines: [line.replace(b"one 1", b"one 9") for line in lines], BreakKind.ALTERED),
        (lambda lines: [line for line in lines if b"one 1" not in line], BreakKind.MISSING),
        (_without_ours, BreakKind.TRUNCATED),
        (lambda lines: lines[:-1], BreakKind.TRUNCATED),
        (lambda lines: lines[:-2], BreakKind.TRUNCATED),
        (lambda lines: [line.replace(b"its own", b"a court") for line in lines], BreakKind.ALTERED),
        (lambda lines: [lines[0].replace(b"its own", b"a court"), *lines[1:]], BreakKind.TRUNCATED),
        (
            lambda lines: [line.replace(b'"fingerprint":"', b'"fingerprint":"0') for line in lines],
            BreakKind.ALTERED,
        ),
        (lambda lines: [lines[0], lines[1][:-5] + b"\n", *lines[2:]], BreakKind.INSERTED),
    ],
    ids=["flipped", "removed", "hidden", "cut", "cut more", "ground", "header", "fingerprint", "segment"],
)
async def test_what_is_done_to_an_export_is_found(
    audit: Audit, change: Callable[[list[bytes]], list[bytes]], kind: BreakKind
) -> None:
    found = verify(change(await audit.export()), audit.office.ca).breaks
    assert kind in [broken.kind for broken in found]


async def test_an_organisation_without_records_gets_an_export_that_says_so(audit: Audit) -> None:
    verdict = verify(await audit.export(b"\x09" * 32), audit.office.ca)
    assert (verdict.breaks, verdict.records) == ([], 2)


# ---------------------------------------------------------------- looking for records


def _attempt(number: int, code: str) -> list[Record]:
    attempt, path = f"7KQ2-M9X{number}", number.to_bytes(16, "big")
    start = records.start(
        attempt=attempt,
        path=path,
        organisation=OURS,
        client=b"\x01" * 32,
        agent=b"\x02" * 32,
        computer="ABCD-EFGH-JKMN-PQRS-T",
        service="rfb",
        address="192.0.2.1:40000",
        program='x","code":"DENIED',
    )
    end = records.end_of_path(
        attempt=attempt,
        path=path,
        path_kind="wrapped",
        code=code,
        stage="session",
        duration_ms=1,
        bytes_to_client=2,
        bytes_to_agent=3,
        session=None,
        notices=[],
    )
    return [start, end]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(attempt="7KQ2-M9X1"), ["START", "END"]),
        (Wanted(computer="ABCD-EFGH-JKMN-PQRS-T"), ["START", "END"] * 2),
        (Wanted(device="02" * 32), ["START", "END"] * 2),
        (Wanted(device="03" * 32), []),
        # An attempt's START comes with the END that was looked for; a program's text is no code.
        (Wanted(code="DENIED"), []),
        (Wanted(code="PATH_LOST"), ["START", "END"]),
        (Wanted(organisation=THEIRS), ["ADMIT"] * 3),
        (Wanted(organisation=THEIRS, end_ms=1), []),
    ],
)
async def test_records_are_found_by_what_they_say(audit: Audit, wanted: Wanted, found: list[str]) -> None:
    await audit.spool.write([*_attempt(1, "DONE"), *_attempt(2, "PATH_LOST")])
    lines = [json.loads(line) for line in await audit.auditor.search(wanted, 100)]
    assert [line["kind"] for line in lines] == found
    assert [line["seq"] for line in lines] == sorted(line["seq"] for line in lines)


async def test_what_lies_behind_many_newer_records_is_found_too(audit: Audit) -> None:
    await audit.spool.write(_attempt(1, "PATH_LOST"))
    await audit.spool.write([_admit(THEIRS, "") for _ in range(2 * PAGE_ROWS + 100)])
    found = await audit.auditor.search(Wanted(code="PATH_LOST"), 100)
    assert [json.loads(line)["kind"] for line in found] == ["START", "END"]
    newest = await audit.auditor.search(Wanted(), 3)
    assert [json.loads(line)["seq"] for line in newest] == [audit.spool.head.seq - back for back in (2, 1, 0)]
    # So many records have a checkpoint among them without being asked.
    verdict = await audit.verdict()
    assert (verdict.breaks, verdict.checkpoints) == ([], 3)
