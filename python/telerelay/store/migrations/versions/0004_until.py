"""An organisation may be admitted for a test, until a time."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the time; whoever was admitted before was admitted without an end."""
    op.add_column("organisations", sa.Column("until", sa.BigInteger(), nullable=True))
