"""Tables, roles, row-level security and the session; queries live beside their table."""
