"""The operator ends sessions (`node cut`): recorded with who and why before it is done."""

from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy import select

from telerelay.audit import records
from telerelay.audit.spool import Spool
from telerelay.node.draining import Draining
from telerelay.store.engine import Store
from telerelay.store.tables import Device
from telerelay_endpoint.errors import TelerelayError

CODE: Final = "CUT"
_HEX_DIGITS: Final = 64


class Cutter(Protocol):
    """The methods of `telerelay_core.Node` that end sessions."""

    def cut(self, organisation: bytes | None, device: bytes | None, code: str) -> int: ...
    def cut_attempt(self, attempt: str, code: str) -> int: ...


@dataclass(frozen=True)
class Target:
    """Whose sessions end: an attempt's (as shown), a device's, an organisation's; everybody's for none."""

    organisation: bytes | None = None
    device: bytes | None = None
    attempt: str | None = None


@dataclass(frozen=True)
class Word:
    """Who ends them, and why; it stands in the audit."""

    by: str
    reason: str


class Cutting:
    """One node's sessions, ended by its operator. Nothing ends whose record cannot be made durable."""

    def __init__(self, store: Store, spool: Spool, data_plane: Cutter, draining: Draining) -> None:
        self._store = store
        self._spool = spool
        self._data_plane = data_plane
        self._draining = draining

    async def cut(self, target: Target, word: Word) -> int:
        """End the sessions and requests of `target`; how many there were.

        Raises TelerelayError(AUDIT_UNAVAILABLE).
        """
        await self._record(target, word)
        if target.attempt is not None:
            return self._data_plane.cut_attempt(target.attempt, CODE)
        return self._data_plane.cut(target.organisation, target.device, CODE)

    async def force_drain(self, word: Word) -> int:
        """End everything that runs while nothing new is taken. Raises TelerelayError(AUDIT_UNAVAILABLE)."""
        await self._record(Target(), word)
        return self._draining.force()

    async def find_device(self, typed: str) -> Target:
        """The one device whose ID begins with `typed` (hex digits). Raises TelerelayError(REQUEST, STORE)."""
        first, last = (bytes.fromhex(typed.ljust(_HEX_DIGITS, end)) for end in "0f")
        async with self._store.reading() as session:
            found = await session.execute(
                select(Device.organisation, Device.id).where(Device.id.between(first, last)).limit(2)
            )
        rows = found.tuples().all()
        if len(rows) != 1:
            how_many = "more than one" if rows else "no"
            raise TelerelayError("REQUEST", f"{how_many} device has an ID that begins with {typed}")
        organisation, device = rows[0]
        return Target(organisation=organisation, device=device)

    async def _record(self, target: Target, word: Word) -> None:
        await self._spool.write(
            [
                records.cut(
                    organisation=target.organisation,
                    device=target.device,
                    attempt=target.attempt,
                    by=word.by,
                    reason=word.reason,
                )
            ]
        )
