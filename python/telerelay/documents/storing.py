"""Takes a signed document in: verified once, here, and kept as the bytes that came (PROTOCOL.md §9, §11)."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from telerelay.store import tables
from telerelay_endpoint import cose
from telerelay_endpoint.certificates import Role, parse_certificate
from telerelay_endpoint.documents import (
    Kind,
    Signed,
    kind_of,
    verify_computer_document,
    verify_revocations,
    verify_stamp,
)
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.payloads import ComputerDocument, RevocationList, Stamp
from telerelay_endpoint.strict_cbor import FormRefusedError

POSTERS: Final = {Kind.COMPUTER: Role.ADMIN, Kind.REVOCATIONS: Role.ADMIN, Kind.STAMP: Role.KEEPER}
"""Whose certificate may bring which kind. Its signature is another matter, and the one that counts."""
NUMBER_MAXIMUM: Final = LIMITS["document_number"]


@dataclass(frozen=True)
class Stored:
    """What became of a document. `new` is False for the very bytes that were held already.

    `version` is what its kind is ordered by; `computer` is None for a revocation list; `revoked` are the
    devices that this list took away and the one before it did not.
    """

    kind: Kind
    computer: bytes | None
    version: int
    sha256: bytes
    new: bool
    revoked: frozenset[bytes] = frozenset()


async def store_document(
    session: AsyncSession, organisation: bytes, poster: Role, encoded: bytes, now: int
) -> Stored:
    """Verify `encoded` for `organisation` and keep it, inside the caller's transaction. `now`: Unix seconds.

    Raises TelerelayError: REQUEST (not for this certificate), DOCUMENT, POLICY_STALE.
    """
    kind = kind_of(encoded)
    if POSTERS.get(kind) is not poster:
        raise TelerelayError("REQUEST", f"a certificate of role {poster} does not bring a {kind} document")
    # Two posts for one organisation take turns, so that neither overtakes the version the other checked.
    row = await session.get_one(tables.Organisation, organisation, with_for_update=True)
    take = {Kind.COMPUTER: _take_computer, Kind.STAMP: _take_stamp, Kind.REVOCATIONS: _take_revocations}[kind]
    stored = await take(session, row, encoded, now)
    if stored.new:
        await session.flush()
    return stored


async def _take_computer(
    session: AsyncSession, owner: tables.Organisation, encoded: bytes, now: int
) -> Stored:
    claimed = _claimed_computer(ComputerDocument, encoded)
    held = await session.get(tables.ComputerDocument, (owner.id, claimed)) if claimed else None
    before = None if held is None else Signed(ComputerDocument.decode(_payload(held.body)), held.body)
    signed = verify_computer_document(encoded, _root(owner), now, before)
    document = signed.document
    stored = _stored(Kind.COMPUTER, document.computer, document.version, encoded, held)
    if stored.new:
        bounds = (bound for grant in document.grants for bound in (grant.not_before, grant.not_after))
        _require_storable(
            [document.version, document.expires, *(bound for bound in bounds if bound is not None)]
        )
        same = (tables.Grant.organisation == owner.id, tables.Grant.computer == document.computer)
        await session.execute(delete(tables.Grant).where(*same))
        await session.merge(
            tables.ComputerDocument(
                organisation=owner.id,
                computer=document.computer,
                agent=document.agent,
                version=document.version,
                expires=document.expires,
                services=" ".join(document.rules.services),
                label=document.label,
                body=encoded,
                changed=_next_version(owner),
            )
        )
        await session.flush()
        grants = [
            {
                "organisation": owner.id,
                "computer": document.computer,
                "position": position,
                "client": grant.client,
                "not_before": grant.not_before,
                "not_after": grant.not_after,
            }
            for position, grant in enumerate(document.grants)
        ]
        if grants:
            await session.execute(insert(tables.Grant), grants)
    return stored


async def _take_stamp(session: AsyncSession, owner: tables.Organisation, encoded: bytes, now: int) -> Stored:
    claimed = _claimed_computer(Stamp, encoded)
    held = await session.get(tables.Stamp, (owner.id, claimed)) if claimed else None
    before = None if held is None else Signed(Stamp.decode(_payload(held.body)), held.body)
    signed = verify_stamp(encoded, _root(owner), now, before)
    stamp = signed.document
    stored = _stored(Kind.STAMP, stamp.computer, stamp.epoch, encoded, held)
    if stored.new:
        _require_storable([stamp.epoch, stamp.document_version, stamp.revocations_version, stamp.expires])
        await session.merge(
            tables.Stamp(
                organisation=owner.id,
                computer=stamp.computer,
                epoch=stamp.epoch,
                document_version=stamp.document_version,
                revocations_version=stamp.revocations_version,
                issued=stamp.issued,
                expires=stamp.expires,
                body=encoded,
                changed=_next_version(owner),
            )
        )
    return stored


async def _take_revocations(
    session: AsyncSession, owner: tables.Organisation, encoded: bytes, now: int
) -> Stored:
    held = await session.get(tables.RevocationList, owner.id)
    before = None if held is None else Signed(RevocationList.decode(_payload(held.body)), held.body)
    signed = verify_revocations(encoded, _root(owner), now, before)
    revocations = signed.document
    known = frozenset(
        await session.scalars(
            select(tables.RevokedDevice.device).where(tables.RevokedDevice.organisation == owner.id)
        )
    )
    added = revocations.devices - known
    stored = _stored(Kind.REVOCATIONS, None, revocations.version, encoded, held, revoked=added)
    if stored.new:
        _require_storable([revocations.version])
        await session.merge(
            tables.RevocationList(
                organisation=owner.id,
                version=revocations.version,
                body=encoded,
                changed=_next_version(owner),
            )
        )
        if added:
            rows = [{"organisation": owner.id, "device": device} for device in sorted(added)]
            await session.execute(insert(tables.RevokedDevice), rows)
    return stored


# ---------------------------------------------------------------- parts


def _root(owner: tables.Organisation) -> x509.Certificate:
    return parse_certificate(owner.root)


def _payload(encoded: bytes) -> bytes:
    """The payload of what was verified when it was stored."""
    return cose.take_apart(encoded).payload


def _claimed_computer(kind: type[ComputerDocument] | type[Stamp], encoded: bytes) -> bytes | None:
    """Whose document it claims to be, to find the one that is held; None where the check will refuse it."""
    try:
        return kind.decode(_payload(encoded)).computer
    except FormRefusedError:
        return None


def _stored(
    kind: Kind,
    computer: bytes | None,
    version: int,
    encoded: bytes,
    held: tables.ComputerDocument | tables.Stamp | tables.RevocationList | None,
    revoked: frozenset[bytes] = frozenset(),
) -> Stored:
    new = held is None or held.body != encoded
    return Stored(kind, computer, version, hashlib.sha256(encoded).digest(), new, revoked)


def _require_storable(numbers: Iterable[int]) -> None:
    if max(numbers) > NUMBER_MAXIMUM:
        raise TelerelayError("DOCUMENT", f"a version or time in it is above {NUMBER_MAXIMUM}")


def _next_version(owner: tables.Organisation) -> int:
    owner.version += 1
    return owner.version
