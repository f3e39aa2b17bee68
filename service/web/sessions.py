"""The browser's side of a log-in: cookies, and the session they lead to."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypeVar

import msgspec
from litestar.datastructures import Cookie

from service.bootstrap import Application
from service.identity.base import LogIn, PendingLogIn, Person
from service.usecases import sessions
from service.web import csrf

SESSION: Final = "zending_session"
PENDING: Final = "zending_log_in"
LANGUAGE: Final = "zending_language"
SIGNING: Final = "zending_signing"

LOG_IN_LASTS: Final = timedelta(minutes=15)
"""How long somebody may take at the identity provider."""
LANGUAGE_LASTS: Final = timedelta(days=365)
_SECRET_BYTES: Final = 32

T = TypeVar("T")


class Pending(msgspec.Struct, frozen=True):
    """Kept between leaving for the identity provider and coming back; ``back`` is the page that was asked for."""

    log_in: PendingLogIn
    back: str


class SessionData(msgspec.Struct, frozen=True):
    """What a session holds.

    Attributes:
        id_token: for the log-out at the provider.
        csrf_secret: see ``service.web.csrf``.
        organisation: id of the organisation that somebody who acts for several has chosen.
    """

    person: Person
    id_token: str
    csrf_secret: bytes
    organisation: str | None = None


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """A valid session of the person who asks; its repr shows nothing."""

    id_hash: bytes = field(repr=False)
    data: SessionData = field(repr=False)

    @property
    def person(self) -> Person:
        """Who logged in."""
        return self.data.person


def cookie_name(name: str, *, secure: bool) -> str:
    """The name as browsers know it: over TLS with the prefix that ties a cookie to this host (RFC 6265bis)."""
    return f"__Host-{name}" if secure else name


def cookie(name: str, value: str, *, secure: bool, lifetime: timedelta | None = None, script: bool = False) -> Cookie:
    """A cookie of this host: not readable by scripts unless said, not sent along from other sites' forms and frames.

    Args:
        name: one of this module's names.
        value: what it holds.
        secure: whether people come by https.
        lifetime: None for until the browser is closed.
        script: whether scripts may read it.
    """
    return Cookie(
        key=cookie_name(name, secure=secure),
        value=value,
        max_age=None if lifetime is None else int(lifetime.total_seconds()),
        path="/",
        secure=secure,
        httponly=not script,
        samesite="lax",
    )


def expired(name: str, *, secure: bool) -> Cookie:
    """The cookie that removes a cookie."""
    return cookie(name, "", secure=secure, lifetime=timedelta(0))


def read_cookie(cookies: Mapping[str, str], name: str, *, secure: bool) -> str | None:
    """A cookie's value; None when it is missing or empty."""
    return cookies.get(cookie_name(name, secure=secure)) or None


def keep_pending(application: Application, pending: Pending) -> Cookie:
    """Remember a log-in that is under way; the cookie that leads back to it."""
    return keep_aside(application, PENDING, pending)


def take_pending(application: Application, cookies: Mapping[str, str]) -> Pending | None:
    """The log-in that this browser began; it can be taken once, whatever comes of it."""
    return take_aside(application, cookies, PENDING, Pending)


def keep_aside(application: Application, name: str, value: Any) -> Cookie:
    """Remember, while somebody is away at another party, what they began here; the cookie that leads back to it."""
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    sessions.begin(application.context, _hash(secret), value, lifetime=LOG_IN_LASTS)
    return cookie(name, secret, secure=application.settings.secure_cookies, lifetime=LOG_IN_LASTS)


def take_aside(application: Application, cookies: Mapping[str, str], name: str, kind: type[T]) -> T | None:
    """What this browser began under that name; it can be taken once, whatever comes of it."""
    secret = read_cookie(cookies, name, secure=application.settings.secure_cookies)
    raw = sessions.take(application.context, _hash(secret)) if secret else None
    return None if raw is None else msgspec.json.decode(raw, type=kind)


def begin(application: Application, log_in: LogIn) -> Cookie:
    """Begin a session under a fresh secret; the cookie that leads to it."""
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    data = SessionData(person=log_in.person, id_token=log_in.id_token, csrf_secret=csrf.new_secret())
    lifetime = timedelta(seconds=application.settings.session_seconds)
    sessions.begin(application.context, _hash(secret), data, lifetime=lifetime)
    return cookie(SESSION, secret, secure=application.settings.secure_cookies)


def find(application: Application, secret: str, *, touch: bool) -> BrowserSession | None:
    """The valid session of a cookie's secret; ``touch`` when a person asks, not a page by itself."""
    idle = timedelta(seconds=application.settings.session_idle_seconds)
    id_hash = _hash(secret)
    raw = sessions.find(application.context, id_hash, idle=idle, touch=touch)
    return None if raw is None else BrowserSession(id_hash, msgspec.json.decode(raw, type=SessionData))


def change(application: Application, session: BrowserSession, data: SessionData) -> None:
    """Replace what a session holds."""
    sessions.change(application.context, session.id_hash, data)


def end(application: Application, secret: str) -> None:
    """End the session of a cookie's secret."""
    sessions.end(application.context, _hash(secret))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
