"""What every identity provider must do for us, held against the real embedded one over HTTP.

A second provider joins by adding a fixture value to ``login``: an issuer whose people and signing key a test may use.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from service.identity.base import IdentityProvider, LogIn, LogInStart, PendingLogIn
from service.identity.errors import IdTokenInvalid, LogInRefused, ProviderUnavailable
from service.identity.oidc import OidcSettings, OpenIdProvider
from service.outgoing import http_client
from tests.identity_support import REDIRECT, RunningProvider, browser_answer, free_port, id_token, running_provider

CLIENTS = [
    {"client_id": "zending", "client_secret": "fictional:secret 1", "redirect_uris": [REDIRECT]},
    {"client_id": "app", "client_secret": "fictional-2", "redirect_uris": [REDIRECT]},
]


@dataclass(frozen=True)
class Login:
    """A provider of ours and the process behind it."""

    provider: IdentityProvider
    running: RunningProvider
    http: httpx.Client


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProvider]:
    folder = tmp_path_factory.mktemp("provider")
    clients = folder / "clients.json"
    clients.write_text(json.dumps(CLIENTS), "utf-8")
    with running_provider(folder, "--clients", str(clients)) as provider:
        yield provider


@pytest.fixture
def login(running: RunningProvider) -> Iterator[Login]:
    with http_client({"127.0.0.1"}) as http:
        settings = OidcSettings(running.issuer, "zending", "fictional:secret 1")
        yield Login(OpenIdProvider(settings, http=http), running, http)


def _now() -> datetime:
    return datetime.now(UTC)


def _start(login: Login) -> LogInStart:
    return login.provider.start(now=_now(), redirect_uri=REDIRECT, language="nl")


def _finish(login: Login, pending: PendingLogIn, answer: dict[str, str]) -> LogIn:
    return login.provider.finish(now=_now(), redirect_uri=REDIRECT, pending=pending, parameters=answer)


def _log_in(login: Login, who: str) -> LogIn:
    start = _start(login)
    return _finish(login, start.pending, browser_answer(start.url, sub=who))


def _forged(token: str, key: RSAKey, /, header: dict[str, object] | None = None, **changes: object) -> str:
    """The same token with other claims, signed anew."""
    payload = json.loads(_part(token, 1)) | changes
    return id_token({name: value for name, value in payload.items() if value is not None}, key, **(header or {}))  # type: ignore[arg-type]


def _part(token: str, number: int) -> bytes:
    text = token.split(".")[number]
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_a_citizen_logs_in(login: Login) -> None:
    person = _log_in(login, "an").person
    assert (person.issuer, person.subject, person.name) == (login.running.issuer, "an", "An Peeters")
    assert (person.national_number, person.locale) == ("85073003328", "nl")
    assert person.assurance_level == "urn:be:vlaanderen:authmech:eid"
    assert person.auth_time is not None
    assert abs(person.auth_time - _now()) < timedelta(minutes=2)


def test_a_clerk_logs_in_for_an_administration(login: Login) -> None:
    person = _log_in(login, "bea").person
    assert (person.administration_code, person.enterprise_number, person.national_number) == ("OVO000123", None, None)
    assert person.roles == {"send", "follow"}


def test_two_people_log_in_at_the_same_time_and_stay_themselves(login: Login) -> None:
    first, second = _start(login), _start(login)
    answers = [browser_answer(first.url, sub="an"), browser_answer(second.url, sub="cem")]
    assert _finish(login, second.pending, answers[1]).person.subject == "cem"
    assert _finish(login, first.pending, answers[0]).person.subject == "an"


def test_whoever_declines_is_not_logged_in(login: Login) -> None:
    start = _start(login)
    with pytest.raises(LogInRefused) as refusal:
        _finish(login, start.pending, browser_answer(start.url, action="deny"))
    assert refusal.value.context["reason"] == "access_denied"


def test_a_code_is_good_once(login: Login) -> None:
    start = _start(login)
    answer = browser_answer(start.url, sub="an")
    _finish(login, start.pending, answer)
    with pytest.raises(LogInRefused):
        _finish(login, start.pending, answer)


def test_another_browsers_answer_logs_nobody_in(login: Login) -> None:
    mine, other = _start(login), _start(login)
    with pytest.raises(LogInRefused) as refusal:
        _finish(login, mine.pending, browser_answer(other.url, sub="an"))
    assert refusal.value.context["reason"] == "state"


def test_a_stolen_code_is_worth_nothing_without_its_verifier(login: Login) -> None:
    mine, stolen = _start(login), _start(login)
    code = browser_answer(stolen.url, sub="an")["code"]
    with pytest.raises(LogInRefused) as refusal:
        _finish(login, mine.pending, {"code": code, "state": mine.pending.state})
    assert refusal.value.context["reason"] == "invalid_grant"


def test_a_token_made_for_another_request_is_refused(login: Login) -> None:
    start = _start(login)
    answer = browser_answer(start.url, sub="an")
    pending = PendingLogIn(start.pending.state, "another nonce", start.pending.code_verifier)
    with pytest.raises(IdTokenInvalid) as refusal:
        _finish(login, pending, answer)
    assert refusal.value.context["reason"] == "nonce"


def test_a_code_of_another_redirect_address_is_refused(login: Login) -> None:
    start = _start(login)
    answer = browser_answer(start.url, sub="an")
    with pytest.raises(LogInRefused):
        login.provider.finish(now=_now(), redirect_uri=REDIRECT + "2", pending=start.pending, parameters=answer)


def test_an_id_token_can_be_exchanged(login: Login) -> None:
    logged_in = _log_in(login, "an")
    assert login.provider.validate_id_token(logged_in.id_token, now=_now()) == logged_in.person


def test_a_token_for_another_program_is_exchanged_only_where_that_is_configured(login: Login) -> None:
    issuer = login.running.issuer
    app = OpenIdProvider(OidcSettings(issuer, "app", "fictional-2"), http=login.http)
    token = _log_in(Login(app, login.running, login.http), "an").id_token
    with pytest.raises(IdTokenInvalid) as refusal:
        login.provider.validate_id_token(token, now=_now())
    assert refusal.value.context["reason"] == "audience"
    trusting = OidcSettings(issuer, "zending", "x", exchange_audiences=frozenset({"app"}))
    assert OpenIdProvider(trusting, http=login.http).validate_id_token(token, now=_now()).subject == "an"


def test_an_expired_token_is_refused(login: Login) -> None:
    token = _log_in(login, "an").id_token
    login.provider.validate_id_token(token, now=_now())
    with pytest.raises(IdTokenInvalid) as refusal:
        login.provider.validate_id_token(token, now=_now() + timedelta(hours=1, minutes=1))
    assert refusal.value.context["reason"] == "expired"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://evil.test"}, "issuer"),
        ({"aud": "evil"}, "audience"),
        ({"aud": ["zending", "evil"], "azp": "evil"}, "authorised_party"),
        ({"exp": 1_700_000_000}, "expired"),
        ({"iat": 4_000_000_000, "exp": 4_000_000_300}, "not_yet"),
        ({"sub": None}, "subject"),
    ],
)
def test_even_the_providers_own_signature_does_not_excuse_a_wrong_claim(
    login: Login, changes: dict[str, object], reason: str
) -> None:
    token = _log_in(login, "an").id_token
    key = login.running.key()
    login.provider.validate_id_token(_forged(token, key, {"kid": None}), now=_now())
    with pytest.raises(IdTokenInvalid) as refusal:
        login.provider.validate_id_token(_forged(token, key, {"kid": None}, **changes), now=_now())
    assert refusal.value.context["reason"] == reason


def test_a_swapped_key_is_refused(login: Login) -> None:
    token = _log_in(login, "an").id_token
    stranger = RSAKey.generate_key(2048)
    for kid in (None, login.running.key().thumbprint(), "unheard-of"):
        with pytest.raises(IdTokenInvalid) as refusal:
            login.provider.validate_id_token(_forged(token, stranger, {"kid": kid}), now=_now())
        assert refusal.value.context["reason"] == "signature"


def test_an_unsigned_token_is_refused(login: Login) -> None:
    _, payload, signature = _log_in(login, "an").id_token.split(".")
    head = urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    for unsigned in (f"{head}.{payload}.", f"{head}.{payload}.{signature}"):
        with pytest.raises(IdTokenInvalid) as refusal:
            login.provider.validate_id_token(unsigned, now=_now())
        assert refusal.value.context["reason"] == "algorithm"


def test_changed_claims_break_the_signature(login: Login) -> None:
    head, payload, signature = _log_in(login, "an").id_token.split(".")
    claims = json.loads(_part(f"{head}.{payload}.", 1)) | {"rrn": "17073003384"}
    changed = urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    with pytest.raises(IdTokenInvalid) as refusal:
        login.provider.validate_id_token(f"{head}.{changed}.{signature}", now=_now())
    assert refusal.value.context["reason"] == "signature"


def test_log_out_brings_the_browser_back(login: Login) -> None:
    token = _log_in(login, "an").id_token
    url = login.provider.log_out_url(now=_now(), id_token=token, return_uri=REDIRECT, state="s1")
    assert url is not None
    page = httpx.get(url)
    assert page.status_code == 200
    assert "Log out" in page.text
    confirm = f"{login.running.issuer}/oauth2/end_session/confirm"
    back = httpx.post(confirm, data={"redirect_uri": f"{REDIRECT}?state=s1"})
    assert back.headers["location"] == f"{REDIRECT}?state=s1"


def test_a_provider_that_is_down_is_an_outage_and_no_refusal() -> None:
    settings = OidcSettings(f"http://127.0.0.1:{free_port()}", "zending", "x", seconds=2)
    with http_client({"127.0.0.1"}, seconds=2) as http:
        provider = OpenIdProvider(settings, http=http)
        with pytest.raises(ProviderUnavailable):
            provider.start(now=_now(), redirect_uri=REDIRECT)
        with pytest.raises(ProviderUnavailable):
            provider.validate_id_token("x.y.z", now=_now())


# The embedded provider itself: fictional, yet no hole in the machine it runs on.


def _authorise(login: Login, **changes: str | None) -> str:
    parts = urlsplit(_start(login).url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | changes
    return f"{login.running.issuer}{parts.path}?" + urlencode({k: v for k, v in query.items() if v is not None})


def test_the_log_in_page_shows_the_fictional_people_and_says_that_they_are(login: Login) -> None:
    page = httpx.get(_start(login).url).text
    assert all(name in page for name in ("An Peeters", "Bea Claes", "Cem Aydin", "citizen"))
    assert "fictional" in page
    assert "85073003328" not in page
    assert "//cdn" not in page
    assert httpx.get(f"{login.running.issuer}/style.css").status_code == 200
    assert "fictional" in httpx.get(login.running.issuer).text


def test_nobody_but_the_people_of_the_file_can_log_in(login: Login) -> None:
    answer = httpx.post(_start(login).url, data={"sub": "mallory"})
    assert answer.status_code == 400
    assert "Choose one of the people" in answer.text


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None},
        {"code_challenge_method": "plain"},
        {"client_id": "unknown"},
        {"redirect_uri": "http://evil.test/"},
        {"response_type": "token"},
    ],
)
def test_a_request_that_is_not_safe_gets_no_code(login: Login, changes: dict[str, str | None]) -> None:
    answer = httpx.post(_authorise(login, **changes), data={"sub": "an"})
    assert answer.status_code == 400
    assert "code=" not in answer.headers.get("location", "")


def test_a_request_without_nonce_gets_no_code(login: Login) -> None:
    answer = httpx.post(_authorise(login, nonce=None), data={"sub": "an"})
    assert "code=" not in answer.headers.get("location", "")


def test_a_wrong_client_secret_buys_no_token(login: Login) -> None:
    settings = OidcSettings(login.running.issuer, "zending", "wrong")
    stranger = Login(OpenIdProvider(settings, http=login.http), login.running, login.http)
    with pytest.raises(ProviderUnavailable) as refusal:
        _log_in(stranger, "an")
    assert "token endpoint" in refusal.value.context["reason"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/users/an"), ("POST", "/users/an/revoke-tokens"), ("POST", "/oauth2/clients"), ("GET", "/oidc/login")],
)
def test_nobody_can_add_people_or_clients(login: Login, method: str, path: str) -> None:
    assert httpx.request(method, login.running.issuer + path, json={}).status_code == 404


def test_the_issuer_is_never_another_because_of_a_host_header(login: Login) -> None:
    discovery = f"{login.running.issuer}/.well-known/openid-configuration"
    assert httpx.get(discovery).json()["issuer"] == login.running.issuer
    assert httpx.get(discovery, headers={"host": "evil.test"}).status_code == 400


def test_an_error_of_the_provider_shows_no_debugger(login: Login) -> None:
    answer = httpx.get(f"{login.running.issuer}/console")
    assert answer.status_code == 404
    assert "debugger" not in answer.text.lower()


def test_the_signing_key_is_readable_for_its_owner_only(login: Login) -> None:
    assert login.running.key_file.stat().st_mode & 0o077 == 0
    jwt.decode(_log_in(login, "an").id_token, login.running.key(), algorithms=["RS256"])
