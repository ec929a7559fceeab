"""What changes by the API: written in one transaction, recorded, and then told to whoever has to know."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from telerelay.audit import records
from telerelay.audit.spool import Spool
from telerelay.documents.news import news_of_document
from telerelay.documents.storing import Stored, store_document
from telerelay.node import enrolling
from telerelay.node.admitting import Admitting
from telerelay.node.core import NEWS_NAMES, DataPlane
from telerelay.node.cutting import Cutting
from telerelay.node.draining import Draining
from telerelay.node.waiting import Waiting
from telerelay.presence.contract import Presence
from telerelay.store.engine import Store
from telerelay.store.snapshot import Snapshots
from telerelay_core import format_computer_id
from telerelay_endpoint.certificates import Role
from telerelay_endpoint.invite_keys import InviteTerms


@dataclass(frozen=True)
class Administration:
    """One node's administration. A change whose record cannot be made durable is not made."""

    store: Store
    spool: Spool
    snapshots: Snapshots
    presence: Presence
    data_plane: DataPlane
    admitting: Admitting
    draining: Draining
    cutting: Cutting
    waiting: Waiting = field(default_factory=Waiting)

    def now(self) -> int:
        """Unix seconds."""
        return int(time.time())

    # ------------------------------------------------------------ an organisation's

    async def post_document(self, organisation: bytes, device: bytes, role: Role, encoded: bytes) -> Stored:
        """Store a document that `device` brought, and tell agents and keepers of it.

        Raises TelerelayError: REQUEST, DOCUMENT, POLICY_STALE, STORE, AUDIT_UNAVAILABLE.
        """
        async with self.store.writing() as session:
            stored = await store_document(session, organisation, role, encoded, self.now())
            if stored.new:
                await self.spool.write(_document_records(organisation, device, stored))
        if not stored.new:
            return stored
        self.snapshots.changed(organisation)
        self.waiting.tell(("changes", organisation))
        if stored.revoked:
            await self.admitting.apply()
        async with self.store.reading() as session:
            told = await news_of_document(session, organisation, stored.kind, stored.computer, stored.version)
        for news in told:
            self.data_plane.news(
                news.organisation, news.device, NEWS_NAMES[news.kind], news.version, news.document
            )
        return stored

    async def add_invite(self, organisation: bytes, terms: InviteTerms, admit: bytes) -> bool:
        """Keep an invite; False for the same one again. Raises TelerelayError(INVITE, REQUEST, STORE)."""
        async with self.store.writing() as session:
            return await enrolling.add_invite(session, organisation, terms, admit, self.now())

    async def ask(self, request: enrolling.Request) -> None:
        """Take an endpoint's request in.

        Raises TelerelayError: INVITE, ID_TAKEN, REVOKED, SUSPENDED, STORE.
        """
        # A stranger without an invite must not hold the turn of those who write.
        async with self.store.reading() as session:
            await enrolling.require_invite(session, request.invite, request.k1)
        async with self.store.writing() as session:
            organisation = await enrolling.ask(session, request, self.now())
        self.waiting.tell(("enrolments", organisation))

    async def release(self, organisation: bytes, invite: bytes, chain: Sequence[bytes]) -> None:
        """Release the chain that the organisation signed.

        Raises TelerelayError: REQUEST, INVITE, ID_TAKEN, STORE, AUDIT_UNAVAILABLE.
        """
        async with self.store.writing() as session:
            released = await enrolling.release(session, organisation, invite, chain, self.now())
            if released is not None:
                await session.flush()
                await self.spool.write([_enrol_record(organisation, invite, released)])
        self.waiting.tell(("answer", invite))

    async def refuse(self, organisation: bytes, invite: bytes, code: str) -> None:
        """Refuse a waiting request. Raises TelerelayError(REQUEST, INVITE, STORE)."""
        async with self.store.writing() as session:
            await enrolling.refuse(session, organisation, invite, code)
        self.waiting.tell(("answer", invite))


def _document_records(organisation: bytes, by: bytes, stored: Stored) -> list[records.Record]:
    computer = None if stored.computer is None else format_computer_id(stored.computer)
    return [
        records.document(
            organisation=organisation,
            document=stored.kind,
            computer=computer,
            version=stored.version,
            sha256=stored.sha256,
            by=by,
        ),
        *(
            records.revoke(organisation=organisation, device=device, version=stored.version, by=by)
            for device in sorted(stored.revoked)
        ),
    ]


def _enrol_record(organisation: bytes, invite: bytes, released: enrolling.Released) -> records.Record:
    return records.enrol(
        organisation=organisation,
        device=released.device,
        role=released.kind,
        computer=None if released.computer is None else format_computer_id(released.computer),
        invite=invite,
        terms_version=released.terms_version,
        terms_hash=released.terms_hash,
        address=released.address,
    )
