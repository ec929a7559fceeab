"""An organisation has its own number of sessions; a flag says when it was raised last."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add both columns; what was flagged before has no time, and so is not shown any more."""
    op.add_column("organisations", sa.Column("sessions", sa.BigInteger(), nullable=True))
    op.add_column("devices", sa.Column("flagged_at", sa.BigInteger(), nullable=True))
