"""Pages for everybody: what this service is, logging in and out, and where somebody goes from there."""
