"""Expand: Hand-in: more recipients, times, and keys of clients."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    connection.execute(Path(__file__).with_name("0006_hand_in.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    raise RuntimeError("What was written since would be lost: restore a backup instead.")
