"""Signed statements by which programs prove who they are: ``private_key_jwt`` (RFC 7523; OpenID Connect Core 1.0, 9).

The service keeps public keys only: what is stolen from it lets nobody act for an agency. Each statement counts once.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from service.domain.errors import Invalid
from service.identity.errors import ClientRefused, IdTokenInvalid
from service.identity.id_tokens import CLOCK_SKEW, signed_claims
from service.identity.provider_documents import PublishedKey

JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS: Final = frozenset({"ES256", "RS256", "PS256", "EdDSA", "Ed25519"})
"""No "none" and no HMAC: a public key would then be the secret. ``Ed25519`` is RFC 9864's name for ``EdDSA``."""
LONGEST_LIFE: Final = timedelta(minutes=10)
"""How far ahead a statement may expire: as long as its ``jti`` is remembered."""
MOST_KEYS: Final = 10
_LARGEST: Final = 8 * 1024
_LONGEST_ID: Final = 255
_RSA_BITS: Final = 2048
_KINDS: Final[Mapping[str, type[RSAKey | ECKey | OKPKey]]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_CURVES: Final = {"EC": "P-256", "OKP": "Ed25519"}
# Statements for other ends than this, by what they call themselves (RFC 8725, section 3.11).
_TYPES: Final = frozenset({"jwt", "client-authentication+jwt"})


@dataclass(frozen=True, slots=True)
class AssertionCredentials:
    """A client's signed statement, not believed yet; ``client_id`` is what it says of itself."""

    client_id: str
    assertion: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that is believed, if it was not used before.

    Attributes:
        id_hash: SHA-256 of client and ``jti``.
        expires_at: until when it would be believed, our tolerance for clocks included.
    """

    id_hash: bytes
    expires_at: datetime


def read_assertion(form: Mapping[str, str]) -> AssertionCredentials:
    """The statement of a token request; whose it is stands in it, unverified.

    Raises:
        ClientRefused: of another type, not a JWT, or contradicting the form's ``client_id``.
    """
    token = form.get("client_assertion", "")
    if form.get("client_assertion_type") != JWT_BEARER:
        raise ClientRefused(f"The client_assertion_type must be {JWT_BEARER}.")
    if len(token) > _LARGEST or not token.isascii():
        raise _refused("form")
    try:
        parts = jws.extract_compact(token.encode("ascii"))
        claims, header = json.loads(parts.payload), parts.headers()
    except (JoseError, ValueError, TypeError, RecursionError):
        raise _refused("form") from None
    client_id = claims.get("sub") if isinstance(claims, dict) else None
    if not isinstance(client_id, str) or not 0 < len(client_id) <= _LONGEST_ID or not client_id.isprintable():
        raise _refused("subject")
    if form.get("client_id", client_id) != client_id:
        raise _refused("client_id")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES or "crit" in header:
        raise _refused("type")
    return AssertionCredentials(client_id, token)


def believe(
    credentials: AssertionCredentials, jwks: Mapping[str, Any] | None, audiences: frozenset[str], now: datetime
) -> Statement:
    """Judge a statement by the keys of the client that it names.

    Args:
        credentials: as they were read.
        jwks: the client's public keys; None where it is unknown, switched off, or has none.
        audiences: our names: the issuer and the address of the token endpoint.
        now: the time it is judged at.

    Raises:
        ClientRefused: it must not be believed; always the same answer.
    """
    try:
        claims = signed_claims(credentials.assertion, _keys(jwks or {}), ALGORITHMS)
    except IdTokenInvalid as error:
        raise _refused(str(error.context.get("reason"))) from None
    if claims is None:
        raise _refused("signature")
    if claims.get("iss") != credentials.client_id or claims.get("sub") != credentials.client_id:
        raise _refused("issuer")
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(each, str) and each in audiences for each in named):
        raise _refused("audience")
    expires = _times(claims, now)
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= _LONGEST_ID:
        raise _refused("jti")
    client = credentials.client_id.encode()
    mark = hashlib.sha256(len(client).to_bytes(2, "big") + client + jti.encode("utf-8", "surrogatepass")).digest()
    return Statement(mark, expires + CLOCK_SKEW)


def checked_jwks(raw: bytes) -> dict[str, Any]:
    """Read a set of public keys that a client is to be known by (RFC 7517), and keep what is needed of it.

    Raises:
        Invalid: ``jwks_invalid``: not a set, a private or secret key, a kind or size that is not offered, or two keys
            of one name.
    """
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        raise _unusable("This is not JSON.") from None
    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, list) or not 0 < len(keys) <= MOST_KEYS:
        raise _unusable(f"A key set is an object with keys, one to {MOST_KEYS} of them.")
    public = [_public(each) for each in keys]
    names = [each["kid"] for each in public]
    if len(set(names)) != len(names):
        raise _unusable("Two keys have the same kid.")
    return {"keys": public}


def _public(given: object) -> dict[str, Any]:
    if not isinstance(given, dict) or given.get("kty") not in _KINDS:
        raise _unusable("A key is an EC, OKP or RSA key in the form of RFC 7517.")
    if given.keys() & {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}:
        raise _unusable("This is a private key. Keep it to yourself, and replace it: it has been seen here.")
    kind = str(given["kty"])
    if given.get("crv") != _CURVES.get(kind):
        raise _unusable("The curves offered are P-256 and Ed25519.")
    if given.get("use", "sig") != "sig" or given.get("alg", "ES256") not in ALGORITHMS:
        raise _unusable("The key is for another use, or for an algorithm that is not offered.")
    if kind == "RSA" and len(str(given.get("n"))) * 6 < _RSA_BITS:
        # By the length of its base 64, so that a weak one is never made use of.
        raise _unusable(f"An RSA key has at least {_RSA_BITS} bits.")
    try:
        key = _KINDS[kind].import_key(
            {name: str(given[name]) for name in ("kty", "crv", "x", "y", "n", "e") if name in given}
        )
        kid = str(given.get("kid") or key.thumbprint())
        return {**key.as_dict(private=False), "kid": kid[:_LONGEST_ID]}
    except (JoseError, ValueError, TypeError):
        raise _unusable("A key can't be read.") from None


def _keys(jwks: Mapping[str, Any]) -> list[PublishedKey]:
    return [PublishedKey(each["kid"], _KINDS[each["kty"]].import_key(dict(each))) for each in jwks.get("keys", [])]


def _times(claims: Mapping[str, object], now: datetime) -> datetime:
    expires = _moment(claims.get("exp"))
    if expires is None or now >= expires + CLOCK_SKEW:
        raise _refused("expired")
    if expires > now + LONGEST_LIFE + CLOCK_SKEW:
        raise _refused("lives_too_long")
    for name in ("iat", "nbf"):
        begins = _moment(claims.get(name))
        if name in claims and (begins is None or begins > now + CLOCK_SKEW):
            raise _refused("not_yet")
    return expires


def _moment(value: object) -> datetime | None:
    """NumericDate of RFC 7519; booleans, infinities and times beyond the calendar are none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 253402300800:  # noqa: PLR2004
        return None
    return datetime.fromtimestamp(value, UTC)


def _refused(reason: str) -> ClientRefused:
    return ClientRefused("The client is not known by these credentials.", context={"reason": reason})


def _unusable(detail: str) -> Invalid:
    return Invalid(detail, code="jwks_invalid")
