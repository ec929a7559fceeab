"""What expires, counted for monitoring: whose it is stands in no number."""

import asyncio
import time
from typing import Final

import structlog
from sqlalchemy import ColumnElement, Integer, Select, and_, case, func, select

from telerelay.store.engine import Store
from telerelay.store.tables import ComputerDocument, Stamp
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS

LOOK_S: Final = LIMITS["expiry_look_s"]


class Ageing:
    """Looks at all documents and stamps of the store now and then; a scrape asks for the last look."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._log = structlog.get_logger("documents")
        self._found = {"computers": 0, "document_expires": 0, "documents_expired": 0, "stamps_stale": 0}

    def statistics(self) -> dict[str, int]:
        """Computers, the next expiry of a document (Unix seconds, 0 for none), what has expired."""
        return dict(self._found)

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look(int(time.time()))
            except TelerelayError as error:
                self._log.error("what expires is not known", reason=error.detail)
            await asyncio.sleep(LOOK_S)

    async def look(self, now: int) -> None:
        """Count what stands at `now`, Unix seconds. Raises TelerelayError(STORE)."""
        async with self._store.reading() as session:
            row = (await session.execute(_counts(now))).one()
        self._found = dict(row._mapping)  # noqa: SLF001 — the documented way to a row's names


def _counts(now: int) -> Select[tuple[int, int, int, int]]:
    expired = ComputerDocument.expires <= now
    stale = Stamp.expires.is_(None) | (Stamp.expires <= now)
    return (
        select(
            func.count().label("computers"),
            func.coalesce(func.min(case((~expired, ComputerDocument.expires))), 0).label("document_expires"),
            _how_many(expired).label("documents_expired"),
            _how_many(stale).label("stamps_stale"),
        )
        .select_from(ComputerDocument)
        .outerjoin(
            Stamp,
            and_(
                Stamp.organisation == ComputerDocument.organisation,
                Stamp.computer == ComputerDocument.computer,
            ),
        )
    )


def _how_many(what: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(func.cast(what, Integer)), 0)
