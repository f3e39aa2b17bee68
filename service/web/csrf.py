"""Requests that change something must come from a page of ours.

Two walls: the browser's own word on where a request comes from (Origin, Fetch Metadata), and a secret of the session in
every form. Pages are sent with ``Referrer-Policy: same-origin``, because browsers send ``Origin: null`` without it.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

FIELD: Final = "csrf"
SECRET_BYTES: Final = 32


def new_secret() -> bytes:
    """The secret of a new session."""
    return secrets.token_bytes(SECRET_BYTES)


def token(secret: bytes) -> str:
    """A form's proof of its session: the secret under a mask of its own, so that no two pages hold the same text.

    Text that repeats in compressed answers could be guessed bit by bit (BREACH).
    """
    mask = secrets.token_bytes(SECRET_BYTES)
    return base64.urlsafe_b64encode(mask + _xor(mask, secret)).rstrip(b"=").decode("ascii")


def proves(secret: bytes, text: str) -> bool:
    """Whether a form's proof belongs to this session."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return False
    if len(raw) != 2 * SECRET_BYTES:
        return False
    return hmac.compare_digest(_xor(raw[:SECRET_BYTES], raw[SECRET_BYTES:]), secret)


def comes_from_us(headers: Mapping[str, str], base_url: str) -> bool:
    """Whether the browser says that a request that changes something comes from a page of ``base_url``.

    A browser that says nothing at all is refused: all that are in use send at least one of the three headers.
    """
    site = headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin = headers.get("origin")
    if origin is not None:
        return origin == _origin(base_url)
    if site is not None:
        return True
    referrer = headers.get("referer")
    return referrer is not None and _origin(referrer) == _origin(base_url)


def _origin(address: str) -> str | None:
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.netloc}".lower()


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
