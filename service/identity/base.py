"""What an identity provider must do for us, and the values that pass between it and the service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody an identity provider vouches for. Its repr shows nothing personal.

    Attributes:
        issuer: the provider that vouches.
        subject: the provider's own id of the person; only (issuer, subject) together is unique.
        name: for greeting the person, empty when not given.
        national_number: as the provider writes it, unchecked; None when not given.
        enterprise_number: number of the enterprise the person chose to act for, as the provider writes it, unchecked.
        administration_code: OVO code of the administration the person chose to act for.
        assurance_level: the provider's ``acr``: how surely it recognised the person.
        auth_time: when the person logged in there.
        locale: language the person prefers, as a BCP 47 tag.
        roles: the provider's words for what the person may do here.
    """

    issuer: str
    subject: str = field(repr=False)
    name: str = field(default="", repr=False)
    national_number: str | None = field(default=None, repr=False)
    enterprise_number: str | None = field(default=None, repr=False)
    administration_code: str | None = field(default=None, repr=False)
    assurance_level: str | None = None
    auth_time: datetime | None = None
    locale: str | None = None
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PendingLogIn:
    """What must be kept, in the browser's own session, between leaving for the provider and coming back.

    All three are secrets of that one browser; used once and then forgotten, whatever the outcome.
    """

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LogInStart:
    """Where to send the browser, and what to keep until it comes back."""

    url: str = field(repr=False)
    pending: PendingLogIn


@dataclass(frozen=True, slots=True)
class LogIn:
    """A finished log-in: who it is, and the ID token that a later log-out refers to."""

    person: Person
    id_token: str = field(repr=False)


class IdentityProvider(Protocol):
    """A party that tells who somebody is.

    What must hold for every implementation:

    - Nobody is returned unless the provider said so to us, for this service, in answer to this very request: state,
      nonce, issuer, audience, signature and time are all checked.
    - A statement that must not be believed raises ``IdTokenInvalid`` or ``LogInRefused``; a provider that is down,
      slow or answers nonsense raises ``ProviderUnavailable``. No other error leaves, and no text quotes what was sent.
    - Every call ends within the configured time. Calls may come from many threads at once.
    """

    def start(self, *, now: datetime, redirect_uri: str, language: str | None = None) -> LogInStart:
        """Prepare a log-in; the browser comes back to ``redirect_uri``."""
        ...

    def finish(
        self, *, now: datetime, redirect_uri: str, pending: PendingLogIn, parameters: Mapping[str, str]
    ) -> LogIn:
        """Complete a log-in with the query ``parameters`` that the browser came back with."""
        ...

    def validate_id_token(self, token: str, *, now: datetime) -> Person:
        """Believe an ID token that a trusted program got for a person and hands in for exchange (RFC 8693)."""
        ...

    def log_out_url(self, *, now: datetime, id_token: str, return_uri: str, state: str | None = None) -> str | None:
        """Where to send the browser to end the log-in at the provider too; None when it does not offer that."""
        ...
