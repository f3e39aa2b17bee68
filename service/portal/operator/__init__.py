"""Pages for operators of the platform: what is wrong, what is parked, what is paused."""
