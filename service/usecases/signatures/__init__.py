"""Signature requests: an organisation asks, people sign with keys that are never here, and evidence says so."""
