import pytest

from service.domain.errors import ZendingError
from service.identity.errors import (
    ClientRefused,
    GrantUnsupported,
    IdTokenInvalid,
    LogInRefused,
    ProviderUnavailable,
    ScopeRefused,
    TokenRequestInvalid,
    oauth_error,
)
from service.identity.grants import (
    ACCESS_TOKEN,
    CLIENT_CREDENTIALS,
    ID_TOKEN,
    TOKEN_EXCHANGE,
    ClientCredentialsRequest,
    ExchangeRequest,
    form_fields,
    token_request,
)
from service.identity.scopes import Scope, grant_scopes, known_scopes, scope_text

EXCHANGE = {"grant_type": TOKEN_EXCHANGE, "subject_token": "t", "subject_token_type": ID_TOKEN}


def test_a_client_asks_in_its_own_name() -> None:
    assert token_request({"grant_type": CLIENT_CREDENTIALS}) == ClientCredentialsRequest(None)
    assert token_request({"grant_type": CLIENT_CREDENTIALS, "scope": "a b"}) == ClientCredentialsRequest("a b")


def test_a_client_asks_in_a_persons_name() -> None:
    assert token_request(EXCHANGE | {"requested_token_type": ACCESS_TOKEN}) == ExchangeRequest(None, "t")
    assert "'t'" not in repr(token_request(EXCHANGE))


@pytest.mark.parametrize(
    "form",
    [
        {"grant_type": "password"},
        {"grant_type": "authorization_code"},
        EXCHANGE | {"subject_token_type": ACCESS_TOKEN},
        EXCHANGE | {"requested_token_type": ID_TOKEN},
        EXCHANGE | {"actor_token": "a"},
        EXCHANGE | {"actor_token_type": ID_TOKEN},
    ],
)
def test_what_is_not_offered_is_refused(form: dict[str, str]) -> None:
    with pytest.raises(GrantUnsupported):
        token_request(form)


@pytest.mark.parametrize("missing", ["grant_type", "subject_token", "subject_token_type"])
def test_a_request_that_misses_something_is_invalid(missing: str) -> None:
    with pytest.raises(TokenRequestInvalid):
        token_request({name: value for name, value in EXCHANGE.items() if name != missing})


def test_a_parameter_may_stand_there_once_and_an_empty_one_counts_as_absent() -> None:
    assert form_fields([("a", "1"), ("b", "")]) == {"a": "1"}
    with pytest.raises(TokenRequestInvalid):
        form_fields([("a", "1"), ("a", "1")])


def test_no_scope_asked_for_gives_all_that_is_allowed() -> None:
    allowed = [Scope.DELIVERIES_READ, Scope.DELIVERIES_WRITE]
    assert grant_scopes(None, allowed) == set(allowed)
    assert grant_scopes("  ", allowed) == set(allowed)
    assert grant_scopes("deliveries:read", allowed) == {Scope.DELIVERIES_READ}


@pytest.mark.parametrize("requested", ["print:operate", "deliveries:read print:operate", "moon:visit"])
def test_a_scope_that_was_not_given_refuses_the_whole_request(requested: str) -> None:
    with pytest.raises(ScopeRefused) as refusal:
        grant_scopes(requested, [Scope.DELIVERIES_READ])
    assert requested not in refusal.value.detail


def test_nobody_gets_a_token_that_allows_nothing() -> None:
    with pytest.raises(ScopeRefused):
        grant_scopes(None, [])


def test_scopes_survive_writing_and_reading() -> None:
    assert known_scopes(scope_text(list(Scope))) == set(Scope)


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (ClientRefused, "invalid_client"),
        (GrantUnsupported, "unsupported_grant_type"),
        (ScopeRefused, "invalid_scope"),
        (IdTokenInvalid, "invalid_grant"),
        (LogInRefused, "invalid_grant"),
        (ProviderUnavailable, "temporarily_unavailable"),
        (TokenRequestInvalid, "invalid_request"),
    ],
)
def test_every_refusal_has_its_oauth_word(kind: type[ZendingError], word: str) -> None:
    assert oauth_error(kind("x")) == word
