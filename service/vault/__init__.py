"""Documents and personal columns at rest: encrypted, written durably, verified at each read, erased with their key."""
