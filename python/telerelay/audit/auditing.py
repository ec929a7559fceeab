"""What an auditor asks a running node for: some records, all records, one organisation's with their proof."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from telerelay.audit import proof, reading
from telerelay.audit.chain import Head, fingerprint
from telerelay.audit.moving import Mover
from telerelay.audit.reading import Row, Wanted
from telerelay.audit.records import CHECKPOINT, Record, export
from telerelay.audit.spool import Spool
from telerelay.audit.spool_files import parse
from telerelay.store.engine import Store
from telerelay_endpoint.errors import TelerelayError

_LAST: Final = 2**63 - 1
"""No chain is longer."""


@dataclass(frozen=True)
class Demand:
    """Who wants an organisation's records of which time (Unix milliseconds, `end` not included), and why."""

    organisation: bytes
    begin_ms: int
    end_ms: int
    requested_by: str
    ground: str


@dataclass(frozen=True)
class _Share:
    """Records `first` to `last` of a node, of which `shown` are given out, and the checkpoint behind them.

    None where the node has not signed its newest records yet.
    """

    node: str
    first: int
    last: int
    shown: int
    checkpoint: int | None


@dataclass(frozen=True)
class Auditor:
    """One node's answers. Each method first waits until all that is durable can be found.

    Every method raises TelerelayError(STORE, TRY_LATER).
    """

    store: Store
    spool: Spool
    mover: Mover

    async def search(self, wanted: Wanted, limit: int) -> list[bytes]:
        """The newest `limit` records that fit, with all that tells of the same attempts; oldest first."""
        await self._caught_up()
        return await reading.search(self.store, wanted, limit)

    async def everything(self) -> AsyncGenerator[bytes, None]:
        """Every record of every node, as lines of `proof`; last this node's word on its own chain."""
        head = await self._caught_up()
        others = [node for node in await reading.nodes(self.store) if node != head.node]
        yield proof.header({})
        for node in [*others, head.node]:
            yield proof.segment(Head.of_nothing(node))
            last = head.seq if node == head.node else _LAST
            async with aclosing(reading.chain(self.store, node, 1, last)) as rows:
                async for row in rows:
                    yield row.encoded + b"\n"
        yield proof.end(head)

    async def export(self, demand: Demand) -> AsyncGenerator[bytes, None]:
        """The organisation's records as lines of `proof`, behind a record of who asked for them and why.

        Raises TelerelayError(AUDIT_UNAVAILABLE) too: what is not recorded is not given out.
        """
        wanted = Wanted(demand.organisation, demand.begin_ms, demand.end_ms)
        head = await self._caught_up()
        shares = await self._shares(wanted, head)
        record = export(
            organisation=demand.organisation,
            begin=_rfc3339(demand.begin_ms),
            end=_rfc3339(demand.end_ms),
            requested_by=demand.requested_by,
            ground=demand.ground,
            exported=sum(share.shown for share in shares),
        )
        await self.spool.write([record])
        sealed = await self.spool.seal()
        await self.mover.reached(sealed.seq)
        own = await self._own_record(record, head, sealed)
        names = ("organisation", "from", "to", "requested_by", "ground")
        yield proof.header({name: record.fields[name] for name in names})
        for share in _joined(shares, own):
            async with aclosing(self._segment(share, wanted, own)) as lines:
                async for line in lines:
                    yield line

    async def _caught_up(self) -> Head:
        head = self.spool.head
        await self.mover.reached(head.seq)
        return head

    async def _shares(self, wanted: Wanted, head: Head) -> list[_Share]:
        """Where each node's chain holds some of it; this node's comes last."""
        shares = []
        others = [node for node in await reading.nodes(self.store) if node != head.node]
        for node in [*others, head.node]:
            last = head.seq if node == head.node else _LAST
            extent = await reading.extent(self.store, node, wanted, last)
            if extent is None:
                continue
            checkpoint = await reading.next_checkpoint(self.store, node, extent.last)
            if checkpoint is None and node != head.node:
                raise TelerelayError("TRY_LATER", f"{node} has not signed its newest records yet")
            shares.append(_Share(node, extent.first, extent.last, extent.records, checkpoint))
        return shares

    async def _own_record(self, record: Record, behind: Head, sealed: Head) -> _Share:
        """Where the export's own record stands, which is durable and signed by now."""
        async with aclosing(reading.chain(self.store, sealed.node, behind.seq + 1, sealed.seq)) as rows:
            async for row in rows:
                fields = parse(row.encoded, "the store").fields
                if row.kind == record.kind and record.fields.items() <= fields.items():
                    checkpoint = await reading.next_checkpoint(self.store, sealed.node, row.seq)
                    return _Share(sealed.node, row.seq, row.seq, 1, checkpoint)
        raise AssertionError("the record of an export is durable and nowhere")

    async def _segment(self, share: _Share, wanted: Wanted, own: _Share) -> AsyncGenerator[bytes, None]:
        begun = False
        last = _LAST if share.checkpoint is None else share.checkpoint
        async with aclosing(reading.chain(self.store, share.node, share.first, last)) as rows:
            async for row in rows:
                if not begun:
                    prev = parse(row.encoded, "the store").prev
                    yield proof.segment(Head(share.node, row.seq - 1, prev))
                    begun = True
                if row.seq <= share.last and _belongs(row, wanted):
                    shown = True
                else:
                    shown = row.kind == CHECKPOINT or (share.node, row.seq) == (own.node, own.first)
                yield row.encoded + b"\n" if shown else proof.foreign(fingerprint(row.encoded))


def _joined(shares: list[_Share], own: _Share) -> list[_Share]:
    """The shares, and the export's own record: one segment where the same checkpoint signs both."""
    newest = shares[-1] if shares and shares[-1].node == own.node else None
    if newest is None or newest.checkpoint not in (None, own.checkpoint):
        return [*shares, own]
    return [*shares[:-1], replace(newest, checkpoint=own.checkpoint)]


def _belongs(row: Row, wanted: Wanted) -> bool:
    begin, end = wanted.begin_ms or 0, wanted.end_ms or _LAST
    return row.organisation == wanted.organisation and begin <= row.time_ms < end


def _rfc3339(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
