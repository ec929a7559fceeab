"""Moves durable records from the spool to SQL, in their order, and closes what a crash left open (§14)."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from telerelay.audit.chain import Head, fingerprint
from telerelay.audit.records import end_by_crash
from telerelay.audit.spool import Spool
from telerelay.audit.spool_files import Line, left_files, parse, read_left, read_lines, remove
from telerelay.store.engine import Store
from telerelay.store.tables import AuditRecord, OpenAttempt
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS

GATHER_S: Final = LIMITS["audit_gather_ms"] / 1_000
RETRY_S: Final = LIMITS["audit_move_retry_s"]
REACH_S: Final = LIMITS["audit_reach_s"]


class Mover:
    """Follows one spool; it alone writes this node's records to SQL."""

    def __init__(self, store: Store, node: str) -> None:
        self._store = store
        self._node = node
        self._progress = asyncio.Event()
        self._moved = asyncio.Condition()
        self._last = 0
        self._log = structlog.get_logger("audit")
        self._offset = 0

    def progressed(self) -> None:
        """The spool has more."""
        self._progress.set()

    async def take_over(self, folder: Path) -> Head:
        """Move what an earlier process left, remove its files; where the chain stands.

        Raises TelerelayError(STORE), OSError.
        """
        head = await self._stored_head()
        self._last = head.seq
        for file, end in await asyncio.to_thread(left_files, folder):
            for lines in read_left(file, end):
                new = [line for line in lines if line.seq > head.seq]
                if new:
                    await self._move(new)
                    head = self._head_behind(new[-1])
            await asyncio.to_thread(remove, file)
        return head

    def skip_to(self, head: Head) -> None:
        """What stands before `head` and was not found is lost: nobody waits for it."""
        self._last = head.seq

    async def close_lost(self, spool: Spool) -> int:
        """Write the terminal record of each attempt that a crash of this node ended; how many there were.

        Raises TelerelayError(STORE, AUDIT_UNAVAILABLE).
        """
        async with self._store.reading() as session:
            query = select(OpenAttempt).where(OpenAttempt.node == self._node).order_by(OpenAttempt.path)
            lost = (await session.scalars(query)).all()
        await spool.write([end_by_crash(attempt=row.attempt, path=row.path) for row in lost])
        return len(lost)

    async def follow(self, spool: Spool) -> None:
        """Move until cancelled. A database that refuses is tried again: the spool holds what waits."""
        while True:
            await self._progress.wait()
            self._progress.clear()
            try:
                await self.catch_up(spool)
            except (TelerelayError, OSError) as error:
                self._log.error("audit records stay in the spool", reason=str(error))
                self._progress.set()
                await asyncio.sleep(RETRY_S)
            else:
                await asyncio.sleep(GATHER_S)

    async def reached(self, seq: int) -> None:
        """Return when this record is in SQL. Raises TelerelayError(TRY_LATER)."""
        try:
            async with asyncio.timeout(REACH_S), self._moved:
                await self._moved.wait_for(lambda: self._last >= seq)
        except TimeoutError:
            raise TelerelayError("TRY_LATER", "the newest records wait for the database") from None

    async def catch_up(self, spool: Spool) -> None:
        """Move all that is durable by now. Raises TelerelayError(STORE), OSError."""
        files = spool.unmoved()
        for file in files:
            while self._offset < file.size:
                lines, offset = await asyncio.to_thread(read_lines, file, self._offset)
                await self._move(lines)
                spool.moved(offset - self._offset, None)
                self._offset = offset
            if file is not files[-1]:
                await asyncio.to_thread(remove, file)
                spool.moved(0, file)
                self._offset = 0

    async def _move(self, lines: Sequence[Line]) -> None:
        async with self._store.writing() as session:
            organisations = await self._follow_attempts(session, lines)
            rows = [self._row(line, organisations) for line in lines]
            await session.execute(insert(AuditRecord), rows)
        async with self._moved:
            self._last = lines[-1].seq
            self._moved.notify_all()

    async def _follow_attempts(self, session: AsyncSession, lines: Sequence[Line]) -> dict[str, str]:
        """Note each START, forget it at its END; the organisation of every path that ends (hex both)."""
        started = {line.fields["path"]: line.fields for line in lines if line.fields["kind"] == "START"}
        ended = {
            line.fields["path"] for line in lines if line.fields["kind"] == "END" and "path" in line.fields
        }
        earlier = [bytes.fromhex(path) for path in ended if path not in started]
        known = await session.scalars(select(OpenAttempt).where(OpenAttempt.path.in_(earlier)))
        organisations = {row.path.hex(): row.organisation.hex() for row in known}
        organisations |= {path: fields["organisation"] for path, fields in started.items()}
        await session.execute(delete(OpenAttempt).where(OpenAttempt.path.in_(earlier)))
        still_open = [
            {
                "path": bytes.fromhex(path),
                "node": self._node,
                "attempt": fields["attempt"],
                "organisation": bytes.fromhex(fields["organisation"]),
            }
            for path, fields in started.items()
            if path not in ended
        ]
        if still_open:
            await session.execute(insert(OpenAttempt), still_open)
        return organisations

    def _row(self, line: Line, organisations: dict[str, str]) -> dict[str, object]:
        fields = line.fields
        organisation = fields.get("organisation") or organisations.get(fields.get("path", ""))
        return {
            "node": self._node,
            "seq": line.seq,
            "kind": fields["kind"],
            "time": int(datetime.fromisoformat(fields["time"]).timestamp() * 1000),
            "organisation": None if organisation is None else bytes.fromhex(organisation),
            "attempt": fields.get("attempt"),
            "record": line.encoded,
        }

    async def _stored_head(self) -> Head:
        query = (
            select(AuditRecord.record)
            .where(AuditRecord.node == self._node)
            .order_by(AuditRecord.seq.desc())
            .limit(1)
        )
        async with self._store.reading() as session:
            last = await session.scalar(query)
        return Head.of_nothing(self._node) if last is None else self._head_behind(parse(last, "the store"))

    def _head_behind(self, line: Line) -> Head:
        return Head(self._node, line.seq - 1, line.prev).after(fingerprint(line.encoded))
