"""Which organisations this cluster admits: the operator's acts, and what the data plane admits HELLO by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from cryptography import x509
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from telerelay.node.flags import is_flagged
from telerelay.store.tables import Device, NodeList, Organisation, RevokedDevice
from telerelay_endpoint.certificates import (
    CertificateRefusedError,
    encode_certificate,
    organisation_id,
    parse_chain,
    verify_root,
)
from telerelay_endpoint.errors import TelerelayError

Purpose: TypeAlias = Literal["staff", "test"]
"""What an organisation is admitted for: the work of its staff, or a test that has an end."""


@dataclass(frozen=True)
class Admitted:
    """An organisation as the operator sees it. Times are Unix seconds; `name` is for people only."""

    organisation: bytes
    name: str
    admitted: int
    suspended: int | None
    devices: int
    sessions: int | None
    until: int | None
    flagged: int


@dataclass(frozen=True)
class Admission:
    """What `Node.set_snapshot` takes: (root, suspended), revoked devices of each, quotas, tests."""

    organisations: Sequence[tuple[bytes, bool]]
    revoked: Sequence[tuple[bytes, Sequence[bytes]]]
    nodes_version: int
    sessions: Sequence[tuple[bytes, int]]
    tests: Sequence[bytes]
    let_in: Mapping[Purpose, int]
    """How many organisations are let in."""


def read_root(pem: bytes) -> x509.Certificate:
    """An organisation's root from PEM. Raises TelerelayError(REQUEST)."""
    try:
        chain = parse_chain(pem)
        if len(chain) != 1:
            raise CertificateRefusedError(f"there are {len(chain)} certificates in it; the root stands alone")
        verify_root(chain[0])
    except CertificateRefusedError as error:
        raise TelerelayError("REQUEST", f"no organisation's root: {error}") from error
    return chain[0]


async def admit(
    session: AsyncSession, root: x509.Certificate, sessions: int | None, until: int | None, now: int
) -> bool:
    """Admit the organisation, or lift its suspension; whether that changed anything.

    `sessions`: how many it may have at once; `until`: when its admission for a test ends (Unix seconds).
    None leaves either as it is. A test stays one: nobody's work is left out of what is promised to people.

    Raises TelerelayError(REQUEST).
    """
    if until is not None and until <= now:
        raise TelerelayError("REQUEST", "the time until which it would be admitted has passed")
    organisation = organisation_id(root)
    row = await session.get(Organisation, organisation, with_for_update=True)
    if row is None:
        session.add(
            Organisation(
                id=organisation,
                root=encode_certificate(root),
                admitted=now,
                sessions=sessions,
                until=until,
                version=0,
            )
        )
        return True
    if row.until is None and until is not None:
        shown = organisation.hex()
        raise TelerelayError("REQUEST", f"organisation {shown} is admitted without an end: it is no test's")
    wanted = (
        None,
        row.sessions if sessions is None else sessions,
        row.until if until is None else until,
    )
    if wanted[2] is not None and wanted[2] <= now:
        raise TelerelayError("REQUEST", "its admission for a test has ended: say until when it goes on")
    if (row.suspended, row.sessions, row.until) == wanted:
        return False
    row.suspended, row.sessions, row.until = wanted
    row.version += 1
    return True


async def lapsed(session: AsyncSession, now: int) -> Sequence[bytes]:
    """Tests whose admission has ended and that are not suspended yet."""
    ended = Organisation.until <= now
    found = await session.scalars(select(Organisation.id).where(ended, Organisation.suspended.is_(None)))
    return found.all()


async def suspend(session: AsyncSession, organisation: bytes, now: int) -> bool:
    """Suspend the organisation; whether that changed anything. Raises TelerelayError(REQUEST)."""
    row = await session.get(Organisation, organisation, with_for_update=True)
    if row is None:
        raise TelerelayError("REQUEST", f"organisation {organisation.hex()} is not admitted")
    if row.suspended is not None:
        return False
    row.suspended = now
    row.version += 1
    return True


async def admitted(session: AsyncSession, now: int) -> list[Admitted]:
    """Every organisation in the order of admission; `flagged`: how many of its devices are."""
    of_each = select(Device.organisation, func.count()).group_by(Device.organisation)
    devices = dict((await session.execute(of_each)).tuples().all())
    flagged = dict((await session.execute(of_each.where(is_flagged(now)))).tuples().all())
    rows = await session.scalars(select(Organisation).order_by(Organisation.admitted, Organisation.id))
    return [
        Admitted(
            row.id,
            _name(row.root),
            row.admitted,
            row.suspended,
            devices.get(row.id, 0),
            row.sessions,
            row.until,
            flagged.get(row.id, 0),
        )
        for row in rows
    ]


async def admission(session: AsyncSession) -> Admission:
    """What the data plane needs to know, of all organisations."""
    organisations = (
        await session.execute(
            select(
                Organisation.id,
                Organisation.root,
                Organisation.suspended,
                Organisation.sessions,
                Organisation.until,
            )
        )
    ).all()
    revoked: dict[bytes, list[bytes]] = {}
    for organisation, device in await session.execute(
        select(RevokedDevice.organisation, RevokedDevice.device)
    ):
        revoked.setdefault(organisation, []).append(device)
    nodes = await session.scalar(select(NodeList.version))
    return Admission(
        [(row.root, row.suspended is not None) for row in organisations],
        list(revoked.items()),
        nodes or 0,
        [(row.id, row.sessions) for row in organisations if row.sessions is not None],
        [row.id for row in organisations if row.until is not None],
        {
            "staff": sum(row.suspended is None and row.until is None for row in organisations),
            "test": sum(row.suspended is None and row.until is not None for row in organisations),
        },
    )


def _name(root: bytes) -> str:
    names = x509.load_der_x509_certificate(root).subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""
