"""Expand: when seals must be renewed, and the codes that they show."""

from pathlib import Path

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    connection.execute(Path(__file__).with_name("0013_kept_seals.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    raise RuntimeError("What was written since would be lost: restore a backup instead.")
