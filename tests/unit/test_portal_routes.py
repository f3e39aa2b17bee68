"""Who may see which page, which forms count, and what people see where something is not for them."""

import re
from collections.abc import Iterator

import pytest
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from sqlalchemy.exc import OperationalError

from service.domain.errors import Conflict, QuotaExceeded
from service.portal import guards
from service.portal.languages import OFFERED
from service.portal.rendering import FILE_POLICY, PAGE_POLICY
from service.portal.routes import portal_handlers
from service.web.guards import Access, Public
from tests.api_support import BASE_URL, DELIVERY_ID, ORGANISATION_ID
from tests.portal_support import BOTH, CITIZEN, CLERK, NEITHER, PROFILES, Browser, House, Rows, house, texts

EVIDENCE_ID = "evd_0199f0c24d6a7c3e8b1f5a2d9e4c7b60"


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


def routes(made: Browser) -> list[tuple[str, str, HTTPRouteHandler]]:
    """Method, path and handler of every route of the portal; the framework answers OPTIONS by itself."""
    return [
        (str(method), route.path, handler)
        for router in portal_handlers(made.wired)
        for route in router.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
        if method != "OPTIONS"
    ]


def address(path: str) -> str:
    """A path with ids in it."""
    for name, value in {
        "{delivery_id}": DELIVERY_ID,
        "{evidence_id}": EVIDENCE_ID,
        "{request_id}": "sgr_" + "0" * 32,
        "{number}": "1",
        "{mandate_id}": "mdt_" + "0" * 32,
        "{position}": "0",
        "{job_id}": "job_" + "0" * 32,
        "{pause_id}": "pau_" + "0" * 32,
        "{exception_id}": "pex_" + "0" * 32,
        "{scan_id}": "scn_" + "0" * 32,
        "{organisation}": "tax",
        "{printer}": "directory",
        "{product}": "letter",
        "{what}": "hold",
        "{version}": "0",
        "{entry_id}": "example-consent",
        "{name}": "site.css",
    }.items():
        path = path.replace(name, value)
    assert "{" not in path, path
    return path


def plain(path: str) -> str:
    return re.sub(r":\w+}", "}", path)


def test_every_route_says_who_may_call_it(stranger: Browser) -> None:
    found = routes(stranger)
    assert len(found) > 25
    for method, path, handler in found:
        access = [guard for guard in handler.resolve_guards() if isinstance(guard, Access)]
        assert len(access) == 1, (method, path)


def test_every_form_and_only_forms_are_held_to_come_from_our_pages(stranger: Browser) -> None:
    for method, path, handler in routes(stranger):
        assert (guards.genuine in handler.resolve_guards()) == (method == "POST"), (method, path)
        assert method in {"GET", "POST"}, (method, path)


def test_strangers_are_sent_to_log_in_wherever_it_is_not_public(stranger: Browser) -> None:
    for method, path, handler in routes(stranger):
        if any(isinstance(guard, Public) for guard in handler.resolve_guards()):
            continue
        target = address(plain(path))
        if method == "GET":
            answer = stranger.get(target)
            assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={target}"), path
        else:
            assert stranger.post(target).status_code == 401, path


@pytest.mark.parametrize("role", PROFILES)
def test_everybody_sees_exactly_the_pages_of_their_role(
    role: str, started: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = {
        "neither": {"public", "signed in"},
        "operator": {"public", "signed in"},
        "platform operator": {"public", "signed in", "operator"},
        "clerk": {"public", "signed in", "clerk"},
        "clerk of two": {"public", "signed in"},
        "citizen": {"public", "signed in", "recipient"},
    }[role]
    made = started.browser(monkeypatch, PROFILES[role])
    for method, path, handler in routes(made):
        access = next(guard for guard in handler.resolve_guards() if isinstance(guard, Access))
        target = address(plain(path))
        answer = made.get(target) if method == "GET" else made.post(target)
        stopped = answer.status_code in {401, 403} or answer.headers.get("location", "").startswith(
            ("/organisation?", "/login?")
        )
        assert stopped == (access.name not in allowed), (method, path, answer.status_code)
        if target == "/logout" and method == "POST":
            made.sign_in()


def test_an_operator_of_an_agency_is_told_that_nothing_is_here_yet(
    started: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = started.browser(monkeypatch, PROFILES["operator"])
    page = made.get("/home")
    assert page.status_code == 200
    assert any("is hier nog niets voor u" in text or "nothing here for you" in text for text in texts(page.text))
    assert "/operator" not in page.text


def test_somebody_who_only_operates_goes_straight_to_how_it_is(started: House, monkeypatch: pytest.MonkeyPatch) -> None:
    made = started.browser(monkeypatch, PROFILES["platform operator"])
    assert made.get("/home").headers["location"] == "/operator"


def test_somebody_of_several_organisations_is_asked_for_which(started: House, monkeypatch: pytest.MonkeyPatch) -> None:
    made = started.browser(monkeypatch, PROFILES["clerk of two"])
    assert made.get("/letters/new").headers["location"] == "/organisation?next=/letters/new"
    page = made.get("/organisation?next=/letters/new").text
    assert {"Tax & Customs", "Voorbeeldegem"} <= set(texts(page))
    wrong = made.post("/organisation", {"next": "/letters/new", "organisation": str(ORGANISATION_ID)})
    assert wrong.status_code == 422
    chosen = made.post(
        "/organisation",
        {"next": "/letters/new", "organisation": str(PROFILES["clerk of two"].staff[1].organisation_id)},
    )
    assert chosen.headers["location"] == "/letters/new"
    form = made.get("/letters/new")
    assert form.status_code == 200
    assert "Voorbeeldegem" in form.text


@pytest.mark.parametrize("somebody", [CLERK], indirect=True)
@pytest.mark.parametrize("token", ["", "nonsense", "A" * 86])
def test_a_form_without_the_sessions_proof_is_refused(somebody: Browser, token: str) -> None:
    answer = somebody.post("/letters/new", token=token)
    assert answer.status_code == 403
    assert "Dit formulier is te oud" in answer.text


@pytest.mark.parametrize("somebody", [CLERK], indirect=True)
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "-"])
def test_a_form_from_somebody_elses_page_is_refused(somebody: Browser, origin: str) -> None:
    assert somebody.post("/letters/new", Origin=origin).status_code == 403
    assert somebody.post("/logout", Origin=origin).status_code == 403
    assert somebody.post("/language", {"language": "en"}, Origin=origin).status_code == 403
    assert somebody.rows.rows


def test_pages_let_nothing_but_our_own_files_run(stranger: Browser) -> None:
    answer = stranger.get("/")
    assert answer.headers["content-security-policy"] == PAGE_POLICY
    assert "unsafe" not in PAGE_POLICY
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_every_file_that_a_page_names_is_there_and_kept_by_browsers(stranger: Browser) -> None:
    named = re.findall(r'(?:href|src)="(/static/[^"]+)"', stranger.get("/").text)
    assert len(named) == 3
    for path in named:
        answer = stranger.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert "immutable" not in stranger.get("/static/other/site.css").headers["cache-control"]
    assert stranger.get("/static/other/vendor.sh").status_code == 404
    assert stranger.get("/static/other/..%2frendering.py").status_code == 404


def test_a_static_file_asks_for_nobodys_session(somebody: Browser) -> None:
    somebody.rows.touched.clear()
    assert somebody.get("/static/x/site.css").status_code == 200
    assert somebody.rows.touched == []


@pytest.mark.parametrize("somebody", [CLERK], indirect=True)
def test_what_a_page_asks_by_itself_keeps_no_session_alive(somebody: Browser) -> None:
    somebody.rows.touched.clear()
    somebody.get(f"/letters/{DELIVERY_ID}/progress", HX_Request="true")
    assert somebody.rows.touched == []
    somebody.get("/letters/new")
    assert len(somebody.rows.touched) == 1


def test_the_language_is_the_browsers_until_somebody_chooses(stranger: Browser) -> None:
    assert '<html lang="nl">' in stranger.get("/").text
    for language in OFFERED:
        assert f'<html lang="{language}">' in stranger.get("/", Accept_Language=language).text
    answer = stranger.post("/language", {"language": "en", "back": "/logged-out?x=1"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/logged-out?x=1")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "You are logged out" in stranger.get("/logged-out", Accept_Language="nl").text


def test_an_unknown_language_changes_nothing(stranger: Browser) -> None:
    answer = stranger.post("/language", {"language": "xx", "back": "/"})
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "back",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil",
        "/a\r\nb",
        "/" + "a" * 600,
        "javascript:x",
        "é",
    ],
)
def test_nobody_is_sent_to_another_site_by_a_link_to_ours(stranger: Browser, back: str) -> None:
    assert stranger.post("/language", {"language": "en", "back": back}).headers["location"] == "/"
    stranger.client.get("/login", params={"next": back}, follow_redirects=False)
    answer = stranger.get("/login/callback?code=good&state=state-0")
    assert answer.headers["location"] == "/home"


@pytest.mark.parametrize(("somebody", "target"), [(CLERK, "/letters"), (CITIZEN, "/mailbox")], indirect=["somebody"])
def test_home_is_the_one_thing_somebody_can_do(somebody: Browser, target: str) -> None:
    assert somebody.get("/home").headers["location"] == target


@pytest.mark.parametrize("somebody", [BOTH], indirect=True)
def test_somebody_with_two_roles_has_the_choice(somebody: Browser) -> None:
    page = somebody.get("/home").text
    assert 'href="/mailbox"' in page
    assert 'href="/letters"' in page


def test_somebody_without_a_role_is_told_what_to_do(somebody: Browser) -> None:
    page = somebody.get("/home")
    assert page.status_code == 200
    assert "rijksregisternummer" in page.text
    assert "An &lt;Peeters&gt;" in page.text


def test_a_browser_that_mistypes_an_address_gets_a_page_and_a_program_a_problem(stranger: Browser) -> None:
    for path in ("/nothing", "/mailbox/nothing/here"):
        page = stranger.get(path, Accept="text/html,*/*;q=0.8")
        assert page.status_code == 404
        assert "We vinden deze pagina niet" in page.text
        assert page.headers["content-security-policy"] == PAGE_POLICY
    assert stranger.get("/nothing", Accept="application/json").headers["content-type"] == "application/problem+json"
    strayed = stranger.get("/v1/nothing", Accept="text/html")
    assert strayed.headers["content-type"] == "application/problem+json"


def test_a_wrong_method_reads_like_a_wrong_address(stranger: Browser) -> None:
    answer = stranger.get("/logout", Accept="text/html")
    assert answer.status_code == 404
    assert "We vinden deze pagina niet" in answer.text


@pytest.mark.parametrize("somebody", [CITIZEN], indirect=True)
def test_a_failure_nobody_foresaw_shows_no_technical_text(somebody: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail of An Peeters")

    monkeypatch.setattr("service.usecases.mailbox.messages", fail)
    answer = somebody.get("/mailbox")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "RuntimeError" not in answer.text
    assert answer.headers["x-request-id"] in answer.text


@pytest.mark.parametrize("somebody", [CITIZEN], indirect=True)
@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (Conflict("x", code="not_opened"), 409, "Open eerst het bericht."),
        (QuotaExceeded("x", retry_after=7), 429, "Wacht even"),
        (OperationalError("SELECT", {}, RuntimeError()), 503, "even niet beschikbaar"),
    ],
)
def test_what_goes_wrong_is_said_in_the_persons_language(
    somebody: Browser, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, said: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("service.usecases.mailbox.message", fail)
    answer = somebody.get(f"/mailbox/messages/{DELIVERY_ID}")
    assert answer.status_code == status
    assert said in answer.text
    assert ("retry-after" in answer.headers) == (status in {429, 503})


@pytest.mark.parametrize("somebody", [CLERK], indirect=True)
def test_a_page_that_looks_for_news_keeps_what_it_shows_while_we_are_away(
    somebody: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError("SELECT", {}, RuntimeError())

    monkeypatch.setattr("service.usecases.deliveries.get", fail)
    asked = somebody.get(f"/letters/{DELIVERY_ID}/progress", HX_Request="true")
    assert (asked.status_code, asked.headers["hx-reswap"]) == (503, "none")
    assert "hx-reswap" not in somebody.get(f"/letters/{DELIVERY_ID}").headers


@pytest.mark.parametrize("somebody", [CLERK], indirect=True)
def test_whose_session_is_over_is_told_so_and_comes_back_to_the_page(somebody: Browser) -> None:
    somebody.rows.rows.clear()
    asked = somebody.get("/letters/new")
    assert asked.status_code == 401
    assert "Uw sessie is voorbij" in asked.text
    assert 'href="/login?next=/letters/new"' in asked.text
    polled = somebody.get(f"/letters/{DELIVERY_ID}/progress", HX_Request="true", HX_Current_URL=f"{BASE_URL}/letters/x")
    assert polled.status_code == 401
    assert 'href="/login?next=/letters/x"' in polled.text
    sent = somebody.post("/letters/x/cancel", Referer=f"{BASE_URL}/letters/x?y=1")
    assert sent.status_code == 401
    assert "niet verstuurd" in sent.text
    assert 'href="/login?next=/letters/x"' in sent.text
    assert 'href="/login?next=/home"' in somebody.post("/letters/x/cancel", Referer="https://[nonsense").text


def test_a_form_larger_than_any_of_ours_is_refused(somebody: Browser) -> None:
    answer = somebody.post("/organisation", {"organisation": "x" * 70_000})
    assert answer.status_code == 413
    assert "Dit is te groot" in answer.text


def test_a_body_that_is_no_form_is_refused(somebody: Browser) -> None:
    headers = {"Origin": BASE_URL, "Content-Type": "application/json"}
    assert somebody.client.post("/organisation", content=b"{}", headers=headers).status_code == 415


def test_a_document_may_only_be_shown_within_our_own_pages() -> None:
    assert "frame-ancestors 'self'" in FILE_POLICY
    assert "script" not in FILE_POLICY


def test_the_rows_stand_for_the_use_case_that_they_replace() -> None:
    from service.usecases import sessions

    assert all(callable(getattr(sessions, name)) for name in vars(Rows) if not name.startswith("_"))
