"""Invites and the requests that they admit, as the node keeps them (PROTOCOL.md §10.3)."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from telerelay.store.tables import Device, Enrolment, Invite, Organisation, RevokedDevice
from telerelay_core import format_computer_id
from telerelay_endpoint.certificates import (
    CertificateRefusedError,
    Role,
    encode_certificate,
    parse_certificate,
    requested_key,
    verify_device_chain,
)
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.invite_keys import InviteKind, InviteTerms
from telerelay_endpoint.keys import key_id
from telerelay_endpoint.limits import LIMITS

INVITES_MAXIMUM: Final = LIMITS["api_invites"]
_CHAIN_LENGTH: Final = 3


class State(StrEnum):
    """How far an invite got."""

    OPEN = "open"
    WAITING = "waiting"
    USED = "used"
    REFUSED = "refused"


@dataclass(frozen=True)
class Request:
    """What an endpoint asks with. `k1`, `mac`, `terms_hash`: 32 bytes; `csr`: DER; `invite`: 16 bytes."""

    invite: bytes
    k1: bytes
    csr: bytes
    mac: bytes
    terms_version: int
    terms_hash: bytes
    address: str


@dataclass(frozen=True)
class Released:
    """A chain that was just released: what the audit says of it."""

    device: bytes
    kind: InviteKind
    computer: bytes | None
    terms_version: int
    terms_hash: bytes
    address: str


# ---------------------------------------------------------------- the administrator's side


async def add_invite(
    session: AsyncSession, organisation: bytes, terms: InviteTerms, admit: bytes, now: int
) -> bool:
    """Keep an invite; False for the same one again. Raises TelerelayError(INVITE, REQUEST)."""
    if (terms.computer is None) is not (terms.kind is InviteKind.CLIENT):
        raise TelerelayError("REQUEST", "an agent's invite names a computer, a client's does not")
    if terms.expiry <= now:
        raise TelerelayError("REQUEST", "the invite has expired already")
    row = await session.get(Invite, terms.id)
    if row is not None:
        if (row.organisation, _terms(row), row.admit) != (organisation, terms, admit):
            raise TelerelayError("INVITE", "there is another invite with this id")
        return False
    count = await session.scalar(
        select(func.count())
        .select_from(Invite)
        .outerjoin(Enrolment, Enrolment.invite == Invite.id)
        .where(Invite.organisation == organisation, Invite.expiry > now, Enrolment.invite.is_(None))
    )
    if (count or 0) >= INVITES_MAXIMUM:
        raise TelerelayError("REQUEST", f"{count} invites are open; some have to be used or expire first")
    session.add(
        Invite(
            id=terms.id,
            organisation=organisation,
            kind=terms.kind,
            computer=terms.computer,
            label=terms.label,
            expiry=terms.expiry,
            admit=admit,
        )
    )
    return True


async def invites(session: AsyncSession, organisation: bytes) -> list[tuple[InviteTerms, State]]:
    """Every invite of the organisation and how far it got."""
    rows = await session.execute(
        select(Invite, Enrolment)
        .outerjoin(Enrolment, Enrolment.invite == Invite.id)
        .where(Invite.organisation == organisation)
        .order_by(Invite.expiry, Invite.id)
    )
    return [(_terms(invite), _state(enrolment)) for invite, enrolment in rows.tuples()]


async def waiting(
    session: AsyncSession, organisation: bytes, now: int
) -> list[tuple[InviteTerms, Enrolment]]:
    """The requests that nobody has answered yet and whose invite still holds."""
    rows = await session.execute(
        select(Invite, Enrolment)
        .join(Enrolment, Enrolment.invite == Invite.id)
        .where(
            Invite.organisation == organisation,
            Invite.expiry > now,
            Enrolment.leaf.is_(None),
            Enrolment.refused.is_(None),
        )
        .order_by(Enrolment.requested, Enrolment.invite)
    )
    return [(_terms(invite), enrolment) for invite, enrolment in rows.tuples()]


async def release(
    session: AsyncSession, organisation: bytes, invite: bytes, chain: Sequence[bytes], now: int
) -> Released | None:
    """Check the chain that the organisation signed and release it; None when it was released already.

    Raises TelerelayError: REQUEST (no such request, or the chain does not fit it), INVITE (refused already),
    ID_TAKEN (the computer ID belongs to another key).
    """
    terms, enrolment = await _answerable(session, organisation, invite)
    leaf, issuer = await _check_chain(session, organisation, terms, enrolment, chain, now)
    if enrolment.leaf is not None:
        if (enrolment.leaf, enrolment.issuer) != (leaf, issuer):
            raise TelerelayError("INVITE", "this request has another chain already")
        return None
    await _require_free(session, organisation, terms.computer, enrolment.device)
    enrolment.leaf, enrolment.issuer = leaf, issuer
    await session.merge(
        Device(
            organisation=organisation,
            id=enrolment.device,
            kind=terms.kind,
            label=terms.label,
            computer=terms.computer,
            enrolled=now,
        )
    )
    return Released(
        enrolment.device,
        terms.kind,
        terms.computer,
        enrolment.terms_version,
        enrolment.terms_hash,
        enrolment.address,
    )


async def refuse(session: AsyncSession, organisation: bytes, invite: bytes, code: str) -> None:
    """Refuse a waiting request. Raises TelerelayError: REQUEST (no such request), INVITE (used already)."""
    _, enrolment = await _answerable(session, organisation, invite)
    if enrolment.leaf is not None:
        raise TelerelayError("INVITE", "the chain of this request was released already")
    enrolment.refused = code


# ---------------------------------------------------------------- the endpoint's side


async def ask(session: AsyncSession, request: Request, now: int) -> bytes:
    """Take a request in; the organisation that has to answer it. The same request again changes nothing.

    Raises TelerelayError: INVITE (unknown, expired, used by another key, CSR does not fit), ID_TAKEN,
    REVOKED, SUSPENDED.
    """
    invite = await require_invite(session, request.invite, request.k1)
    if now >= invite.expiry:
        raise TelerelayError("INVITE", "it has expired")
    owner = await session.get_one(Organisation, invite.organisation)
    if owner.suspended is not None:
        raise TelerelayError("SUSPENDED")
    device = _device_of(request.csr, invite.computer)
    if await session.get(RevokedDevice, (invite.organisation, device)) is not None:
        raise TelerelayError("REVOKED")
    enrolment = await session.get(Enrolment, invite.id)
    if enrolment is not None:
        if enrolment.device != device:
            raise TelerelayError(
                "INVITE", "it was used with another key; a machine that was installed anew needs a new one"
            )
        if enrolment.leaf is None and enrolment.refused is None:
            # A new CSR of the same key: its MAC belongs to it.
            enrolment.csr, enrolment.mac = request.csr, request.mac
        return invite.organisation
    await _require_free(session, invite.organisation, invite.computer, device)
    session.add(
        Enrolment(
            invite=invite.id,
            device=device,
            csr=request.csr,
            mac=request.mac,
            terms_version=request.terms_version,
            terms_hash=request.terms_hash,
            address=request.address,
            requested=now,
        )
    )
    return invite.organisation


async def answer(session: AsyncSession, invite: bytes, k1: bytes) -> list[bytes] | None:
    """The chain with the root at its end, or None while nobody answered. Raises TelerelayError(INVITE)."""
    row = await require_invite(session, invite, k1)
    enrolment = await session.get(Enrolment, row.id)
    if enrolment is None:
        raise TelerelayError("INVITE", "nobody has asked with it yet")
    if enrolment.refused is not None:
        raise TelerelayError("INVITE", f"the organisation refused the request ({enrolment.refused})")
    if enrolment.leaf is None or enrolment.issuer is None:
        return None
    owner = await session.get_one(Organisation, row.organisation)
    return [enrolment.leaf, enrolment.issuer, owner.root]


async def require_invite(session: AsyncSession, invite: bytes, k1: bytes) -> Invite:
    """The invite whose k1 this is. Raises TelerelayError(INVITE), alike for an unknown id and a wrong key."""
    row = await session.get(Invite, invite)
    admit = row.admit if row is not None else bytes(32)
    if not hmac.compare_digest(admit, hashlib.sha256(k1).digest()) or row is None:
        raise TelerelayError("INVITE", "there is no such invite")
    return row


# ---------------------------------------------------------------- parts


def _terms(invite: Invite) -> InviteTerms:
    return InviteTerms(invite.id, InviteKind(invite.kind), invite.computer, invite.label, invite.expiry)


def _state(enrolment: Enrolment | None) -> State:
    if enrolment is None:
        return State.OPEN
    if enrolment.refused is not None:
        return State.REFUSED
    return State.WAITING if enrolment.leaf is None else State.USED


async def _answerable(
    session: AsyncSession, organisation: bytes, invite: bytes
) -> tuple[InviteTerms, Enrolment]:
    row = await session.get(Invite, invite)
    enrolment = await session.get(Enrolment, invite, with_for_update=True)
    if row is None or row.organisation != organisation or enrolment is None:
        raise TelerelayError("REQUEST", "there is no such request")
    if enrolment.refused is not None:
        raise TelerelayError("INVITE", "this request was refused already")
    return _terms(row), enrolment


async def _require_free(
    session: AsyncSession, organisation: bytes, computer: bytes | None, device: bytes
) -> None:
    """A computer ID belongs to the first key that enrolled with it."""
    if computer is None:
        return
    query = select(Device.id).where(Device.organisation == organisation, Device.computer == computer)
    owner = await session.scalar(query)
    if owner is not None and owner != device:
        raise TelerelayError(
            "ID_TAKEN",
            f"{format_computer_id(computer)} stays with the key that was certified for it first; "
            "a computer that was installed anew gets another ID, with a new invite",
        )


def _device_of(csr: bytes, computer: bytes | None) -> bytes:
    try:
        return key_id(requested_key(csr, computer))
    except CertificateRefusedError as error:
        raise TelerelayError("INVITE", f"the certificate request: {error}") from error


async def _check_chain(
    session: AsyncSession,
    organisation: bytes,
    terms: InviteTerms,
    enrolment: Enrolment,
    chain: Sequence[bytes],
    now: int,
) -> tuple[bytes, bytes]:
    owner = await session.get_one(Organisation, organisation)
    try:
        if len(chain) != _CHAIN_LENGTH:
            raise CertificateRefusedError(f"there are {len(chain)} certificates, not leaf, issuer and root")
        leaf, issuer, root = (parse_certificate(der) for der in chain)
        if encode_certificate(root) != owner.root:
            raise CertificateRefusedError("its root is not the one that was admitted")
        identity = verify_device_chain(leaf, issuer, root, now)
    except CertificateRefusedError as error:
        raise TelerelayError("REQUEST", f"the chain: {error}") from error
    if identity.device != enrolment.device:
        raise TelerelayError("REQUEST", "the chain: it is for another key than the request's")
    if identity.role != Role(terms.kind) or identity.computer != terms.computer:
        raise TelerelayError("REQUEST", "the chain: it is for another role or computer than the invite's")
    return encode_certificate(leaf), encode_certificate(issuer)
