"""Judging ID tokens: OpenID Connect Core 1.0, section 3.1.3.7, and what becomes of their claims."""

import hmac
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from joserfc import jws, jwt
from joserfc.errors import JoseError

from service.identity.base import Person
from service.identity.errors import IdTokenInvalid
from service.identity.provider_documents import PublishedKey

# No "none" and no HMAC: with those a client secret, or nothing at all, could sign.
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "Ed25519", "EdDSA"})
_KEY_TYPE_OF = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
CLOCK_SKEW = timedelta(seconds=30)
MAX_TOKEN = 16 * 1024
_MAX_TEXT = 255
_ADMINISTRATION = re.compile(r"OVO\d{6}", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Which claim of a provider holds what.

    The defaults are those of ACM/IDM, the log-in of the Flemish government: ``rrn`` (scope ``rrn``) and ``vo_orgcode``
    (scope ``vo``), which holds a KBO number or an OVO code. The federal CSAM, itsme and others use other names.
    """

    name: str = "name"
    national_number: str = "rrn"
    organisation: str = "vo_orgcode"
    assurance_level: str = "acr"
    locale: str = "locale"
    roles: str = "roles"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What an ID token must say to be believed.

    Attributes:
        audiences: client ids, one of which the token must be meant for.
        nonce: what the authorisation request carried; None where there was none of ours (token exchange).
        max_age: how long ago the token may have been made at most.
    """

    issuer: str
    audiences: frozenset[str]
    algorithms: frozenset[str]
    nonce: str | None
    max_age: timedelta


def check_algorithms(algorithms: Collection[str]) -> frozenset[str]:
    """Return the allow-list when every entry is an asymmetric signature.

    Raises:
        ValueError: it is empty or holds something else.
    """
    allowed = frozenset(algorithms)
    if not allowed or not allowed <= ALGORITHMS:
        raise ValueError(f"ID token algorithms must be some of {', '.join(sorted(ALGORITHMS))}")
    return allowed


def signed_claims(token: str, keys: Collection[PublishedKey], algorithms: frozenset[str]) -> dict[str, object] | None:
    """Return the claims when one of ``keys`` signed them; None when none of them did (perhaps a newer one did).

    Raises:
        IdTokenInvalid: not a token, or one signed in a way that is not allowed.
    """
    header = _header(token)
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise _refused("algorithm")
    kind = _KEY_TYPE_OF[algorithm[:2]]
    for published in keys:
        if published.key.key_type != kind or (kid is not None and published.kid != kid):
            continue
        try:
            return jwt.decode(token, published.key, algorithms=[algorithm]).claims
        except (JoseError, ValueError, TypeError, RecursionError):
            continue  # another key of the set may fit when the token names none
    return None


def check_claims(claims: Mapping[str, object], expected: Expectation, now: datetime) -> None:
    """Pass when issuer, audience, authorised party, times and nonce are as expected.

    Raises:
        IdTokenInvalid: one of them is not; the error's context says which, never its value.
    """
    if claims.get("iss") != expected.issuer:
        raise _refused("issuer")
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    audiences = frozenset(name for name in named if isinstance(name, str))
    if not audiences & expected.audiences:
        raise _refused("audience")
    party = claims.get("azp")
    needs_party = len(named) > 1 or party is not None
    if needs_party and not (isinstance(party, str) and party in expected.audiences):
        raise _refused("authorised_party")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_TEXT or not subject.isascii():
        raise _refused("subject")
    _check_times(claims, expected, now)
    if expected.nonce is not None:
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not hmac.compare_digest(
            nonce.encode("utf-8", "surrogatepass"), expected.nonce.encode()
        ):
            raise _refused("nonce")


def person_of(claims: Mapping[str, object], names: ClaimNames) -> Person:
    """Turn checked claims into a person; what is missing or not text stays empty."""

    def text(name: str) -> str | None:
        value = claims.get(name)
        return value.strip()[:_MAX_TEXT] or None if isinstance(value, str) and value.isprintable() else None

    parts = (text("given_name"), text("family_name"))
    organisation = text(names.organisation)
    is_administration = organisation is not None and _ADMINISTRATION.fullmatch(organisation) is not None
    auth_time = _seconds(claims.get("auth_time"))
    return Person(
        issuer=str(claims["iss"]),
        subject=str(claims["sub"]),
        name=text(names.name) or " ".join(part for part in parts if part),
        national_number=text(names.national_number),
        enterprise_number=None if is_administration else organisation,
        administration_code=organisation.upper() if organisation is not None and is_administration else None,
        assurance_level=text(names.assurance_level),
        auth_time=None if auth_time is None else datetime.fromtimestamp(auth_time, UTC),
        locale=text(names.locale),
        roles=_words(claims.get(names.roles)),
    )


def validate(
    token: str,
    expected: Expectation,
    *,
    now: datetime,
    keys: tuple[PublishedKey, ...],
    newer_keys: Callable[[tuple[PublishedKey, ...]], tuple[PublishedKey, ...] | None],
) -> dict[str, object]:
    """Return the claims of a token that may be believed.

    Args:
        token: as it came.
        expected: what it must say.
        now: the time it is judged at.
        keys: the provider's keys as last seen.
        newer_keys: asked once, when no key fits: the provider may have changed keys since.

    Raises:
        IdTokenInvalid: the token must not be believed.
    """
    claims = signed_claims(token, keys, expected.algorithms)
    if claims is None:
        newer = newer_keys(keys)
        claims = None if newer is None else signed_claims(token, newer, expected.algorithms)
    if claims is None:
        raise _refused("signature")
    check_claims(claims, expected, now)
    return claims


def _header(token: str) -> Mapping[str, object]:
    if len(token) > MAX_TOKEN or not token.isascii():
        raise _refused("form")
    try:
        return jws.extract_compact(token.encode("ascii")).headers()
    except (JoseError, ValueError, TypeError, RecursionError):
        raise _refused("form") from None


def _check_times(claims: Mapping[str, object], expected: Expectation, now: datetime) -> None:
    expires, issued = _seconds(claims.get("exp")), _seconds(claims.get("iat"))
    if expires is None or issued is None:
        raise _refused("times_missing")
    moment, skew = now.timestamp(), CLOCK_SKEW.total_seconds()
    if moment >= expires + skew:
        raise _refused("expired")
    begins = _seconds(claims.get("nbf"))
    if max(issued, begins or issued) > moment + skew:
        raise _refused("not_yet")
    if moment > issued + expected.max_age.total_seconds() + skew:
        raise _refused("too_old")


def _seconds(value: object) -> float | None:
    """NumericDate of RFC 7519; booleans, infinities and times beyond the calendar are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < 253402300800 else None  # noqa: PLR2004  the year 10000


def _words(value: object) -> frozenset[str]:
    if isinstance(value, str):
        return frozenset(value.split())
    return frozenset(word for word in value if isinstance(word, str)) if isinstance(value, list) else frozenset()


def _refused(reason: str) -> IdTokenInvalid:
    return IdTokenInvalid("The log-in could not be confirmed.", context={"reason": reason})
