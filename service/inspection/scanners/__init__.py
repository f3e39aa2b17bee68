"""Malware scanners: `base` says what one must do, the other modules are drivers."""
