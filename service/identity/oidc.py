"""Log-in of people at any OpenID Connect provider: authorisation code with PKCE, state and nonce.

Standards: OpenID Connect Core 1.0 and Discovery 1.0, RFC 7636 (PKCE, S256 only), RFC 9207 (issuer in the answer),
OpenID Connect RP-Initiated Logout 1.0.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

import httpx

from service.identity import id_tokens
from service.identity.base import LogIn, LogInStart, PendingLogIn, Person
from service.identity.errors import IdTokenInvalid, LogInRefused, ProviderUnavailable
from service.identity.fetching import fetch_json, is_safe_address
from service.identity.id_tokens import ClaimNames, Expectation
from service.identity.provider_documents import Endpoints, ProviderDocuments

# What a provider may answer instead of a code (RFC 6749, section 4.1.2.1; OpenID Connect Core, section 3.1.2.6).
# Anything else that stands in the query came from who knows where and is not repeated in logs.
_REFUSALS = frozenset(
    {
        "access_denied",
        "account_selection_required",
        "consent_required",
        "interaction_required",
        "invalid_request",
        "invalid_request_object",
        "invalid_scope",
        "login_required",
        "request_not_supported",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_response_type",
    }
)


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """One provider, as the operator configures it.

    Attributes:
        issuer: exactly as the provider writes it in its tokens; https, or http on this machine.
        scopes: exactly what is asked for: some providers refuse the whole log-in for one scope too many.
        exchange_audiences: client ids besides our own whose ID tokens may be exchanged for an access token of ours.
        acr_values: levels of assurance to ask for, best first; none leaves it to the provider.
        required_acr: levels that are good enough; none accepts every level. Asking alone is no guarantee.
        use_userinfo: also read claims from the userinfo endpoint, for providers that keep them out of the ID token.
        seconds: how long one call to the provider may take.
        max_age: how long ago an ID token may have been made when it reaches us.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...] = ("openid", "profile")
    claims: ClaimNames = field(default_factory=ClaimNames)
    algorithms: frozenset[str] = frozenset({"RS256", "PS256", "ES256", "Ed25519", "EdDSA"})
    exchange_audiences: frozenset[str] = frozenset()
    acr_values: tuple[str, ...] = ()
    required_acr: frozenset[str] = frozenset()
    use_userinfo: bool = False
    seconds: float = 5.0
    max_age: timedelta = timedelta(hours=1)

    def __post_init__(self) -> None:
        """Refuse what could not be safe.

        Raises:
            ValueError: with a sentence that says what to change.
        """
        if not is_safe_address(self.issuer):
            raise ValueError("the issuer of log-ins must be an https address (http only on this machine)")
        if "openid" not in self.scopes:
            raise ValueError("the scopes of log-ins must contain openid")
        if not self.client_id:
            raise ValueError("the client id at the identity provider is missing")
        id_tokens.check_algorithms(self.algorithms)


class OpenIdProvider:
    """An :class:`service.identity.base.IdentityProvider` for any issuer that follows the standards above."""

    def __init__(self, settings: OidcSettings, *, http: httpx.Client) -> None:
        self._settings, self._http = settings, http
        self._documents = ProviderDocuments(settings.issuer, http=http, seconds=settings.seconds)

    def start(self, *, now: datetime, redirect_uri: str, language: str | None = None) -> LogInStart:
        """Prepare a log-in with fresh state, nonce and PKCE verifier (256 random bits each)."""
        pending = PendingLogIn(*(secrets.token_urlsafe(32) for _ in range(3)))
        challenge = hashlib.sha256(pending.code_verifier.encode("ascii")).digest()
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self._settings.scopes),
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode("ascii"),
            "code_challenge_method": "S256",
        }
        if language:
            query["ui_locales"] = language
        if self._settings.acr_values:
            query["acr_values"] = " ".join(self._settings.acr_values)
        return LogInStart(_with_query(self._documents.endpoints(now).authorization, query), pending)

    def finish(
        self, *, now: datetime, redirect_uri: str, pending: PendingLogIn, parameters: Mapping[str, str]
    ) -> LogIn:
        """Redeem the code that the browser brought and judge the ID token it buys.

        Raises:
            LogInRefused: another browser's answer, the provider's refusal, or a code it does not honour.
            IdTokenInvalid: the provider's statement must not be believed.
            ProviderUnavailable: it could not be asked; the person may try again.
        """
        endpoints = self._documents.endpoints(now)
        code = self._code(parameters, pending, endpoints)
        tokens = self._redeem(endpoints, code, redirect_uri, pending)
        id_token = tokens.get("id_token")
        if not isinstance(id_token, str):
            raise ProviderUnavailable(
                "The identity provider cannot be used at the moment.",
                context={"issuer": self._settings.issuer, "reason": "no id_token"},
            )
        claims = self._validate(id_token, frozenset({self._settings.client_id}), pending.nonce, now)
        if self._settings.use_userinfo:
            claims = {**self._userinfo(endpoints, tokens.get("access_token"), claims["sub"]), **claims}
        return LogIn(self._person(claims), id_token)

    def validate_id_token(self, token: str, *, now: datetime) -> Person:
        """Believe an ID token made for us or for one of the configured exchange audiences.

        Raises:
            IdTokenInvalid: it must not be believed.
            ProviderUnavailable: the provider's keys cannot be had.
        """
        audiences = self._settings.exchange_audiences | {self._settings.client_id}
        return self._person(self._validate(token, audiences, None, now))

    def log_out_url(self, *, now: datetime, id_token: str, return_uri: str, state: str | None = None) -> str | None:
        """Where the browser ends the provider's session too (RP-Initiated Logout 1.0), if that is offered."""
        address = self._documents.endpoints(now).end_session
        if address is None:
            return None
        query = {
            "id_token_hint": id_token,
            "client_id": self._settings.client_id,
            "post_logout_redirect_uri": return_uri,
        }
        return _with_query(address, query | ({"state": state} if state else {}))

    def _code(self, parameters: Mapping[str, str], pending: PendingLogIn, endpoints: Endpoints) -> str:
        if not hmac.compare_digest(
            parameters.get("state", "").encode("utf-8", "surrogatepass"), pending.state.encode()
        ):
            raise _refused("state")
        issuer = parameters.get("iss")
        if issuer != self._settings.issuer and (issuer is not None or endpoints.names_itself):
            raise _refused("issuer")
        if "error" in parameters:
            error = parameters["error"]
            raise _refused(error if error in _REFUSALS else "error")
        code = parameters.get("code")
        if not code:
            raise _refused("no_code")
        return code

    def _redeem(
        self, endpoints: Endpoints, code: str, redirect_uri: str, pending: PendingLogIn
    ) -> Mapping[str, object]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": pending.code_verifier,
        }
        headers = {}
        if "client_secret_basic" in endpoints.token_auth_methods:
            headers["authorization"] = _basic(self._settings.client_id, self._settings.client_secret)
        else:
            form |= {"client_id": self._settings.client_id, "client_secret": self._settings.client_secret}
        request = self._http.build_request("POST", endpoints.token, data=form, headers=headers)
        answer = fetch_json(self._http, request, seconds=self._settings.seconds)
        if answer.status == httpx.codes.OK:
            return answer.body
        if answer.body.get("error") == "invalid_grant":
            raise _refused("invalid_grant")
        # invalid_client and the like are the operator's to repair: the person did nothing wrong and may come back.
        raise ProviderUnavailable(
            "The identity provider cannot be used at the moment.",
            context={"issuer": self._settings.issuer, "reason": f"token endpoint, status {answer.status}"},
        )

    def _validate(self, token: str, audiences: frozenset[str], nonce: str | None, now: datetime) -> dict[str, object]:
        expected = Expectation(
            self._settings.issuer, audiences, self._settings.algorithms, nonce, self._settings.max_age
        )
        return id_tokens.validate(
            token,
            expected,
            now=now,
            keys=self._documents.keys(now),
            newer_keys=lambda seen: self._documents.newer_keys(now, seen),
        )

    def _userinfo(self, endpoints: Endpoints, access_token: object, subject: object) -> Mapping[str, object]:
        if endpoints.userinfo is None or not isinstance(access_token, str):
            raise ProviderUnavailable(
                "The identity provider cannot be used at the moment.",
                context={"issuer": self._settings.issuer, "reason": "no userinfo"},
            )
        request = self._http.build_request(
            "GET", endpoints.userinfo, headers={"authorization": f"Bearer {access_token}"}
        )
        answer = fetch_json(self._http, request, seconds=self._settings.seconds)
        if answer.status != httpx.codes.OK or answer.body.get("sub") != subject:
            # Core 1.0, section 5.3.2: another subject's claims must not be used.
            raise IdTokenInvalid("The log-in could not be confirmed.", context={"reason": "userinfo"})
        return answer.body

    def _person(self, claims: Mapping[str, object]) -> Person:
        person = id_tokens.person_of(claims, self._settings.claims)
        if self._settings.required_acr and person.assurance_level not in self._settings.required_acr:
            raise LogInRefused(
                "This way of logging in is not sure enough for this service; choose a stronger one.",
                context={"reason": "assurance_level"},
            )
        return person


def _with_query(address: str, query: Mapping[str, str]) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}"


def _basic(client_id: str, secret: str) -> str:
    # Form-urlencoded (RFC 6749, section 2.3.1) with spaces as %20, which those who only percent-decode read as well.
    pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")


def _refused(reason: str) -> LogInRefused:
    return LogInRefused("The log-in was not completed. Please try again.", context={"reason": reason})
