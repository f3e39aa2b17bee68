"""What the service does: one subject per file, its verbs as functions. Use cases never commit; their caller does.

Where a use case needs several transactions with outside work between them (a hand-in, a step of the engine) it opens
them itself through the context, and says so.
"""
