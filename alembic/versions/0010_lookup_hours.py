"""Expand: what organisations looked up, summed by the hour."""

from pathlib import Path

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    connection.execute(Path(__file__).with_name("0010_lookup_hours.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    raise RuntimeError("What was written since would be lost: restore a backup instead.")
