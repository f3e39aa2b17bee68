"""How programs of agencies prove who they are at the token endpoint.

``client_secret_basic`` and ``private_key_jwt`` (see ``assertions``) are accepted. A secret in the form body
(``client_secret_post``) is refused: RFC 6749, section 2.3.1, advises against it because bodies end up in logs and
traces more easily than headers that every proxy knows to hide.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from service.identity.assertions import AssertionCredentials, read_assertion
from service.identity.errors import ClientRefused, TokenRequestInvalid

SECRET_BYTES = 32
_PREFIX = "zs_"
_SCHEME = "sha256$"
_MAX_HEADER = 2048
_MAX_CLIENT_ID = 255

# Compared against when the client is unknown, so that the answer takes as long as for a known one.
_NOBODY = _SCHEME + "0" * 64


@dataclass(frozen=True, slots=True)
class SecretCredentials:
    """A client's id and shared secret, as they came in the Authorization header."""

    client_id: str
    secret: str = field(repr=False)


ClientCredentials = SecretCredentials | AssertionCredentials


def new_secret() -> str:
    """Return a new client secret with 256 random bits; the prefix lets secret scanners recognise a leaked one."""
    return _PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def hash_secret(secret: str) -> str:
    """What is stored instead of the secret: the scheme's name and a SHA-256.

    A plain hash is enough because the secret is not a password: it has 256 bits of our own randomness, so nothing can
    be guessed from a stolen hash, and a slow password hash would only cost every token request its time.
    """
    return _SCHEME + hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def check_secret(secret: str, stored: str | None) -> bool:
    """Tell whether ``secret`` belongs to ``stored``, in a time that does not depend on where they differ.

    Args:
        secret: what the client presented.
        stored: what :func:`hash_secret` gave; None when the client does not exist (always False, equally slow).
    """
    same = hmac.compare_digest(hash_secret(secret).encode(), (stored or _NOBODY).encode())
    return same and stored is not None


def client_credentials(authorization: str | None, form: Mapping[str, str]) -> ClientCredentials:
    """Read the client's credentials from a token request.

    Args:
        authorization: the Authorization header as it came, or None.
        form: the fields of the body.

    Raises:
        ClientRefused: no credentials, malformed ones, or a way to present them that is not offered.
        TokenRequestInvalid: more than one way used at once (RFC 6749, section 2.3), or two different client ids.
    """
    if authorization is not None and ("client_secret" in form or "client_assertion" in form):
        raise TokenRequestInvalid("Present the client's credentials in one way only.")
    if "client_secret" in form:
        raise ClientRefused("Present the client secret in the Authorization header (HTTP Basic), not in the body.")
    if "client_assertion" in form:
        return read_assertion(form)
    if authorization is None:
        raise ClientRefused("The client's credentials are missing: send HTTP Basic, or a signed client assertion.")
    credentials = _parse_basic(authorization)
    if form.get("client_id", credentials.client_id) != credentials.client_id:
        raise TokenRequestInvalid("The client id in the body is not the one in the Authorization header.")
    return credentials


def _parse_basic(authorization: str) -> SecretCredentials:
    """RFC 7617 outside; id and secret are form-urlencoded inside (RFC 6749, section 2.3.1)."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic" or len(authorization) > _MAX_HEADER:
        raise ClientRefused("The Authorization header must be HTTP Basic with client id and secret.")
    try:
        client_id, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        client_id, secret = unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        # The cause is left out: its text would quote what was sent.
        raise ClientRefused("The Authorization header cannot be read as HTTP Basic.") from None
    if not colon or not client_id or not secret or len(client_id) > _MAX_CLIENT_ID or not client_id.isprintable():
        raise ClientRefused("The Authorization header holds no client id and secret.")
    return SecretCredentials(client_id, secret)
