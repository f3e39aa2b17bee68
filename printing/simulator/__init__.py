"""A print house for demonstrations and tests: it does what a real one does, in compressed time, with chosen mishaps."""
