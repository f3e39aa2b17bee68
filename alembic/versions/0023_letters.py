"""Expand: How letters got their addresses and numbers, from which series, and codes that letters invite with."""

from pathlib import Path

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    connection.execute(Path(__file__).with_name("0023_letters.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    raise RuntimeError("Schemas only grow: restore a backup instead.")
