"""The spool: durable in order and in groups, honest when the disk refuses, whole after a crash."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from telerelay.audit import records
from telerelay.audit.chain import Head
from telerelay.audit.moving import Mover
from telerelay.audit.records import Record
from telerelay.audit.spool import GROUP_ROWS, GROUP_S, Spool
from telerelay.audit.spool_files import file_name
from telerelay.store.engine import Store
from telerelay.store.tables import AuditRecord, OpenAttempt
from telerelay_endpoint.errors import TelerelayError
from tests.kit.audit import office
from tests.kit.condition import eventually

NODE = "n1"


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "store.db")
    yield opened
    await opened.close()


OpenSpool = Callable[..., Spool]


@pytest_asyncio.fixture
async def open_spool(tmp_path: Path) -> AsyncIterator[OpenSpool]:
    opened: list[Spool] = []
    (tmp_path / "audit").mkdir()

    def open_one(head: Head | None = None, **settings: Any) -> Spool:
        notary = office(NODE).notary(tmp_path)
        opened.append(Spool(tmp_path / "audit", head or Head.of_nothing(NODE), notary, **settings))
        return opened[-1]

    yield open_one
    for spool in opened:
        await spool.stop()


def _start(number: int) -> Record:
    return records.start(
        attempt="7KQ2-M9XB",
        path=number.to_bytes(16, "big"),
        organisation=b"\x07" * 32,
        client=bytes(32),
        agent=bytes(32),
        computer="ABCD-EFGH-JKMN-PQRS-T",
        service="rfb",
        address="192.0.2.1:40000",
        program="telerelay-client/0.1.0",
    )


def _end(number: int) -> Record:
    return records.end_of_path(
        attempt="7KQ2-M9XB",
        path=number.to_bytes(16, "big"),
        path_kind="wrapped",
        code="DONE",
        stage="session",
        duration_ms=1,
        bytes_to_client=2,
        bytes_to_agent=3,
        session=None,
        notices=[],
    )


def _lines(tmp_path: Path) -> list[dict[str, Any]]:
    files = sorted((tmp_path / "audit").iterdir())
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


async def _durable(spool: Spool, *queued: Record) -> list[str | None]:
    """Append the records and wait for what each of them was told."""
    loop = asyncio.get_running_loop()
    outcomes: list[asyncio.Future[str | None]] = [loop.create_future() for _ in queued]
    for record, outcome in zip(queued, outcomes, strict=True):
        spool.append(record, outcome.set_result)
    return await asyncio.gather(*outcomes)


async def _rows(store: Store) -> list[AuditRecord]:
    async with store.reading() as session:
        return list(await session.scalars(select(AuditRecord).order_by(AuditRecord.seq)))


# ---------------------------------------------------------------- writing


async def test_a_record_is_in_the_file_when_it_counts_as_durable(
    open_spool: OpenSpool, tmp_path: Path
) -> None:
    spool = open_spool(Head(NODE, 39, bytes(32)))
    assert await _durable(spool, _start(1), _start(2)) == [None, None]
    assert [(line["seq"], line["path"][-1]) for line in _lines(tmp_path)] == [(40, "1"), (41, "2")]
    assert (tmp_path / "audit" / file_name(40)).stat().st_mode & 0o777 == 0o600


async def test_records_that_come_together_share_a_sync(
    open_spool: OpenSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = 0
    sync = os.fdatasync

    def counted(descriptor: int) -> None:
        nonlocal syncs
        syncs += 1
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", counted)
    spool = open_spool()
    await _durable(spool, *map(_start, range(3 * GROUP_ROWS)))
    # The first may find the disk idle and go alone; no group is larger than GROUP_ROWS.
    assert 3 <= syncs <= 5


async def test_records_that_trickle_in_wait_for_a_group(open_spool: OpenSpool) -> None:
    spool = open_spool()
    began = time.monotonic()
    for number in range(10):
        await _durable(spool, _start(number))
    assert time.monotonic() - began >= 9 * GROUP_S


async def test_a_full_file_is_followed_by_another(open_spool: OpenSpool, tmp_path: Path) -> None:
    spool = open_spool(file_bytes=1_300)
    for number in range(1, 7):
        await _durable(spool, _start(number))
    assert [file.name for file in sorted((tmp_path / "audit").iterdir())] == [file_name(n) for n in (1, 3, 5)]
    assert [line["seq"] for line in _lines(tmp_path)] == [1, 2, 3, 4, 5, 6]


# ---------------------------------------------------------------- a disk that refuses


async def test_whoever_waits_is_told_when_the_disk_refuses_and_kept_records_come_later(
    open_spool: OpenSpool, tmp_path: Path
) -> None:
    # The first file that will be opened is a device that is always full.
    device = tmp_path / "audit" / file_name(1)
    device.symlink_to("/dev/full")
    spool = open_spool()
    change = records.admit(organisation=bytes(32), action="admitted", reason="")
    for _ in range(2):  # once to find out, once because it is known
        with pytest.raises(TelerelayError) as caught:
            await spool.write([change])
        assert caught.value.code == "AUDIT_UNAVAILABLE"
    assert await _durable(spool, _start(1), _end(1)) == ["AUDIT_UNAVAILABLE"] * 2
    assert spool.statistics()["audit_failing"] == 1
    device.unlink()
    await eventually(lambda: spool.statistics()["audit_failing"] == 0)
    await _durable(spool, _start(2))
    # In their order, without a hole, and without the record of the change that was refused.
    assert [(line["seq"], line["kind"]) for line in _lines(tmp_path)] == [
        (1, "START"),
        (2, "END"),
        (3, "START"),
    ]


async def test_a_disk_that_takes_records_again_is_found_out_although_nobody_asks(
    open_spool: OpenSpool, tmp_path: Path
) -> None:
    device = tmp_path / "audit" / file_name(1)
    device.symlink_to("/dev/full")
    spool = open_spool()
    with pytest.raises(TelerelayError):
        await spool.write([records.admit(organisation=bytes(32), action="admitted", reason="")])
    assert spool.failing
    device.unlink()
    await eventually(lambda: not spool.failing)
    assert [(line["seq"], line["kind"]) for line in _lines(tmp_path)] == [(1, "CHECKPOINT")]


async def test_a_spool_that_nobody_moves_is_full_at_its_limit(
    open_spool: OpenSpool, store: Store, tmp_path: Path
) -> None:
    spool = open_spool(backlog_bytes=1)
    assert await _durable(spool, _start(1)) == [None]
    assert await _durable(spool, _start(2)) == ["AUDIT_UNAVAILABLE"]
    await Mover(store, NODE).catch_up(spool)
    await eventually(lambda: spool.statistics()["audit_failing"] == 0)
    assert [line["path"][-1] for line in _lines(tmp_path)] == ["1", "2"]


async def test_a_failed_group_leaves_nothing_behind_in_its_file(
    open_spool: OpenSpool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool()
    await _durable(spool, _start(1))
    sync = os.fdatasync

    def fail(_descriptor: int) -> None:
        monkeypatch.setattr(os, "fdatasync", sync)
        raise OSError("the disk said no")

    monkeypatch.setattr(os, "fdatasync", fail)
    assert await _durable(spool, _start(2)) == ["AUDIT_UNAVAILABLE"]
    await eventually(lambda: spool.statistics()["audit_failing"] == 0)
    assert [file.name for file in sorted((tmp_path / "audit").iterdir())] == [file_name(1), file_name(2)]
    assert [line["seq"] for line in _lines(tmp_path)] == [1, 2]


# ---------------------------------------------------------------- to SQL


async def test_records_reach_sql_in_order_and_to_the_byte(
    open_spool: OpenSpool, store: Store, tmp_path: Path
) -> None:
    spool, mover = open_spool(file_bytes=1_300), Mover(store, NODE)
    for number in range(1, 5):
        await _durable(spool, _start(number))
        if number == 3:
            await mover.catch_up(spool)
    await _durable(spool, _end(1))
    written = b"".join(file.read_bytes() for file in sorted((tmp_path / "audit").iterdir())[-2:])
    await mover.catch_up(spool)
    rows = await _rows(store)
    assert [(row.seq, row.kind) for row in rows] == [(n, "START") for n in range(1, 5)] + [(5, "END")]
    assert b"".join(row.record + b"\n" for row in rows).endswith(written)
    # The END of a routed attempt is found by the organisation of its START.
    assert rows[-1].organisation == b"\x07" * 32
    assert spool.statistics()["audit_backlog_bytes"] == 0
    # Finished files are gone, the one that is written stays.
    assert len(list((tmp_path / "audit").iterdir())) == 1


async def test_open_attempts_are_those_without_an_end(open_spool: OpenSpool, store: Store) -> None:
    spool, mover = open_spool(), Mover(store, NODE)
    await _durable(spool, _start(1), _start(2), _end(2), _start(3))
    await mover.catch_up(spool)
    await _durable(spool, _end(3))
    await mover.catch_up(spool)
    async with store.reading() as session:
        open_paths = (await session.scalars(select(OpenAttempt.path))).all()
    assert open_paths == [(1).to_bytes(16, "big")]


# ---------------------------------------------------------------- after a crash


async def _crash(tmp_path: Path, content: bytes, first_seq: int = 1) -> None:
    (tmp_path / "audit").mkdir(exist_ok=True)
    (tmp_path / "audit" / file_name(first_seq)).write_bytes(content)


@pytest.fixture
def encode() -> Callable[[Record, int], bytes]:
    return lambda record, seq: record.encode(Head(NODE, seq - 1, bytes(32)), 1_800_000_000_000, bytes(16))


Encode = Callable[[Record, int], bytes]


async def test_what_a_crash_left_is_moved_without_its_torn_line(
    open_spool: OpenSpool, store: Store, tmp_path: Path, encode: Encode
) -> None:
    whole = encode(_start(1), 1) + encode(_start(2), 2)
    await _crash(tmp_path, whole + encode(_start(3), 3)[:-20])
    mover = Mover(store, NODE)
    assert (await mover.take_over(tmp_path / "audit")).seq == 2
    assert b"".join(row.record + b"\n" for row in await _rows(store)) == whole
    assert list((tmp_path / "audit").iterdir()) == []
    assert await _durable(open_spool(Head(NODE, 2, bytes(32))), _start(3)) == [None]


async def test_records_that_reached_sql_before_the_crash_are_not_moved_twice(
    store: Store, tmp_path: Path, encode: Encode
) -> None:
    content = encode(_start(1), 1) + encode(_end(1), 2)
    await _crash(tmp_path, content)
    assert (await Mover(store, NODE).take_over(tmp_path / "audit")).seq == 2
    await _crash(tmp_path, content + encode(_start(2), 3))
    assert (await Mover(store, NODE).take_over(tmp_path / "audit")).seq == 3
    assert [row.seq for row in await _rows(store)] == [1, 2, 3]


async def test_a_failed_writes_leftover_gives_way_to_the_next_file(
    store: Store, tmp_path: Path, encode: Encode
) -> None:
    await _crash(tmp_path, encode(_start(1), 1) + encode(_start(7), 2))
    await _crash(tmp_path, encode(_start(2), 2), first_seq=2)
    assert (await Mover(store, NODE).take_over(tmp_path / "audit")).seq == 2
    assert [json.loads(row.record)["path"][-1] for row in await _rows(store)] == ["1", "2"]


async def test_a_damaged_line_is_never_skipped(store: Store, tmp_path: Path, encode: Encode) -> None:
    await _crash(tmp_path, b"\0" * 30 + b"\n" + encode(_start(1), 1))
    with pytest.raises(TelerelayError, match="is damaged") as caught:
        await Mover(store, NODE).take_over(tmp_path / "audit")
    assert caught.value.code == "STORE"


async def test_attempts_that_a_crash_ended_are_closed_once(
    open_spool: OpenSpool, store: Store, tmp_path: Path, encode: Encode
) -> None:
    await _crash(tmp_path, encode(_start(1), 1) + encode(_start(2), 2) + encode(_end(1), 3))
    mover = Mover(store, NODE)
    spool = open_spool(await mover.take_over(tmp_path / "audit"))
    assert await mover.close_lost(spool) == 1
    await mover.catch_up(spool)
    assert await mover.close_lost(spool) == 0
    last = json.loads((await _rows(store))[-1].record)
    assert (last["kind"], last["code"], last["path"], last["seq"]) == ("END", "NODE_LOST", f"{2:032x}", 4)


async def test_another_nodes_open_attempts_are_its_own(
    open_spool: OpenSpool, store: Store, tmp_path: Path, encode: Encode
) -> None:
    await _crash(tmp_path, encode(_start(1), 1))
    await Mover(store, "n2").take_over(tmp_path / "audit")
    assert await Mover(store, NODE).close_lost(open_spool()) == 0
