"""E-mailboxes that deliveries can be put into: our own and those of others."""
