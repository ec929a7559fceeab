"""Audit records are found by time without their organisation."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the index that a search pages through, newest first."""
    op.create_index("ix_audit_records_time_node_seq", "audit_records", ["time", "node", "seq"])
