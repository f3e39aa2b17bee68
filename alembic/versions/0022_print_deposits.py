"""Expand: Runs of a print house, what holds letters back, and letters that are printed again."""

from pathlib import Path

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    connection.execute(Path(__file__).with_name("0022_print_deposits.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    raise RuntimeError("Schemas only grow: restore a backup instead.")
