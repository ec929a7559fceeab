"""Whom the data plane lets in: changed in the store, recorded, and told in the order in which it changed."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from cryptography import x509
from sqlalchemy.ext.asyncio import AsyncSession

from telerelay.audit import records
from telerelay.audit.spool import Spool
from telerelay.node import admission
from telerelay.node.core import DataPlane
from telerelay.node.together import Together
from telerelay.store.engine import Store
from telerelay.store.snapshot import Snapshots
from telerelay_core import CoreError
from telerelay_endpoint.certificates import organisation_id
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS

LOOK_S: Final = LIMITS["lapse_look_s"]


@dataclass(frozen=True)
class _Asked:
    root: x509.Certificate
    reason: str
    sessions: int | None
    until: int | None

    @property
    def organisation(self) -> bytes:
        return organisation_id(self.root)

    @property
    def record(self) -> records.Record:
        return records.admit(
            organisation=self.organisation,
            action="admitted",
            reason=self.reason,
            sessions=self.sessions,
            until=self.until,
        )


class Admitting:
    """One node's admission of organisations. A change whose record cannot be made durable is not made.

    What the data plane is told is the whole list, which takes as long for one organisation as for a thousand.
    So organisations that are admitted at the same time share it, with their transaction and its sync.
    """

    def __init__(self, store: Store, spool: Spool, snapshots: Snapshots, data_plane: DataPlane) -> None:
        self._store = store
        self._spool = spool
        self._snapshots = snapshots
        self._data_plane = data_plane
        self._admissions = Together(self._admit)
        self._log = structlog.get_logger("node")
        self._telling = asyncio.Lock()
        """Held from before the store is read until the data plane knows: nobody tells it something older."""
        self._told = {"admission_told": 0, "organisations.staff": 0, "organisations.test": 0}

    async def admit(
        self, root: x509.Certificate, reason: str, sessions: int | None = None, until: int | None = None
    ) -> bool:
        """Admit an organisation, or lift its suspension; whether that changed anything.

        `sessions`: how many it may have at once; `until`: when its admission for a test ends (Unix seconds).
        None leaves either as it is.

        Raises TelerelayError: CERTIFICATE (the data plane refuses the root), REQUEST (`until` has passed, or
        it is no test's), STORE, AUDIT_UNAVAILABLE.
        """
        return await self._admissions.do(_Asked(root, reason, sessions, until))

    async def suspend(self, organisation: bytes, reason: str) -> bool:
        """Suspend an organisation and cut its sessions; whether that changed anything.

        Raises TelerelayError: REQUEST (not admitted), STORE, AUDIT_UNAVAILABLE.
        """
        record = records.admit(organisation=organisation, action="suspended", reason=reason)
        async with self._store.writing() as session:
            changed = await admission.suspend(session, organisation, int(time.time()))
            if changed:
                await self._spool.write([record])
        self._snapshots.changed(organisation)
        await self.apply()
        return changed

    async def suspend_lapsed(self) -> None:
        """Suspend the tests whose admission has ended. Raises TelerelayError: STORE, AUDIT_UNAVAILABLE."""
        async with self._store.reading() as session:
            ended = await admission.lapsed(session, int(time.time()))
        for organisation in ended:
            await self.suspend(organisation, "its admission for a test has ended")

    async def watch(self) -> None:
        """Suspend what lapses, until cancelled."""
        while True:
            try:
                await self.suspend_lapsed()
            except TelerelayError as error:
                self._log.error("a test whose admission has ended goes on", reason=error.detail)
            await asyncio.sleep(LOOK_S)

    def statistics(self) -> dict[str, int]:
        """When the data plane was last told whom to let in (Unix seconds), and how many organisations."""
        return dict(self._told)

    async def apply(self) -> None:
        """Tell the data plane whom to admit; sessions of whoever is not admitted any more end.

        Raises TelerelayError(STORE).
        """
        async with self._telling:
            await self._apply()

    async def _admit(self, asked: Sequence[_Asked]) -> list[bool]:
        now = int(time.time())
        async with self._telling:
            try:
                async with self._store.writing() as session:
                    changed = [
                        await admission.admit(session, one.root, one.sessions, one.until, now)
                        for one in asked
                    ]
                    if any(changed):
                        await session.flush()
                        # Before anything is kept: a root that is refused would block later changes.
                        await self._tell(session)
                        new = zip(asked, changed, strict=True)
                        await self._spool.write([one.record for one, is_new in new if is_new])
            except BaseException:
                await self._apply()
                raise
        for one in asked:
            self._snapshots.changed(one.organisation)
        return changed

    async def _apply(self) -> None:
        async with self._store.reading() as session:
            await self._tell(session)

    async def _tell(self, session: AsyncSession) -> None:
        admitted = await admission.admission(session)
        try:
            # In a thread: thousands of roots take longer to read than the loop may stand still.
            await asyncio.to_thread(
                self._data_plane.set_snapshot,
                organisations=admitted.organisations,
                revoked=admitted.revoked,
                nodes_version=admitted.nodes_version,
                sessions=admitted.sessions,
                tests=admitted.tests,
            )
        except CoreError as error:
            raise TelerelayError.from_core(error) from error
        self._told = {
            "admission_told": int(time.time()),
            **{f"organisations.{purpose}": number for purpose, number in admitted.let_in.items()},
        }
