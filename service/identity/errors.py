"""What goes wrong when somebody says who they are. Texts never hold a token, a secret or a claim."""

from service.domain.errors import Forbidden, Invalid, Retryable, Unauthenticated, ZendingError


class TokenInvalid(Unauthenticated):
    """An access token that is not ours, was changed, or was not meant for this service."""

    code = "token_invalid"


class TokenExpired(Unauthenticated):
    """An access token whose time is over."""

    code = "token_expired"


class ScopeMissing(Forbidden):
    """The access token is good but does not allow this act."""

    code = "scope_missing"


class ClientRefused(Unauthenticated):
    """The program could not be recognised: no credentials, malformed ones, or wrong ones."""

    code = "client_refused"


class TokenRequestInvalid(Invalid):
    """A token request that misses something, says it twice, or contradicts itself."""

    code = "token_request_invalid"


class GrantUnsupported(Invalid):
    """A grant type or token type that this service does not offer."""

    code = "grant_unsupported"


class ScopeRefused(Invalid):
    """A scope that does not exist or that the client was not given."""

    code = "scope_refused"


class IdTokenInvalid(Unauthenticated):
    """A statement of an identity provider that must not be believed."""

    code = "id_token_invalid"


class LogInRefused(Unauthenticated):
    """The identity provider, or the way the person came back from it, says that nobody logged in."""

    code = "log_in_refused"


class ProviderUnavailable(Retryable):
    """The identity provider did not answer in time, or not with what its standard asks."""

    code = "identity_provider_unavailable"


_OAUTH_NAMES: tuple[tuple[type[ZendingError], str], ...] = (
    (ClientRefused, "invalid_client"),
    (GrantUnsupported, "unsupported_grant_type"),
    (ScopeRefused, "invalid_scope"),
    (IdTokenInvalid, "invalid_grant"),
    (LogInRefused, "invalid_grant"),
    (ProviderUnavailable, "temporarily_unavailable"),
)


def oauth_error(error: ZendingError) -> str:
    """The word of RFC 6749, section 5.2, that a token endpoint answers with for ``error``."""
    return next((name for kind, name in _OAUTH_NAMES if isinstance(error, kind)), "invalid_request")
