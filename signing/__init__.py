"""Seals, time-stamps and their validation for PDF documents (PAdES, ETSI EN 319 142-1).

A library: bytes, a key and a time-stamp authority come in as arguments, bytes go out. It reads no settings, opens no
files on its own account (key files apart) and knows nothing of the service that uses it.
"""
