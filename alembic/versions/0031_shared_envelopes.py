"""Expand: Letters of one sender to one addressee may share an envelope."""

from pathlib import Path

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    connection.execute(Path(__file__).with_name("0031_shared_envelopes.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    raise RuntimeError("Schemas only grow: restore a backup instead.")
