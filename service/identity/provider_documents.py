"""What a provider publishes about itself: its endpoints (OpenID Connect Discovery 1.0) and its keys (RFC 7517)."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from service.identity.errors import ProviderUnavailable
from service.identity.fetching import fetch_json, is_safe_address

_T = TypeVar("_T")

RENEW_AFTER = timedelta(hours=1)
# A provider that is down must not end log-ins elsewhere (token exchange needs only keys), but a key it has withdrawn
# must not be believed for ever.
STALE_AFTER = timedelta(hours=24)
RETRY_AFTER = timedelta(seconds=30)
# Anybody can send tokens with invented key ids: they must not make us call the provider each time.
REFETCH_AFTER = timedelta(seconds=5)
_MIN_RSA_MODULUS = 342  # characters of base64 that 2048 bits take
_KEY_TYPES: Mapping[str, type[RSAKey | ECKey | OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a provider does what."""

    authorization: str
    token: str
    jwks: str
    userinfo: str | None
    end_session: str | None
    token_auth_methods: tuple[str, ...]
    names_itself: bool
    """The provider says that it puts ``iss`` in the answer to the browser (RFC 9207)."""


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """One key of the provider's set."""

    kid: str | None
    key: Key


class ProviderDocuments:
    """A provider's endpoints and keys, fetched when first needed and renewed every hour.

    One thread fetches while the others wait for it; a renewal that fails leaves the last good copy in use for a day.
    """

    def __init__(self, issuer: str, *, http: httpx.Client, seconds: float) -> None:
        self.issuer = issuer
        self._http, self._seconds = http, seconds
        self._lock = threading.Lock()
        self._endpoints: _Kept[Endpoints] | None = None
        self._keys: _Kept[tuple[PublishedKey, ...]] | None = None

    def endpoints(self, now: datetime) -> Endpoints:
        """Return the provider's endpoints.

        Raises:
            ProviderUnavailable: they cannot be had, or the document is not this issuer's.
        """
        with self._lock:
            return self._endpoints_now(now)

    def keys(self, now: datetime) -> tuple[PublishedKey, ...]:
        """Return the provider's public signature keys.

        Raises:
            ProviderUnavailable: they cannot be had.
        """
        with self._lock:
            return self._keys_now(now).value

    def newer_keys(self, now: datetime, than: tuple[PublishedKey, ...]) -> tuple[PublishedKey, ...] | None:
        """Ask the provider for its keys again because none of ``than`` fits a token.

        Returns:
            Keys to try again with; None when it was asked a moment ago, so that a flood of forged tokens does not
            become a flood of calls.
        """
        with self._lock:
            kept = self._keys_now(now)
            if kept.value != than:
                return kept.value
            if abs(now - kept.tried_at) < REFETCH_AFTER:
                return None
            self._keys = _Kept(self._fetch_keys(now), now, now)
            return self._keys.value

    def _endpoints_now(self, now: datetime) -> Endpoints:
        kept = self._endpoints
        if kept is None or kept.is_due(now):
            try:
                kept = _Kept(self._fetch_endpoints(), now, now)
            except ProviderUnavailable:
                if kept is None or kept.is_stale(now):
                    raise
                kept = _Kept(kept.value, kept.fetched_at, now)
            self._endpoints = kept
        return kept.value

    def _keys_now(self, now: datetime) -> "_Kept[tuple[PublishedKey, ...]]":
        kept = self._keys
        if kept is None or kept.is_due(now):
            try:
                kept = _Kept(self._fetch_keys(now), now, now)
            except ProviderUnavailable:
                if kept is None or kept.is_stale(now):
                    raise
                kept = _Kept(kept.value, kept.fetched_at, now)
            self._keys = kept
        return kept

    def _fetch_endpoints(self) -> Endpoints:
        url = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
        document = self._get(url)
        if document.get("issuer") != self.issuer:
            # Discovery 1.0, section 4.3: otherwise one provider could speak for another.
            raise self._unusable("issuer")
        methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        return Endpoints(
            authorization=self._address(document, "authorization_endpoint"),
            token=self._address(document, "token_endpoint"),
            jwks=self._address(document, "jwks_uri"),
            userinfo=self._address(document, "userinfo_endpoint") if "userinfo_endpoint" in document else None,
            end_session=self._address(document, "end_session_endpoint") if "end_session_endpoint" in document else None,
            token_auth_methods=tuple(str(method) for method in methods) if isinstance(methods, list) else (),
            names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        )

    def _fetch_keys(self, now: datetime) -> tuple[PublishedKey, ...]:
        published = self._get(self._endpoints_now(now).jwks).get("keys")
        if not isinstance(published, list):
            raise self._unusable("keys")
        return _usable_keys(published)

    def _get(self, url: str) -> Mapping[str, object]:
        answer = fetch_json(self._http, self._http.build_request("GET", url), seconds=self._seconds)
        if answer.status != httpx.codes.OK:
            raise self._unusable(f"status {answer.status}")
        return answer.body

    def _address(self, document: Mapping[str, object], name: str) -> str:
        url = document.get(name)
        if not isinstance(url, str) or not is_safe_address(url):
            raise self._unusable(name)
        return url

    def _unusable(self, what: str) -> ProviderUnavailable:
        return ProviderUnavailable(
            "The identity provider cannot be used at the moment.", context={"issuer": self.issuer, "reason": what}
        )


@dataclass(frozen=True, slots=True)
class _Kept(Generic[_T]):
    value: _T
    fetched_at: datetime
    tried_at: datetime

    def is_due(self, now: datetime) -> bool:
        return abs(now - self.fetched_at) >= RENEW_AFTER and abs(now - self.tried_at) >= RETRY_AFTER

    def is_stale(self, now: datetime) -> bool:
        return abs(now - self.fetched_at) >= STALE_AFTER


def _usable_keys(published: Sequence[object]) -> tuple[PublishedKey, ...]:
    """Keep public signature keys of kinds and sizes we accept; a provider may publish others beside them."""
    usable = []
    for entry in published:
        kind = _KEY_TYPES.get(str(entry.get("kty"))) if isinstance(entry, dict) else None
        if kind is None or not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        if kind is RSAKey and len(str(entry.get("n"))) < _MIN_RSA_MODULUS:
            continue
        try:
            key = kind.import_key(entry)
        except (JoseError, ValueError, TypeError, KeyError):
            continue  # one unreadable key must not hide the others; a token signed with it is refused
        kid = entry.get("kid")
        usable.append(PublishedKey(kid if isinstance(kid, str) else None, key))
    return tuple(usable)
