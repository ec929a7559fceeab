"""What the node writes down about devices as they come and go, and what it tells agents that just came.

Both go to and from SQL in batches, behind the events: a morning's thousands cost some hundred statements.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final, TypeVar

import structlog
from sqlalchemy import bindparam, update

from telerelay.documents.news import news_for
from telerelay.node.core import NEWS_NAMES, DataPlane
from telerelay.store.engine import Store
from telerelay.store.tables import Device
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS

TOLD: Final = LIMITS["newcomers"]
GATHER_S: Final = LIMITS["newcomers_gather_ms"] / 1_000
STORM: Final = LIMITS["newcomers_storm"]
STORM_S: Final = LIMITS["newcomers_storm_s"]
WRITTEN: Final = LIMITS["sightings"]
SEEN_S: Final = LIMITS["last_seen_s"]
RETRY_S: Final = LIMITS["registry_retry_s"]

_Value = TypeVar("_Value")


class Registry:
    """Two tasks: one tells newcomers, one writes sightings. Both are bounded by the number of devices."""

    def __init__(self, store: Store, data_plane: DataPlane) -> None:
        self._store = store
        self._data_plane = data_plane
        self._log = structlog.get_logger("registry")
        self._newcomers: dict[tuple[bytes, bytes], bytes] = {}
        self._came = asyncio.Event()
        self._seen: dict[tuple[bytes, bytes], int] = {}
        self._flagged: dict[tuple[bytes, bytes], tuple[str, int]] = {}

    def seen(self, organisation: bytes, device: bytes) -> None:
        """The device was at this node now."""
        self._seen[(organisation, device)] = int(time.time())

    def flagged(self, organisation: bytes, device: bytes, code: str) -> None:
        """An administrator should look at the device."""
        self._flagged[(organisation, device)] = (code, int(time.time()))

    def newcomer(self, organisation: bytes, computer: bytes, device: bytes) -> None:
        """The agent's ready connection stands: it is told of its documents."""
        self._newcomers[(organisation, device)] = computer
        self._came.set()

    def statistics(self) -> dict[str, int]:
        """What waits to be told or written."""
        return {"newcomers_waiting": len(self._newcomers), "sightings_waiting": len(self._seen)}

    async def tell_newcomers(self) -> None:
        """Work until cancelled."""
        while True:
            await self._came.wait()
            self._came.clear()
            while batch := list(islice(self._newcomers.items(), TOLD)):
                try:
                    async with self._store.reading() as session:
                        told = await news_for(
                            session, [(key[0], computer, key[1]) for key, computer in batch]
                        )
                except TelerelayError as error:
                    self._log.error("agents are not told of their documents", reason=error.detail)
                    await asyncio.sleep(RETRY_S)
                    continue
                for key, _ in batch:
                    self._newcomers.pop(key, None)
                for news in told:
                    self._data_plane.news(
                        news.organisation, news.device, NEWS_NAMES[news.kind], news.version, news.document
                    )
            await self._gather()

    async def _gather(self) -> None:
        """Let more come.

        An agent dials anew behind each session: looked up one by one they cost more than the sessions. When
        everybody comes back at once, look-ups would take the processor from handshakes: they wait for those.
        """
        for _ in range(round(STORM_S / GATHER_S)):
            before = len(self._newcomers)
            await asyncio.sleep(GATHER_S)
            if len(self._newcomers) - before < STORM:
                return

    async def write_sightings(self) -> None:
        """Work until cancelled."""
        while True:
            await asyncio.sleep(SEEN_S)
            try:
                await self.flush()
            except TelerelayError as error:
                self._log.error("sightings are not written", reason=error.detail)

    async def flush(self) -> None:
        """Write what was gathered, a batch at a time: thousands in one statement would hold the event loop.

        Raises TelerelayError(STORE); what was not written is kept.
        """
        await self._write(self._seen, lambda at: {"last_seen": at})
        await self._write(self._flagged, lambda flag: {"flagged": flag[0], "flagged_at": flag[1]})

    async def _write(
        self, gathered: dict[tuple[bytes, bytes], _Value], columns: Callable[[_Value], Mapping[str, object]]
    ) -> None:
        # What it sets are the columns that its parameters name.
        statement = update(Device).where(
            Device.organisation == bindparam("of"), Device.id == bindparam("device")
        )
        entries = list(gathered.items())
        for first in range(0, len(entries), WRITTEN):
            batch = entries[first : first + WRITTEN]
            async with self._store.writing() as session:
                connection = await session.connection()
                await connection.execute(
                    statement, [{"of": key[0], "device": key[1], **columns(value)} for key, value in batch]
                )
            for key, value in batch:
                # A sighting that came meanwhile is newer.
                if gathered.get(key) == value:
                    del gathered[key]
