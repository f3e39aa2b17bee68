import json
from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from service.identity.base import PendingLogIn
from service.identity.clients import client_credentials
from service.identity.errors import IdTokenInvalid, LogInRefused, ProviderUnavailable
from service.identity.id_tokens import ClaimNames
from service.identity.oidc import OidcSettings, OpenIdProvider
from tests.identity_support import CLIENT_ID, ISSUER, NOW, REDIRECT, MemoryProvider, claims, ec_key, id_token, rsa_key

SETTINGS = OidcSettings(ISSUER, CLIENT_ID, "secret with space:and colon")


def _provider(memory: MemoryProvider | None = None, **changes: Any) -> OpenIdProvider:
    memory = memory or MemoryProvider()
    return OpenIdProvider(replace(SETTINGS, **changes), http=memory.client())


def _b64(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _reason(error: pytest.ExceptionInfo[IdTokenInvalid]) -> str:
    return error.value.context["reason"]


def test_a_good_token_tells_who_it_is() -> None:
    token = id_token(
        claims(
            acr="high",
            auth_time=int(NOW.timestamp()),
            locale="nl-BE",
            vo_orgcode="0403019261",
            roles=["send", 5, "read"],
        )
    )
    person = _provider().validate_id_token(token, now=NOW)
    assert (person.issuer, person.subject, person.name) == (ISSUER, "an", "An Peeters")
    assert (person.national_number, person.enterprise_number) == ("85073003328", "0403019261")
    assert (person.assurance_level, person.auth_time, person.locale) == ("high", NOW, "nl-BE")
    assert person.roles == {"send", "read"}


def test_a_person_shows_nothing_personal_by_repr() -> None:
    person = _provider().validate_id_token(id_token(claims(vo_orgcode="0403019261")), now=NOW)
    assert not any(secret in repr(person) for secret in ("Peeters", "85073003328", "0403019261", "'an'"))


def test_an_administration_code_is_no_enterprise_number() -> None:
    person = _provider().validate_id_token(id_token(claims(vo_orgcode="ovo000123")), now=NOW)
    assert (person.administration_code, person.enterprise_number) == ("OVO000123", None)


def test_a_name_is_made_of_its_parts_when_it_does_not_come_whole() -> None:
    token = id_token(claims(name=None, given_name="An", family_name="Peeters"))
    assert _provider().validate_id_token(token, now=NOW).name == "An Peeters"


def test_claims_of_the_wrong_kind_are_left_out() -> None:
    token = id_token(claims(name=["x"], rrn=85073003328, locale=" ", acr="a\nb", auth_time=True, roles=7))
    person = _provider().validate_id_token(token, now=NOW)
    assert (person.name, person.national_number, person.locale, person.assurance_level) == ("", None, None, None)
    assert (person.auth_time, person.roles) == (None, frozenset())


def test_names_of_claims_are_a_setting() -> None:
    names = ClaimNames(national_number="egovNRN", roles="groups")
    token = id_token(claims(rrn=None, egovNRN="85073003328", groups="one two"))
    person = _provider(claims=names).validate_id_token(token, now=NOW)
    assert (person.national_number, set(person.roles)) == ("85073003328", {"one", "two"})


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (rsa_key(), "RS256"),
        (rsa_key(), "PS256"),
        (ec_key(), "ES256"),
        (OKPKey.generate_key("Ed25519", parameters={"kid": "ed"}), "Ed25519"),
    ],
)
def test_every_allowed_algorithm_is_verified(key: RSAKey | ECKey | OKPKey, alg: str) -> None:
    provider = _provider(MemoryProvider(keys=[key]))
    assert provider.validate_id_token(id_token(claims(), key, alg=alg), now=NOW).subject == "an"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://evil.test"}, "issuer"),
        ({"iss": ISSUER + "/"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"aud": "another"}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": None}, "audience"),
        ({"aud": {"zending": 1}}, "audience"),
        ({"aud": [CLIENT_ID, "another"]}, "authorised_party"),
        ({"aud": [CLIENT_ID, "another"], "azp": "another"}, "authorised_party"),
        ({"azp": "another"}, "authorised_party"),
        ({"azp": ["zending"]}, "authorised_party"),
        ({"sub": None}, "subject"),
        ({"sub": ""}, "subject"),
        ({"sub": 7}, "subject"),
        ({"sub": "x" * 256}, "subject"),
        ({"sub": "é"}, "subject"),
        ({"exp": None}, "times_missing"),
        ({"exp": "2027"}, "times_missing"),
        ({"exp": True}, "times_missing"),
        ({"exp": 1e300}, "times_missing"),
        ({"iat": None}, "times_missing"),
        ({"exp": int(NOW.timestamp()) - 30}, "expired"),
        ({"iat": int(NOW.timestamp()) + 31}, "not_yet"),
        ({"nbf": int(NOW.timestamp()) + 31}, "not_yet"),
        ({"iat": int(NOW.timestamp()) - 3631, "exp": int(NOW.timestamp()) + 10**6}, "too_old"),
    ],
)
def test_a_claim_that_does_not_hold_refuses_the_token(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(IdTokenInvalid) as refusal:
        _provider().validate_id_token(id_token(claims(**changes)), now=NOW)
    assert _reason(refusal) == reason


def test_clocks_may_differ_by_half_a_minute() -> None:
    token = id_token(claims(exp=int(NOW.timestamp()) - 29, iat=int(NOW.timestamp()) + 30))
    _provider().validate_id_token(token, now=NOW)


def test_a_token_of_a_trusted_program_can_be_exchanged() -> None:
    provider = _provider(exchange_audiences=frozenset({"app"}))
    provider.validate_id_token(id_token(claims(aud="app")), now=NOW)
    provider.validate_id_token(id_token(claims(aud=["app", "x"], azp="app")), now=NOW)


def test_another_key_under_the_same_id_is_refused() -> None:
    forged = id_token(claims(), rsa_key(1), kid=rsa_key().kid)
    with pytest.raises(IdTokenInvalid) as refusal:
        _provider().validate_id_token(forged, now=NOW)
    assert _reason(refusal) == "signature"


def test_a_token_without_key_id_is_tried_against_all_keys() -> None:
    provider = _provider(MemoryProvider(keys=[rsa_key(1), ec_key(), rsa_key(0)]))
    provider.validate_id_token(id_token(claims(), rsa_key(0), kid=None), now=NOW)


def test_unsigned_and_secret_signed_tokens_are_refused() -> None:
    none = f"{_b64({'alg': 'none'})}.{_b64(claims())}."
    shared = jwt.encode({"alg": "HS256"}, claims(), OctKey.import_key("x" * 40))
    for token in (none, shared):
        with pytest.raises(IdTokenInvalid) as refusal:
            _provider().validate_id_token(token, now=NOW)
        assert _reason(refusal) == "algorithm"


def test_an_algorithm_that_was_not_allowed_is_refused_though_the_key_fits() -> None:
    provider = _provider(algorithms=frozenset({"PS256"}))
    with pytest.raises(IdTokenInvalid) as refusal:
        provider.validate_id_token(id_token(claims()), now=NOW)
    assert _reason(refusal) == "algorithm"


@pytest.mark.parametrize(
    "token",
    ["", "a.b.c", "x" * 20_000, "é.é.é", "e30.e30", "[" * 3000, _b64([]) + ".e30.e30", "W1tb" * 2000 + ".e30.e30"],
)
def test_nonsense_is_refused_like_any_bad_token(token: str) -> None:
    with pytest.raises(IdTokenInvalid):
        _provider().validate_id_token(token, now=NOW)


def test_a_payload_that_nests_without_end_is_refused() -> None:
    key = rsa_key()
    token = jws.serialize_compact({"alg": "RS256", "kid": key.kid}, b"[" * 5000, key, algorithms=["RS256"])
    with pytest.raises(IdTokenInvalid):
        _provider().validate_id_token(token, now=NOW)


# The way of the browser, as far as it needs no real provider.


def _back(provider: OpenIdProvider, **parameters: str) -> object:
    pending = PendingLogIn("state", "nonce", "verifier")
    return provider.finish(
        now=NOW, redirect_uri=REDIRECT, pending=pending, parameters={"state": "state", "code": "code"} | parameters
    )


def test_a_log_in_starts_with_fresh_secrets_and_a_hashed_verifier() -> None:
    provider = _provider(scopes=("openid", "rrn"), acr_values=("high", "substantial"))
    first, second = (provider.start(now=NOW, redirect_uri=REDIRECT, language="fr") for _ in range(2))
    query = {name: values[0] for name, values in parse_qs(urlsplit(first.url).query).items()}
    assert first.url.startswith(f"{ISSUER}/authorize?tenant=1&")
    assert (query["scope"], query["ui_locales"], query["acr_values"]) == ("openid rrn", "fr", "high substantial")
    assert (query["state"], query["nonce"]) == (first.pending.state, first.pending.nonce)
    assert query["code_challenge_method"] == "S256"
    assert first.pending.code_verifier not in first.url
    secrets = {*vars_of(first.pending), *vars_of(second.pending)}
    assert len(secrets) == 6
    assert not any(secret in repr(first) for secret in secrets)


def vars_of(pending: PendingLogIn) -> tuple[str, str, str]:
    return pending.state, pending.nonce, pending.code_verifier


def test_the_client_secret_travels_form_urlencoded_in_the_header() -> None:
    memory = MemoryProvider(tokens={"id_token": id_token(claims(nonce="nonce"))})
    assert _back(_provider(memory))
    request = memory.requests[-2] if memory.calls[-1] == "/jwks" else memory.requests[-1]
    credentials = client_credentials(request.headers["authorization"], {})
    assert (credentials.client_id, credentials.secret) == (CLIENT_ID, SETTINGS.client_secret)
    assert b"client_secret" not in request.content


def test_a_provider_that_takes_secrets_in_the_body_only_gets_it_there() -> None:
    memory = MemoryProvider(
        document={"token_endpoint_auth_methods_supported": ["client_secret_post"]},
        tokens={"id_token": id_token(claims(nonce="nonce"))},
    )
    assert _back(_provider(memory))
    request = next(request for request in memory.requests if request.url.path == "/token")
    assert "authorization" not in request.headers
    assert b"client_secret=" in request.content


@pytest.mark.parametrize(
    "parameters",
    [
        {"state": "other"},
        {"state": ""},
        {"state": "\ud800"},
        {"code": ""},
        {"error": "access_denied"},
        {"error": "<script>"},
        {"iss": "https://evil.test"},
    ],
)
def test_an_answer_that_is_not_ours_buys_nothing(parameters: dict[str, str]) -> None:
    memory = MemoryProvider(tokens={"id_token": id_token(claims(nonce="nonce"))})
    with pytest.raises(LogInRefused) as refusal:
        _back(_provider(memory), **parameters)
    assert "/token" not in memory.calls
    assert "<" not in str(refusal.value.context)


def test_a_provider_that_names_itself_must_do_so() -> None:
    memory = MemoryProvider(
        document={"authorization_response_iss_parameter_supported": True},
        tokens={"id_token": id_token(claims(nonce="nonce"))},
    )
    with pytest.raises(LogInRefused):
        _back(_provider(memory))
    assert _back(_provider(memory), iss=ISSUER)


@pytest.mark.parametrize("nonce", [None, "other", 7, "\ud800"])
def test_a_token_for_another_log_in_is_refused(nonce: object) -> None:
    memory = MemoryProvider(tokens={"id_token": id_token(claims(nonce=nonce))})
    with pytest.raises(IdTokenInvalid) as refusal:
        _back(_provider(memory))
    assert _reason(refusal) == "nonce"


def test_a_token_for_exchange_does_not_log_anybody_in() -> None:
    memory = MemoryProvider(tokens={"id_token": id_token(claims(nonce="nonce", aud="app"))})
    with pytest.raises(IdTokenInvalid):
        _back(_provider(memory, exchange_audiences=frozenset({"app"})))


def test_a_code_that_is_not_honoured_is_the_persons_to_repeat() -> None:
    memory = MemoryProvider(spoil={"/token": httpx.Response(400, json={"error": "invalid_grant"})})
    with pytest.raises(LogInRefused):
        _back(_provider(memory))


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(401, json={"error": "invalid_client"}),
        httpx.Response(200, json={"access_token": "only"}),
        httpx.Response(500, text="oops"),
        httpx.Response(302, headers={"location": "https://evil.test"}, json={}),
        httpx.ConnectError("down"),
    ],
)
def test_what_the_operator_must_repair_is_retryable(answer: httpx.Response | Exception) -> None:
    with pytest.raises(ProviderUnavailable):
        _back(_provider(MemoryProvider(spoil={"/token": answer})))


def test_userinfo_adds_claims_but_never_replaces_signed_ones() -> None:
    memory = MemoryProvider(
        tokens={"id_token": id_token(claims(nonce="nonce", rrn=None)), "access_token": "a"},
        userinfo={"sub": "an", "rrn": "85073003328", "name": "Somebody Else"},
    )
    provider = _provider(memory, use_userinfo=True)
    person = provider.finish(
        now=NOW,
        redirect_uri=REDIRECT,
        pending=PendingLogIn("state", "nonce", "verifier"),
        parameters={"state": "state", "code": "code"},
    ).person
    assert (person.national_number, person.name) == ("85073003328", "An Peeters")


def test_userinfo_of_another_subject_is_refused() -> None:
    memory = MemoryProvider(
        tokens={"id_token": id_token(claims(nonce="nonce")), "access_token": "a"}, userinfo={"sub": "eve"}
    )
    with pytest.raises(IdTokenInvalid):
        _back(_provider(memory, use_userinfo=True))


def test_userinfo_that_cannot_be_had_is_retryable() -> None:
    memory = MemoryProvider(tokens={"id_token": id_token(claims(nonce="nonce"))})
    with pytest.raises(ProviderUnavailable):
        _back(_provider(memory, use_userinfo=True))


def test_a_log_in_that_is_not_sure_enough_is_refused() -> None:
    provider = _provider(required_acr=frozenset({"high"}))
    provider.validate_id_token(id_token(claims(acr="high")), now=NOW)
    for level in ("low", None):
        with pytest.raises(LogInRefused):
            provider.validate_id_token(id_token(claims(acr=level)), now=NOW)


def test_log_out_goes_to_the_provider_where_it_offers_that() -> None:
    url = _provider().log_out_url(now=NOW, id_token="t", return_uri=REDIRECT, state="s")
    assert url is not None
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert query == {
        "id_token_hint": "t", "client_id": CLIENT_ID, "post_logout_redirect_uri": REDIRECT, "state": "s",
    }  # fmt: skip
    memory = MemoryProvider()
    document = {name: value for name, value in memory.metadata().items() if name != "end_session_endpoint"}
    memory.spoil["/.well-known/openid-configuration"] = httpx.Response(200, json=document)
    assert _provider(memory).log_out_url(now=NOW, id_token="t", return_uri=REDIRECT) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"issuer": "http://login.example.test"}, "https"),
        ({"issuer": "ftp://login.example.test"}, "https"),
        ({"issuer": "https://"}, "https"),
        ({"scopes": ("profile",)}, "openid"),
        ({"client_id": ""}, "client id"),
        ({"algorithms": frozenset({"none"})}, "algorithms"),
        ({"algorithms": frozenset({"HS256", "RS256"})}, "algorithms"),
        ({"algorithms": frozenset()}, "algorithms"),
    ],
)
def test_unsafe_settings_are_refused_at_start(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        _provider(**changes)


def test_settings_do_not_show_their_secret() -> None:
    assert SETTINGS.client_secret not in repr(SETTINGS)


def test_too_old_is_a_setting() -> None:
    provider = _provider(max_age=timedelta(minutes=1))
    old = id_token(claims(iat=int(NOW.timestamp()) - 91, exp=int(NOW.timestamp()) + 600))
    with pytest.raises(IdTokenInvalid):
        provider.validate_id_token(old, now=NOW)
