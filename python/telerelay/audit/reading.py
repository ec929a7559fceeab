"""Audit records as they stand in SQL: whole chains page by page, and what somebody looks for."""

from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, func, or_, select

from telerelay.audit.records import CHECKPOINT
from telerelay.store.engine import Store
from telerelay.store.tables import AuditRecord
from telerelay_endpoint.limits import LIMITS

PAGE_ROWS: Final = LIMITS["audit_page_rows"]


@dataclass(frozen=True, slots=True)
class Row:
    """A record as it is stored, and the organisation (32 bytes) that it is about."""

    seq: int
    kind: str
    organisation: bytes | None
    time_ms: int
    encoded: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for; None looks for everything. Times are Unix milliseconds, `end` not included.

    `device`: hex; `computer`: as shown; `attempt`: as shown; `code`: an outcome.
    """

    organisation: bytes | None = None
    begin_ms: int | None = None
    end_ms: int | None = None
    attempt: str | None = None
    device: str | None = None
    computer: str | None = None
    code: str | None = None


async def nodes(store: Store) -> Sequence[str]:
    """The names of the nodes that have records."""
    async with store.reading() as session:
        return (await session.scalars(select(AuditRecord.node).distinct().order_by(AuditRecord.node))).all()


async def chain(store: Store, node: str, first: int, last: int) -> AsyncGenerator[Row, None]:
    """The node's records from number `first` to `last`, in their order."""
    while first <= last:
        query = (
            select(AuditRecord)
            .where(AuditRecord.node == node, AuditRecord.seq >= first, AuditRecord.seq <= last)
            .order_by(AuditRecord.seq)
            .limit(PAGE_ROWS)
        )
        async with store.reading() as session:
            rows = (await session.scalars(query)).all()
        for row in rows:
            yield Row(row.seq, row.kind, row.organisation, row.time, row.record)
        if len(rows) < PAGE_ROWS:
            return
        first = rows[-1].seq + 1


@dataclass(frozen=True, slots=True)
class Extent:
    """Where an organisation's records of a time stand in one node's chain, and how many they are."""

    first: int
    last: int
    records: int


async def extent(store: Store, node: str, wanted: Wanted, last: int) -> Extent | None:
    """Of those up to number `last`; None where there is none."""
    query = select(func.min(AuditRecord.seq), func.max(AuditRecord.seq), func.count()).where(
        AuditRecord.node == node, AuditRecord.seq <= last, *_conditions(wanted)
    )
    async with store.reading() as session:
        begin, end, count = (await session.execute(query)).one()
    return Extent(begin, end, count) if count else None


async def next_checkpoint(store: Store, node: str, behind: int) -> int | None:
    """Number of the first checkpoint behind a record; None where there is none."""
    query = (
        select(AuditRecord.seq)
        .where(AuditRecord.node == node, AuditRecord.seq > behind, AuditRecord.kind == CHECKPOINT)
        .order_by(AuditRecord.seq)
        .limit(1)
    )
    async with store.reading() as session:
        found: int | None = await session.scalar(query)
    return found


async def search(store: Store, wanted: Wanted, limit: int) -> list[bytes]:
    """The newest `limit` records that fit, and whatever else tells of the same attempts; oldest first."""
    found: list[AuditRecord] = []
    before: AuditRecord | None = None
    needles = _needles(wanted)
    while len(found) < limit:
        rows = await _page(store, wanted, before)
        found += [row for row in rows if all(any(needle in row.record for needle in one) for one in needles)]
        if len(rows) < PAGE_ROWS:
            break
        before = rows[-1]
    del found[limit:]
    found += await _of_attempts(store, wanted, {row.attempt for row in found if row.attempt is not None})
    whole = {(row.time, row.node, row.seq): row.record for row in found}
    return [whole[key] for key in sorted(whole)]


async def _page(store: Store, wanted: Wanted, before: AuditRecord | None) -> Sequence[AuditRecord]:
    order = (AuditRecord.time, AuditRecord.node, AuditRecord.seq)
    query = select(AuditRecord).where(*_conditions(wanted)).order_by(*(column.desc() for column in order))
    if before is not None:
        time, node, seq = before.time, before.node, before.seq
        query = query.where(
            # Said twice: the first is what an index can begin at.
            AuditRecord.time <= time,
            or_(
                AuditRecord.time < time,
                (AuditRecord.time == time) & (AuditRecord.node < node),
                (AuditRecord.time == time) & (AuditRecord.node == node) & (AuditRecord.seq < seq),
            ),
        )
    async with store.reading() as session:
        return (await session.scalars(query.limit(PAGE_ROWS))).all()


async def _of_attempts(store: Store, wanted: Wanted, attempts: Collection[str]) -> list[AuditRecord]:
    found: list[AuditRecord] = []
    ordered = sorted(attempts)
    of_organisation = [] if wanted.organisation is None else [AuditRecord.organisation == wanted.organisation]
    for begin in range(0, len(ordered), PAGE_ROWS):
        portion = ordered[begin : begin + PAGE_ROWS]
        query = select(AuditRecord).where(AuditRecord.attempt.in_(portion), *of_organisation)
        async with store.reading() as session:
            found += await session.scalars(query)
    return found


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    """By what has a column; the rest is looked for in the records' bytes."""
    found: list[ColumnElement[bool]] = []
    if wanted.organisation is not None:
        found.append(AuditRecord.organisation == wanted.organisation)
    if wanted.begin_ms is not None:
        found.append(AuditRecord.time >= wanted.begin_ms)
    if wanted.end_ms is not None:
        found.append(AuditRecord.time < wanted.end_ms)
    if wanted.attempt is not None:
        found.append(AuditRecord.attempt == wanted.attempt)
    return found


def _needles(wanted: Wanted) -> list[list[bytes]]:
    """For each thing that has no column, the ways in which a record may hold it.

    A quote cannot stand unescaped inside a text, so that no text of a peer passes for a field.
    """
    fields = {
        wanted.device: ("client", "agent", "device", "by"),
        wanted.computer: ("computer",),
        wanted.code: ("code",),
    }
    return [
        [f'"{name}":"{value}"'.encode() for name in names]
        for value, names in fields.items()
        if value is not None
    ]
