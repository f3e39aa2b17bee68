"""Expand: Indexes by which an envelope finds the letters in it, and a batch the files that came about it."""

from service.db.index_builds import build_index

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    build_index("ix_print_letter_envelope", "print_letter", "(envelope_set) WHERE envelope_set IS NOT NULL")
    build_index("ix_print_inbound_batch", "print_inbound", "(batch, received_at) WHERE batch IS NOT NULL")


def downgrade() -> None:
    raise RuntimeError("Schemas only grow: restore a backup instead.")
