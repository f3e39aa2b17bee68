"""Expand: Where a batch was brought, so that a way that changed meanwhile is not taken for one that was fetched."""

from pathlib import Path

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    connection.execute(Path(__file__).with_name("0034_batch_places.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    raise RuntimeError("Schemas only grow: restore a backup instead.")
