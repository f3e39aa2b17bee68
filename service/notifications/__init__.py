"""Telling people by e-mail that something happened: never what, never with a link."""
