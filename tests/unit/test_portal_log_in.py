"""Logging in and out: one browser, one answer, one fresh secret."""

from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest

from service.identity.base import Person
from service.identity.errors import ProviderUnavailable
from tests.portal_support import CLERK, NEITHER, Browser, House, house


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture
def stranger(started: House, monkeypatch: pytest.MonkeyPatch) -> Browser:
    return started.browser(monkeypatch)


@pytest.fixture
def somebody(started: House, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Browser:
    return started.browser(monkeypatch, getattr(request, "param", NEITHER))


def cookies(answer: Any) -> dict[str, Any]:
    made: SimpleCookie = SimpleCookie()
    for header in answer.headers.get_list("set-cookie"):
        made.load(header)
    return dict(made)


def log_in(made: Browser, path: str = "/login", query: str = "code=good&state=state-0") -> Any:
    assert made.get(path).headers["location"].startswith("https://login.example/authorize")
    return made.get(f"/login/callback?{query}")


def test_logging_in_begins_a_session_and_goes_to_the_page_that_was_asked_for(stranger: Browser) -> None:
    answer = log_in(stranger, "/login?next=/letters/new")
    assert (answer.status_code, answer.headers["location"]) == (303, "/letters/new")
    made = cookies(answer)["zending_session"]
    assert made["httponly"]
    assert made["samesite"] == "lax"
    assert made["path"] == "/"
    assert made["max-age"] == ""
    assert stranger.get("/home").status_code == 200


def test_over_tls_cookies_are_bound_to_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with house(tmp_path, base_url="https://zending.example") as started:
        made = started.browser(monkeypatch)
        pending = cookies(made.get("/login"))["__Host-zending_log_in"]
        made.client.cookies.set("__Host-zending_log_in", pending.value)
        answer = made.get("/login/callback?code=good&state=state-0")
        session = cookies(answer)["__Host-zending_session"]
        assert session["secure"]
        assert session["domain"] == ""
        assert session["path"] == "/"


def test_every_log_in_has_a_secret_of_its_own_and_ends_the_one_before(somebody: Browser) -> None:
    before = dict(somebody.rows.rows)
    somebody.client.cookies.delete("zending_log_in")
    session = somebody.client.cookies.pop("zending_session") if hasattr(somebody.client.cookies, "pop") else None
    somebody.get("/login")
    assert session is not None
    somebody.client.cookies.set("zending_session", session)
    answer = somebody.get("/login/callback?code=good&state=state-0")
    assert cookies(answer)["zending_session"].value != session
    assert not set(before) & set(somebody.rows.rows)


def test_an_answer_of_the_provider_counts_once(stranger: Browser) -> None:
    log_in(stranger)
    pending = stranger.rows.rows
    assert len(pending) == 1
    stranger.client.cookies.delete("zending_session")
    again = stranger.get("/login/callback?code=good&state=state-0")
    assert again.status_code == 400
    assert "niet voltooid" in again.text


def test_an_answer_meant_for_another_browser_logs_nobody_in(stranger: Browser) -> None:
    answer = log_in(stranger, query="code=good&state=other")
    assert answer.status_code == 401
    assert "niet voltooid" in answer.text
    assert stranger.rows.rows == {}
    assert stranger.get("/login/callback?code=good&state=state-0").status_code == 400


def test_who_is_logged_in_and_goes_back_to_the_callback_goes_home(somebody: Browser) -> None:
    assert somebody.get("/login/callback?code=good&state=state-0").headers["location"] == "/home"


def test_who_is_logged_in_need_not_log_in(somebody: Browser) -> None:
    assert somebody.get("/login?next=/mailbox").headers["location"] == "/mailbox"
    assert somebody.provider.started == []


def test_a_provider_that_is_away_is_nobodys_fault(stranger: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise ProviderUnavailable("The identity provider cannot be used at the moment.")

    monkeypatch.setattr(stranger.provider, "start", fail)
    answer = stranger.get("/login")
    assert answer.status_code == 503
    assert "Aanmelden lukt even niet" in answer.text


@pytest.mark.parametrize(
    ("locale", "language"), [("en-GB", "en"), ("nl", "nl"), ("fr-BE", "fr"), ("es", None), (None, None)]
)
def test_the_language_a_person_prefers_is_kept_unless_they_chose_one(
    stranger: Browser, locale: str | None, language: str | None
) -> None:
    stranger.provider.person = Person(issuer="i", subject="s", locale=locale)
    kept = cookies(log_in(stranger)).get("zending_language")
    assert (kept.value if kept else None) == language


def test_a_chosen_language_wins_over_the_persons_own(stranger: Browser) -> None:
    stranger.provider.person = Person(issuer="i", subject="s", locale="en")
    stranger.client.cookies.set("zending_language", "nl")
    assert "zending_language" not in cookies(log_in(stranger))


def test_logging_out_ends_the_session_here_and_at_the_provider(somebody: Browser) -> None:
    answer = somebody.post("/logout")
    assert answer.status_code == 200
    assert answer.headers["refresh"] == "0; url=https://login.example/end?hint=id-token"
    assert cookies(answer)["zending_session"]["max-age"] == "0"
    assert somebody.rows.rows == {}


def test_a_provider_without_log_out_leaves_it_at_ours(somebody: Browser) -> None:
    somebody.provider.offers_log_out = False
    answer = somebody.post("/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/logged-out")


def test_logging_out_twice_is_harmless(stranger: Browser) -> None:
    assert stranger.post("/logout").headers["location"] == "/logged-out"


def test_a_session_that_is_gone_has_no_rights_left(somebody: Browser) -> None:
    somebody.rows.rows.clear()
    assert somebody.get("/home").status_code == 401


@pytest.mark.parametrize("somebody", [CLERK], indirect=True)
def test_rights_are_asked_for_at_every_page(somebody: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    assert somebody.get("/letters/new").status_code == 200
    monkeypatch.setattr("service.usecases.access.profile", lambda _context, _person: NEITHER)
    assert somebody.get("/letters/new").status_code == 403
