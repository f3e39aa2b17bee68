"""Expand: how much of the interactive lane programs have used."""

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    connection.execute(Path(__file__).with_name("0011_lanes.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    raise RuntimeError("What was written since would be lost: restore a backup instead.")
