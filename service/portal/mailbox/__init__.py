"""Pages for recipients: their mailbox, its messages, and whether mail may come this way at all."""
