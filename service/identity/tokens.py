"""Our own access tokens: short-lived signed JWTs in the profile of RFC 9068, verified without asking anybody.

A token never holds a national or enterprise number, a name or an address: people are opaque references in it, because
tokens pass through proxies and tools that are not ours.
"""

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, GuestProtocol, OKPKey

from service.identity.errors import ScopeMissing, TokenExpired, TokenInvalid
from service.identity.scopes import Scope, known_scopes, scope_text

CLOCK_SKEW = timedelta(seconds=30)
LIFETIME = timedelta(minutes=5)
_TYPE = "at+jwt"
_MAX_TOKEN = 8192
_REQUIRED = ("iss", "aud", "sub", "client_id", "iat", "exp", "jti")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair for access tokens: P-256 signs as ES256, Ed25519 as Ed25519 (RFC 9864)."""

    kid: str
    algorithm: str
    jwk: ECKey | OKPKey = field(repr=False)

    def public(self) -> dict[str, object]:
        """The public half as a JWK (RFC 7517)."""
        return {**self.jwk.as_dict(private=False), "kid": self.kid, "use": "sig", "alg": self.algorithm}


def new_signing_key_pem() -> bytes:
    """Make a P-256 key and return it as unencrypted PKCS#8 PEM, to be stored where only the service can read."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_signing_key(pem: bytes, *, kid: str | None = None) -> SigningKey:
    """Read a PEM private key; its id is the RFC 7638 thumbprint unless ``kid`` names another.

    Raises:
        ValueError: not a P-256 or Ed25519 private key in unencrypted PEM.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("the token signing key must be an unencrypted PEM private key") from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        okp = OKPKey.import_key(pem)
        return SigningKey(kid or okp.thumbprint(), "Ed25519", okp)
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        elliptic = ECKey.import_key(pem)
        return SigningKey(kid or elliptic.thumbprint(), "ES256", elliptic)
    raise ValueError("the token signing key must be a P-256 or Ed25519 key")


def jwks(keys: Sequence[SigningKey]) -> dict[str, object]:
    """The public keys as a JWK set, for whoever wants to verify our tokens; the newest key comes first."""
    return {"keys": [key.public() for key in keys]}


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A fresh token: its text, how many seconds it lives, its unique id (for the log, where the text never goes)."""

    token: str = field(repr=False)
    expires_in: int
    id: str


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a verified token says.

    Attributes:
        subject: opaque id of who acts: the client itself or a person.
        organisation: id of the organisation acted for; None for people in their own name.
        recipient: opaque reference of the recipient whose mailbox is meant; never a number.
        identity_provider: issuer of the ID token that a person came with; None for programs.
        assurance_level: how surely the person was recognised (the provider's ``acr``); None for programs.
    """

    id: str
    subject: str
    client_id: str
    organisation: str | None
    scopes: frozenset[Scope]
    roles: frozenset[str]
    recipient: str | None
    assurance_level: str | None
    auth_time: datetime | None
    issued_at: datetime
    expires_at: datetime
    identity_provider: str | None = None

    def require(self, scope: Scope) -> None:
        """Pass when the token allows ``scope``.

        Raises:
            ScopeMissing: it does not.
        """
        if scope not in self.scopes:
            raise ScopeMissing(f"This call needs the scope {scope.value}.", context={"scope": scope.value})


class TokenIssuer:
    """Signs access tokens with one key. Safe to share between threads."""

    def __init__(self, *, issuer: str, audience: str, key: SigningKey, lifetime: timedelta = LIFETIME) -> None:
        if lifetime <= timedelta(0):
            raise ValueError("the lifetime of access tokens must be positive")
        self.issuer, self._audience, self._key, self._lifetime = issuer, audience, key, lifetime

    def issue(
        self,
        *,
        now: datetime,
        subject: str,
        client_id: str,
        scopes: Collection[Scope],
        organisation: str | None = None,
        roles: Collection[str] = (),
        recipient: str | None = None,
        assurance_level: str | None = None,
        auth_time: datetime | None = None,
        identity_provider: str | None = None,
    ) -> IssuedToken:
        """Sign a token good from ``now`` for the issuer's lifetime; the arguments are :class:`AccessToken`'s."""
        lifetime, issued = int(self._lifetime.total_seconds()), int(now.timestamp())
        claims: dict[str, object] = {
            "iss": self.issuer,
            "aud": self._audience,
            "sub": subject,
            "client_id": client_id,
            "scope": scope_text(scopes),
            "iat": issued,
            "exp": issued + lifetime,
            "jti": secrets.token_urlsafe(16),
        }
        optional: dict[str, object] = {
            "organisation": organisation,
            "roles": sorted(roles),
            "recipient": recipient,
            "acr": assurance_level,
            "auth_time": int(auth_time.timestamp()) if auth_time else None,
            "idp": identity_provider,
        }
        claims |= {name: value for name, value in optional.items() if value}
        header = {"alg": self._key.algorithm, "kid": self._key.kid, "typ": _TYPE}
        text = jwt.encode(header, claims, self._key.jwk, algorithms=[self._key.algorithm])
        return IssuedToken(text, lifetime, str(claims["jti"]))


class TokenVerifier:
    """Believes or refuses access tokens. Safe to share between threads.

    Verified tokens are remembered, by hash, until they expire: a sender presents the same token with every document of
    a night, and a signature check costs more than all the rest of reading one.

    Args:
        keys: those that may have signed, the old one beside the new while keys are exchanged.
        remember: how many tokens are remembered at most; the longest unused one is forgotten first.
    """

    def __init__(self, *, issuer: str, audience: str, keys: Sequence[SigningKey], remember: int = 4096) -> None:
        self._issuer, self._audience, self._remember = issuer, audience, remember
        self._keys: Mapping[str, SigningKey] = {key.kid: key for key in keys}
        self._algorithms = sorted({key.algorithm for key in keys})
        self._verified: OrderedDict[bytes, AccessToken] = OrderedDict()
        self._lock = threading.Lock()

    def verify(self, token: str, now: datetime) -> AccessToken:
        """Return what the token says when all of it holds at ``now``, give or take 30 seconds.

        Raises:
            TokenExpired: it was good once.
            TokenInvalid: anything else: not ours, changed, another algorithm, another audience, not yet good.
        """
        if len(token) > _MAX_TOKEN or not token.isascii():
            raise TokenInvalid("The access token cannot be read.")
        digest = hashlib.sha256(token.encode("ascii")).digest()
        with self._lock:
            access = self._verified.get(digest)
            if access is not None:
                self._verified.move_to_end(digest)
        if access is None:
            access = self._read(token)
        _check_times(access, now)
        with self._lock:
            self._verified[digest] = access
            while len(self._verified) > self._remember:
                self._verified.popitem(last=False)
        return access

    def _read(self, token: str) -> AccessToken:
        try:
            decoded = jwt.decode(token, self._key_of, algorithms=self._algorithms)
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            # Whatever a stranger's bytes break inside the decoder, the answer is the same and quotes nothing.
            raise TokenInvalid("The access token is not one of ours or was changed.") from None
        claims = decoded.claims
        if decoded.header.get("typ") != _TYPE or any(name not in claims for name in _REQUIRED):
            raise TokenInvalid("The token is not an access token.")
        if claims["iss"] != self._issuer or claims["aud"] != self._audience:
            raise TokenInvalid("The access token was not given out for this service.")
        return AccessToken(
            id=claims["jti"],
            subject=claims["sub"],
            client_id=claims["client_id"],
            organisation=claims.get("organisation"),
            scopes=known_scopes(claims.get("scope", "")),
            roles=frozenset(claims.get("roles", ())),
            recipient=claims.get("recipient"),
            assurance_level=claims.get("acr"),
            auth_time=_moment(claims["auth_time"]) if "auth_time" in claims else None,
            issued_at=_moment(claims["iat"]),
            expires_at=_moment(claims["exp"]),
            identity_provider=claims.get("idp"),
        )

    def _key_of(self, signed: GuestProtocol) -> ECKey | OKPKey:
        header = signed.headers()
        key = self._keys.get(header.get("kid", ""))
        # The algorithm belongs to the key, never to what the token's header would like.
        if key is None or header.get("alg") != key.algorithm:
            raise ValueError("no key for this token")
        return key.jwk


def _check_times(access: AccessToken, now: datetime) -> None:
    if now >= access.expires_at + CLOCK_SKEW:
        raise TokenExpired("The access token has expired; ask for a new one.")
    if now < access.issued_at - CLOCK_SKEW:
        raise TokenInvalid("The access token is not good yet.")


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
