"""Freshness stamps: what the keeper says of each computer, and never of anything older than it has seen."""

from dataclasses import dataclass
from typing import Final

from cryptography import x509

from telerelay.authority.signing import Signer, sign_stamp
from telerelay.org.api import OrganisationApi
from telerelay_endpoint.documents import (
    STAMP_LIFE_S,
    Clock,
    Signed,
    verify_computer_document,
    verify_revocations,
)
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.held_documents import HeldDocuments
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.payloads import ComputerDocument, RevocationList, Stamp

RENEW_S: Final = LIMITS["stamp_renew_d"] * 86_400


@dataclass(frozen=True)
class Freshness:
    """What stamping takes."""

    root: x509.Certificate
    signer: Signer
    held: HeldDocuments


def next_stamp(
    document: ComputerDocument, revocations: RevocationList, last: Stamp | None, now: int
) -> Stamp:
    """The stamp that follows `last`. `now`: Unix seconds.

    The epoch is the time, so that a keeper that lost its files still makes stamps that win.
    """
    return Stamp(
        computer=document.computer,
        document_version=document.version,
        revocations_version=revocations.version,
        epoch=max(now, last.epoch + 1) if last else now,
        issued=now,
        expires=now + STAMP_LIFE_S,
    )


def is_due(document: ComputerDocument, revocations: RevocationList, last: Stamp | None, now: int) -> bool:
    """Whether `last` does not say what there is, or says it since a day."""
    if last is None:
        return True
    behind = (last.document_version, last.revocations_version) != (document.version, revocations.version)
    return behind or now - last.issued >= RENEW_S


def stamp_computer(
    computer: bytes, revocations: RevocationList, freshness: Freshness, api: OrganisationApi, clock: Clock
) -> Signed[Stamp]:
    """Look at a computer (ID of 10 bytes), make its next stamp if that is due, publish the newest one.

    Raises TelerelayError: DOCUMENT or POLICY_STALE when the node shows less than was seen; the node's own.
    """
    document = _newest_document(computer, freshness, api, clock).document
    held = freshness.held.stamp(computer)
    last = held.document if held else None
    now = clock.now()
    if held is None or is_due(document, revocations, last, now):
        held = sign_stamp(next_stamp(document, revocations, last, now), freshness.signer)
        # Kept before it leaves: two stamps of one epoch must never exist.
        freshness.held.keep(held)
    api.post_document(held.encoded)
    return held


def newest_revocations(freshness: Freshness, api: OrganisationApi, clock: Clock) -> RevocationList:
    """The organisation's revocation list, no older than the one seen before.

    Raises TelerelayError: DOCUMENT, POLICY_STALE; the node's own.
    """
    encoded = api.revocations()
    if encoded is None:
        raise TelerelayError("POLICY_STALE", "the node shows no revocation list")
    held = freshness.held.revocations()
    revocations = verify_revocations(encoded, freshness.root, clock.now(), held)
    clock.saw(revocations.document.issued)
    if held != revocations:
        freshness.held.keep(revocations)
    return revocations.document


def _newest_document(
    computer: bytes, freshness: Freshness, api: OrganisationApi, clock: Clock
) -> Signed[ComputerDocument]:
    encoded = api.computer_document(computer)
    if encoded is None:
        raise TelerelayError("POLICY_STALE", "the node shows no computer document")
    held = freshness.held.computer(computer)
    document = verify_computer_document(encoded, freshness.root, clock.now(), held)
    if document.document.computer != computer:
        raise TelerelayError("DOCUMENT", "the node shows another computer's document")
    clock.saw(document.document.issued)
    if held != document:
        freshness.held.keep(document)
    return document
