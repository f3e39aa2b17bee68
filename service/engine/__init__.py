"""The engine: PostgreSQL holds the truth in ``job`` rows, the broker only wakes workers."""
