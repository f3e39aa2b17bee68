"""Tasks: each finds its use case and calls it."""
