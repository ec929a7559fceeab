"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

KEY = sa.LargeBinary(32)
ID = sa.LargeBinary(16)
COMPUTER = sa.LargeBinary(10)


def upgrade() -> None:
    """Make every table of `telerelay.store.tables`."""
    op.create_table(
        "audit_records",
        sa.Column("node", sa.String(length=63), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("organisation", KEY, nullable=True),
        sa.Column("attempt", sa.String(length=9), nullable=True),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("node", "seq", name="pk_audit_records"),
    )
    op.create_index("ix_audit_records_attempt", "audit_records", ["attempt"])
    op.create_index("ix_audit_records_organisation_time", "audit_records", ["organisation", "time"])
    op.create_table(
        "node_lists",
        sa.Column("cluster", KEY, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", name="pk_node_lists"),
    )
    op.create_table(
        "open_attempts",
        sa.Column("path", ID, nullable=False),
        sa.Column("node", sa.String(length=63), nullable=False),
        sa.Column("attempt", sa.String(length=9), nullable=False),
        sa.Column("organisation", KEY, nullable=False),
        sa.PrimaryKeyConstraint("path", name="pk_open_attempts"),
    )
    op.create_index("ix_open_attempts_node", "open_attempts", ["node"])
    op.create_table(
        "organisations",
        sa.Column("id", KEY, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("admitted", sa.BigInteger, nullable=False),
        sa.Column("suspended", sa.BigInteger, nullable=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_organisations"),
    )
    op.create_table(
        "computer_documents",
        sa.Column("organisation", KEY, nullable=False),
        sa.Column("computer", COMPUTER, nullable=False),
        sa.Column("agent", KEY, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("services", sa.String(length=32), nullable=False),
        sa.Column("label", sa.String(length=128), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"], ["organisations.id"], name="fk_computer_documents_organisation"
        ),
        sa.PrimaryKeyConstraint("organisation", "computer", name="pk_computer_documents"),
    )
    op.create_index(
        "ix_computer_documents_organisation_changed", "computer_documents", ["organisation", "changed"]
    )
    op.create_table(
        "devices",
        sa.Column("organisation", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("label", sa.String(length=128), nullable=False),
        sa.Column("computer", COMPUTER, nullable=True),
        sa.Column("enrolled", sa.BigInteger, nullable=False),
        sa.Column("last_seen", sa.BigInteger, nullable=True),
        sa.Column("flagged", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["organisation"], ["organisations.id"], name="fk_devices_organisation"),
        sa.PrimaryKeyConstraint("organisation", "id", name="pk_devices"),
        sa.UniqueConstraint("organisation", "computer", name="uq_devices_organisation_computer"),
    )
    op.create_table(
        "invites",
        sa.Column("id", ID, nullable=False),
        sa.Column("organisation", KEY, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("computer", COMPUTER, nullable=True),
        sa.Column("label", sa.String(length=128), nullable=False),
        sa.Column("expiry", sa.BigInteger, nullable=False),
        sa.Column("admit", KEY, nullable=False),
        sa.ForeignKeyConstraint(["organisation"], ["organisations.id"], name="fk_invites_organisation"),
        sa.PrimaryKeyConstraint("id", name="pk_invites"),
    )
    op.create_index("ix_invites_organisation", "invites", ["organisation"])
    op.create_table(
        "revocation_lists",
        sa.Column("organisation", KEY, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"], ["organisations.id"], name="fk_revocation_lists_organisation"
        ),
        sa.PrimaryKeyConstraint("organisation", name="pk_revocation_lists"),
    )
    op.create_table(
        "revoked_devices",
        sa.Column("organisation", KEY, nullable=False),
        sa.Column("device", KEY, nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"], ["organisations.id"], name="fk_revoked_devices_organisation"
        ),
        sa.PrimaryKeyConstraint("organisation", "device", name="pk_revoked_devices"),
    )
    op.create_table(
        "stamps",
        sa.Column("organisation", KEY, nullable=False),
        sa.Column("computer", COMPUTER, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("document_version", sa.BigInteger, nullable=False),
        sa.Column("revocations_version", sa.BigInteger, nullable=False),
        sa.Column("issued", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["organisation"], ["organisations.id"], name="fk_stamps_organisation"),
        sa.PrimaryKeyConstraint("organisation", "computer", name="pk_stamps"),
    )
    op.create_index("ix_stamps_organisation_changed", "stamps", ["organisation", "changed"])
    op.create_table(
        "enrolments",
        sa.Column("invite", ID, nullable=False),
        sa.Column("device", KEY, nullable=False),
        sa.Column("csr", sa.LargeBinary(), nullable=False),
        sa.Column("mac", KEY, nullable=False),
        sa.Column("terms_version", sa.BigInteger, nullable=False),
        sa.Column("terms_hash", KEY, nullable=False),
        sa.Column("address", sa.String(length=72), nullable=False),
        sa.Column("requested", sa.BigInteger, nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=True),
        sa.Column("issuer", sa.LargeBinary(), nullable=True),
        sa.Column("refused", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["invite"], ["invites.id"], name="fk_enrolments_invite"),
        sa.PrimaryKeyConstraint("invite", name="pk_enrolments"),
    )
    op.create_table(
        "grants",
        sa.Column("organisation", KEY, nullable=False),
        sa.Column("computer", COMPUTER, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("client", KEY, nullable=False),
        sa.Column("not_before", sa.BigInteger, nullable=True),
        sa.Column("not_after", sa.BigInteger, nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation", "computer"],
            ["computer_documents.organisation", "computer_documents.computer"],
            name="fk_grants_organisation_computer",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "computer", "position", name="pk_grants"),
    )
    op.create_index("ix_grants_organisation_client", "grants", ["organisation", "client"])
