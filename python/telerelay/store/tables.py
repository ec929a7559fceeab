"""The tables of a cluster's durable truth: organisations, devices, invites, documents, audit.

Times are Unix seconds. Whatever an organisation signed is kept as the exact bytes that came; the columns
beside them are what routing and look-ups ask for, written in the same transaction from the verified document.

`changed` holds the value of `Organisation.version` at which a row was written: a reader that knows version N
asks for the rows behind it and nothing else.
"""

from typing import Annotated

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import MetaData

Key = Annotated[bytes, mapped_column(LargeBinary(32))]
"""SHA-256 of something: organisation ID, device ID, hash (PROTOCOL.md §2)."""
ComputerKey = Annotated[bytes, mapped_column(LargeBinary(10))]
"""A computer ID's 10 bytes (PROTOCOL.md §2.1)."""
Id = Annotated[bytes, mapped_column(LargeBinary(16))]
"""128 random bits: invite, path (PROTOCOL.md §2)."""
Count = Annotated[int, mapped_column(BigInteger)]
"""A time, version or counter; 63 bits are what every SQL engine can keep."""
Word = Annotated[str, mapped_column(String(32))]
"""A word of ours: kind, code, role."""
Label = Annotated[str, mapped_column(String(128))]


class Table(DeclarativeBase):
    """What all tables share: names of constraints that a migration can refer to on every engine."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Organisation(Table):
    """An admitted organisation: its root certificate, and whether the operator suspended it."""

    __tablename__ = "organisations"

    id: Mapped[Key] = mapped_column(primary_key=True)
    root: Mapped[bytes]
    """The root certificate, DER."""
    admitted: Mapped[Count]
    suspended: Mapped[Count | None]
    sessions: Mapped[Count | None]
    """How many it may have at once; None: `organisation_sessions` of docs/LIMITS.md."""
    until: Mapped[Count | None]
    """When a test's admission ends; None: it is no test's."""
    version: Mapped[Count] = mapped_column(default=0)
    """Rises with every change below this organisation; never falls."""


class Device(Table):
    """An enrolled device. A computer ID belongs to one device key of its organisation for ever."""

    __tablename__ = "devices"
    __table_args__ = (UniqueConstraint("organisation", "computer"),)

    organisation: Mapped[Key] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    id: Mapped[Key] = mapped_column(primary_key=True)
    kind: Mapped[Word]
    label: Mapped[Label]
    computer: Mapped[ComputerKey | None]
    enrolled: Mapped[Count]
    last_seen: Mapped[Count | None]
    flagged: Mapped[Word | None]
    """Code of the last thing that an administrator should look at (PROTOCOL.md §5.8)."""
    flagged_at: Mapped[Count | None]


class Invite(Table):
    """An invite as it was posted (PROTOCOL.md §10.2); the node holds SHA-256(k1) only."""

    __tablename__ = "invites"

    id: Mapped[Id] = mapped_column(primary_key=True)
    organisation: Mapped[Key] = mapped_column(ForeignKey("organisations.id"), index=True)
    kind: Mapped[Word]
    computer: Mapped[ComputerKey | None]
    label: Mapped[Label]
    expiry: Mapped[Count]
    admit: Mapped[Key]


class Enrolment(Table):
    """The one request that an invite serves, and how it was settled (PROTOCOL.md §10.3)."""

    __tablename__ = "enrolments"

    invite: Mapped[Id] = mapped_column(ForeignKey("invites.id"), primary_key=True)
    device: Mapped[Key]
    csr: Mapped[bytes]
    mac: Mapped[Key]
    terms_version: Mapped[Count]
    terms_hash: Mapped[Key]
    address: Mapped[str] = mapped_column(String(72))
    requested: Mapped[Count]
    leaf: Mapped[bytes | None]
    issuer: Mapped[bytes | None]
    refused: Mapped[Word | None]


class ComputerDocument(Table):
    """The newest computer document of each computer (PROTOCOL.md §9)."""

    __tablename__ = "computer_documents"
    __table_args__ = (Index(None, "organisation", "changed"),)

    organisation: Mapped[Key] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    computer: Mapped[ComputerKey] = mapped_column(primary_key=True)
    agent: Mapped[Key]
    version: Mapped[Count]
    expires: Mapped[Count]
    services: Mapped[Word]
    """Names of services, separated by a space."""
    label: Mapped[Label]
    body: Mapped[bytes]
    changed: Mapped[Count]


class Grant(Table):
    """One grant of a computer document: a client, and from when to when. A client may have several."""

    __tablename__ = "grants"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organisation", "computer"],
            ["computer_documents.organisation", "computer_documents.computer"],
            ondelete="CASCADE",
        ),
        Index(None, "organisation", "client"),
    )

    organisation: Mapped[Key] = mapped_column(primary_key=True)
    computer: Mapped[ComputerKey] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    client: Mapped[Key]
    not_before: Mapped[Count | None]
    not_after: Mapped[Count | None]


class Stamp(Table):
    """The newest freshness stamp of each computer (PROTOCOL.md §9)."""

    __tablename__ = "stamps"
    __table_args__ = (Index(None, "organisation", "changed"),)

    organisation: Mapped[Key] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    computer: Mapped[ComputerKey] = mapped_column(primary_key=True)
    epoch: Mapped[Count]
    document_version: Mapped[Count]
    revocations_version: Mapped[Count]
    issued: Mapped[Count]
    expires: Mapped[Count]
    body: Mapped[bytes]
    changed: Mapped[Count]


class RevocationList(Table):
    """The newest revocation list of each organisation (PROTOCOL.md §9)."""

    __tablename__ = "revocation_lists"

    organisation: Mapped[Key] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    version: Mapped[Count]
    body: Mapped[bytes]
    changed: Mapped[Count]


class RevokedDevice(Table):
    """A device that the organisation's newest revocation list names. It may never have enrolled here."""

    __tablename__ = "revoked_devices"

    organisation: Mapped[Key] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    device: Mapped[Key] = mapped_column(primary_key=True)


class NodeList(Table):
    """The cluster's newest node list: one row, signed by the cluster CA (PROTOCOL.md §9)."""

    __tablename__ = "node_lists"

    cluster: Mapped[Key] = mapped_column(primary_key=True)
    version: Mapped[Count]
    body: Mapped[bytes]


class AuditRecord(Table):
    """One record, its exact bytes, in the order of its node's spool (PROTOCOL.md §14)."""

    __tablename__ = "audit_records"
    __table_args__ = (Index(None, "organisation", "time"), Index(None, "time", "node", "seq"))

    node: Mapped[str] = mapped_column(String(63), primary_key=True)
    seq: Mapped[Count] = mapped_column(primary_key=True)
    kind: Mapped[Word]
    time: Mapped[Count]
    organisation: Mapped[Key | None]
    attempt: Mapped[str | None] = mapped_column(String(9), index=True)
    record: Mapped[bytes]


class OpenAttempt(Table):
    """A START whose END is not in SQL yet. What is left of a node's own when it starts, a crash ended."""

    __tablename__ = "open_attempts"

    path: Mapped[Id] = mapped_column(primary_key=True)
    node: Mapped[str] = mapped_column(String(63), index=True)
    attempt: Mapped[str] = mapped_column(String(9))
    organisation: Mapped[Key]
