"""Expand: the first schema."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    for name in ("0001_roles.sql", "0001_foundations.sql", "0001_ledger.sql"):
        connection.execute(Path(__file__).with_name(name).read_text(encoding="utf-8"))


def downgrade() -> None:
    raise RuntimeError("The first schema is not taken back: restore a backup instead.")
