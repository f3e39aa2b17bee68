"""What a token request asks for: the form of ``POST /oauth/token`` read into values (RFC 6749, RFC 8693)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from service.identity.errors import GrantUnsupported, TokenRequestInvalid

CLIENT_CREDENTIALS = "client_credentials"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  the name of a grant, not a secret
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105  the name of a kind of token
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  the name of a kind of token


@dataclass(frozen=True, slots=True)
class ClientCredentialsRequest:
    """A program asks for a token in its own name."""

    scope: str | None


@dataclass(frozen=True, slots=True)
class ExchangeRequest:
    """A program hands in a person's ID token and asks for ours in the person's name (RFC 8693, section 2.1)."""

    scope: str | None
    subject_token: str = field(repr=False)


TokenRequest = ClientCredentialsRequest | ExchangeRequest


def form_fields(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Make one mapping of a form's fields; empty ones count as absent (RFC 6749, section 3.2).

    Raises:
        TokenRequestInvalid: a field stands there twice.
    """
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in fields:
            raise TokenRequestInvalid("A parameter of the token request stands there more than once.")
        fields[name] = value
    return {name: value for name, value in fields.items() if value}


def token_request(form: Mapping[str, str]) -> TokenRequest:
    """Read what is asked for; who asks is :func:`service.identity.clients.client_credentials`'s business.

    Raises:
        TokenRequestInvalid: something needed is missing.
        GrantUnsupported: a grant or a kind of token that is not offered.
    """
    grant = form.get("grant_type")
    if grant is None:
        raise TokenRequestInvalid("The token request has no grant_type.")
    if grant == CLIENT_CREDENTIALS:
        return ClientCredentialsRequest(form.get("scope"))
    if grant != TOKEN_EXCHANGE:
        raise GrantUnsupported("This grant type is not offered.")
    subject_token, subject_type = form.get("subject_token"), form.get("subject_token_type")
    if subject_token is None or subject_type is None:
        raise TokenRequestInvalid("A token exchange needs subject_token and subject_token_type.")
    if subject_type != ID_TOKEN:
        raise GrantUnsupported("Only ID tokens can be exchanged.")
    if form.get("requested_token_type", ACCESS_TOKEN) != ACCESS_TOKEN:
        raise GrantUnsupported("Only access tokens are given out.")
    if "actor_token" in form or "actor_token_type" in form:
        raise GrantUnsupported("Delegation by an actor token is not offered.")
    return ExchangeRequest(form.get("scope"), subject_token)
