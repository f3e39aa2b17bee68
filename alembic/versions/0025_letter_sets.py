"""Expand: An index by which a scanned sheet finds its letter."""

from service.db.index_builds import build_index

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    build_index("ix_print_letter_set", "print_letter", "(set_number) WHERE set_number IS NOT NULL")


def downgrade() -> None:
    raise RuntimeError("Schemas only grow: restore a backup instead.")
