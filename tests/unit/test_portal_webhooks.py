"""The clerk's page of webhooks: how each does and what it was told, in plain words, and of addresses only the host."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from service.domain.webhooks import MessageState, Reason, State
from service.portal import states
from service.portal.languages import OFFERED, words
from service.portal.wording import Wording
from service.usecases.webhook_log import AttemptView, WebhookMessageView
from service.usecases.webhooks import WebhookView
from tests.api_support import DELIVERY_ID
from tests.portal_support import CLERK, TAX, Browser, House, house, texts

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def hook(state: str = "active", reason: str | None = None, failing_since: datetime | None = None) -> WebhookView:
    url = "https://hooks.example.org:8443/secret-path?token=x"
    return WebhookView("whk_1", url, None, "", state, reason, AT, failing_since, 2, 1, AT)


def message(state: str, *tried: AttemptView, kind: str = "delivery.returned") -> WebhookMessageView:
    return WebhookMessageView("msg_1", kind, AT, DELIVERY_ID, state, None, list(tried))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture
def clerk(started: House, monkeypatch: pytest.MonkeyPatch) -> Browser:
    return started.browser(monkeypatch, CLERK)


def test_a_clerk_sees_how_each_does_and_nothing_of_an_address_but_its_host(
    clerk: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def newest(_context: object, organisation: object, *, limit: int) -> object:
        asked.append((organisation, limit))
        tried = AttemptView(AT, 5000, None, "timeout")
        return [(hook(failing_since=AT), [message("waiting", tried), message("sent", kind="webhook.test")])]

    monkeypatch.setattr("service.portal.sender.webhooks.webhook_log.newest", newest)
    page = clerk.get("/webhooks")
    assert page.status_code == 200
    assert asked == [(TAX.organisation_id, 10)]
    assert "secret-path" not in page.text
    shown = " ".join(texts(page.text))
    for part in ("hooks.example.org:8443", "Geen antwoord", "niet op tijd geantwoord", "Testbericht"):
        assert part in shown, part
    assert f'href="/letters/{DELIVERY_ID}"' in page.text


def test_without_any_the_page_says_so(clerk: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.portal.sender.webhooks.webhook_log.newest", lambda *_, **__: [])
    assert "Geen enkel systeem van uw organisatie krijgt bericht." in " ".join(texts(clerk.get("/webhooks").text))


@pytest.mark.parametrize("language", OFFERED)
def test_every_state_and_reason_has_its_words(language: str) -> None:
    wording = Wording(words(language))
    assert {each.value for each in Reason} < set(states.WEBHOOKS)
    assert {each.value for each in MessageState} == set(states.MESSAGES)
    for reason in Reason:
        assert wording.webhook(hook(State.DISABLED.value, reason.value)).tone == "stopped"
    assert [wording.webhook(hook(failing_since=since)).tone for since in (None, AT)] == ["done", "waiting"]
    assert wording.answer(AttemptView(AT, 1, 503, None)) == "503"
    assert wording.answer(AttemptView(AT, 1, None, "timeout")) != "timeout"
