"""Expand: Since when notices do not reach a mailbox's address."""

from pathlib import Path

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    connection.execute(Path(__file__).with_name("0021_unreachable_mailboxes.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    raise RuntimeError("Schemas only grow: restore a backup instead.")
