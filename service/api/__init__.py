"""The REST door: one file per resource. A handler reads, calls a use case, answers."""
