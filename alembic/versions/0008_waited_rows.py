"""Expand: policies under which a row that was waited for is not lost."""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    connection.execute(Path(__file__).with_name("0008_waited_rows.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    raise RuntimeError("What was written since would be lost: restore a backup instead.")
