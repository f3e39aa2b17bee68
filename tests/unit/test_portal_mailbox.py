"""The recipient's pages: looking opens nothing, and mail comes digitally only to who agreed."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from service.domain.errors import Conflict, Invalid, QuotaExceeded, Retryable
from service.portal.languages import words
from service.usecases import activation
from service.usecases.activation import CONSENT_TEXT, CONSENT_VERSION, CodeWrong
from service.usecases.bundle import Bundle
from service.usecases.views import ActivationView, EvidenceEntry, File, MessagePage
from tests.api_support import DELIVERY_ID
from tests.portal_support import CITIZEN, NOW, READER, Browser, House, field, house, message, opened, texts

OFF = ActivationView(active=False, email=None, language=None, since=None)
WAITING = ActivationView(
    active=False, email=None, language=None, since=None, pending_email="an@example.be", pending_language="en"
)
ON = ActivationView(active=True, email="an@example.be", language="en", since=NOW)
MESSAGE = f"/mailbox/messages/{DELIVERY_ID}"
GOOD = {"code": "123456", "consent": "yes", "consent_version": CONSENT_VERSION, "language": "en"}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture
def citizen(started: House, monkeypatch: pytest.MonkeyPatch) -> Browser:
    made = started.browser(monkeypatch, CITIZEN)
    made.client.cookies.set("zending_language", "en")
    return made


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The use cases behind the mailbox, as a dict to be changed; ``calls`` are those that change something."""
    state: dict[str, Any] = {"message": message(), "activation": OFF, "calls": [], "error": None, "pages": []}

    def change(name: str, result: Any = None) -> Any:
        def call(_context: Any, reader: Any, *given: Any, **named: Any) -> Any:
            assert reader == READER
            state["calls"].append((name, *given, *named.values()))
            if state["error"] is not None:
                raise state["error"]
            return result

        return call

    def pages(_context: Any, reader: Any, *, cursor: str | None, limit: int) -> MessagePage:
        assert reader == READER
        state["pages"].append((cursor, limit))
        return MessagePage([state["message"]] if state["message"] else [], None if cursor else "dlv_next")

    mailbox, activation = "service.usecases.mailbox.", "service.usecases.activation."
    monkeypatch.setattr(f"{mailbox}messages", pages)
    monkeypatch.setattr(f"{mailbox}message", lambda *_: state["message"])
    monkeypatch.setattr(f"{mailbox}open_message", change("open"))
    monkeypatch.setattr(f"{mailbox}document", change("document", File("brief.pdf", b"%PDF")))
    proofs = [EvidenceEntry("evd_1", "ContentAccessTracking", NOW, published=True)]
    monkeypatch.setattr(f"{mailbox}evidence_list", lambda *_: proofs)
    monkeypatch.setattr(f"{mailbox}evidence_one", lambda *_: {"record": {}})
    monkeypatch.setattr(f"{activation}state", lambda *_: state["activation"])
    monkeypatch.setattr(f"{activation}begin", change("begin"))
    monkeypatch.setattr(f"{activation}confirm", change("confirm", ON))
    monkeypatch.setattr(f"{activation}revoke", change("revoke", OFF))
    return state


def test_unopened_messages_are_marked(citizen: Browser, box: dict[str, Any]) -> None:
    page = citizen.get("/mailbox").text
    assert {"Tax & Customs", "Your <b>letter</b>", "New", "23 November 2026"} <= set(texts(page))
    assert "mailbox?after=dlv_next" in page
    box["message"] = opened()
    page = citizen.get("/mailbox?after=dlv_x").text
    assert "New" not in texts(page)
    assert box["pages"] == [(None, 20), ("dlv_x", 20)]


def test_an_empty_mailbox_says_so(citizen: Browser, box: dict[str, Any]) -> None:
    box["message"] = None
    page = citizen.get("/mailbox").text
    assert "There are no letters in your mailbox." in page
    assert "Your letters still come on paper" in page
    box["activation"] = ON
    page = citizen.get("/mailbox").text
    assert "an@example.be" in page
    assert "Your letters still come on paper" not in page
    assert "There are no older letters." in citizen.get("/mailbox?after=dlv_x").text


def test_looking_at_a_message_opens_nothing(citizen: Browser, box: dict[str, Any]) -> None:
    page = citizen.get(MESSAGE).text
    assert {"Tax & Customs", "Your <b>letter</b>", "Open the letter"} <= set(texts(page))
    assert "brief.pdf" not in page
    assert "/documents/" not in page
    assert citizen.get(f"{MESSAGE}/read/0").headers["location"] == MESSAGE
    assert citizen.get(f"{MESSAGE}/open", Accept="text/html").status_code == 404
    assert box["calls"] == []


def test_opening_is_an_act_of_its_own(citizen: Browser, box: dict[str, Any]) -> None:
    assert citizen.post(f"{MESSAGE}/open").headers["location"] == MESSAGE
    assert box["calls"] == [("open", DELIVERY_ID)]


def test_an_opened_message_can_be_read_kept_and_proven(citizen: Browser, box: dict[str, Any]) -> None:
    box["message"] = opened()
    page = citizen.get(MESSAGE).text
    for path in ("read/0", "documents/0/download", "evidence/evd_1"):
        assert f'href="{MESSAGE}/{path}"' in page
    shown = citizen.get(f"{MESSAGE}/read/0").text
    assert f'<iframe class="viewer" src="{MESSAGE}/documents/0" title="brief.pdf"' in shown
    assert box["calls"] == []
    assert citizen.get(f"{MESSAGE}/read/1").status_code == 404
    assert citizen.get(f"{MESSAGE}/evidence/evd_1").json() == {"record": {}}


def test_everything_can_be_kept_in_one_file_once_the_message_is_opened(
    citizen: Browser, box: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "/bundle" not in citizen.get(MESSAGE).text
    box["message"] = opened()
    assert f'href="{MESSAGE}/bundle"' in citizen.get(MESSAGE).text
    whole = Bundle(f"{DELIVERY_ID}.zip", [("README.txt", b"how")])
    monkeypatch.setattr("service.usecases.mailbox.bundle", lambda *_: whole)
    kept = citizen.get(f"{MESSAGE}/bundle")
    assert (kept.headers["content-type"], kept.content) == ("application/zip", b"".join(whole.stream()))
    assert kept.headers["content-disposition"] == f'attachment; filename="{DELIVERY_ID}.zip"'


def test_a_document_is_shown_within_our_pages_only_or_kept(citizen: Browser, box: dict[str, Any]) -> None:
    shown = citizen.get(f"{MESSAGE}/documents/0")
    assert shown.headers["content-disposition"].startswith("inline;")
    assert shown.headers["x-frame-options"] == "SAMEORIGIN"
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'self'" in shown.headers["content-security-policy"]
    kept = citizen.get(f"{MESSAGE}/documents/0/download")
    assert kept.headers["content-disposition"].startswith("attachment;")
    assert box["calls"] == [("document", DELIVERY_ID, 0)] * 2


def test_the_code_of_a_letter_goes_with_the_address_and_a_wrong_one_is_told_beside_it(
    citizen: Browser, box: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 'name="invitation"' in citizen.get("/mailbox/activation").text
    typed = {"email": "an@example.be", "language": "en", "invitation": "7q4k zz2p 9m3t"}
    citizen.post("/mailbox/activation", typed)
    assert box["calls"] == [("begin", "an@example.be", "en", "7q4k zz2p 9m3t")]

    def refused(*_: object, **__: object) -> None:
        raise activation.InvitationWrong

    monkeypatch.setattr(activation, "begin", refused)
    answer = citizen.post("/mailbox/activation", typed)
    assert answer.status_code == 422
    assert "This is not the code of a letter to you" in answer.text
    assert 'value="7q4k zz2p 9m3t"' in answer.text
    assert 'href="#invitation"' in answer.text


def test_a_code_is_sent_to_the_address_that_was_filled_in(citizen: Browser, box: dict[str, Any]) -> None:
    assert "I have a code already" not in citizen.get("/mailbox/activation").text
    answer = citizen.post("/mailbox/activation", {"email": " an@example.be ", "language": "en"})
    assert answer.headers["location"] == "/mailbox/activation/code"
    assert box["calls"] == [("begin", "an@example.be", "en", "")]
    box["activation"] = WAITING
    assert "I have a code already" in citizen.get("/mailbox/activation").text


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (Invalid("x", code="email_invalid"), 422, "This is not an e-mail address."),
        (Invalid("x", code="language_unknown"), 422, "Choose a language."),
        (Conflict("x", code="email_refused"), 409, "This e-mail address takes no mail."),
        (QuotaExceeded("x", code="activation_code_too_soon"), 429, "We sent a code less than a minute ago."),
        (Retryable("x", code="mail_unavailable"), 503, "We can't send e-mail at the moment."),
    ],
)
def test_what_is_wrong_with_an_address_stands_beside_it(
    citizen: Browser, box: dict[str, Any], error: Exception, status: int, said: str
) -> None:
    box["error"] = error
    answer = citizen.post("/mailbox/activation", {"email": '"><b>', "language": "en"})
    assert answer.status_code == status
    assert any(text.startswith(said) for text in texts(answer.text))
    assert '<a href="#email">' in answer.text
    assert field(answer.text, "email") == "&#34;&gt;&lt;b&gt;"


@pytest.mark.parametrize("kept", ["nl", "fr", "de", "en"])
def test_the_consent_is_shown_in_the_language_it_is_given_in(citizen: Browser, box: dict[str, Any], kept: str) -> None:
    box["activation"] = msgspec.structs.replace(WAITING, pending_language=kept)
    page = citizen.get("/mailbox/activation/code?language=nl").text
    assert CONSENT_TEXT[kept] in texts(page)
    assert f'lang="{kept}"' in page
    assert field(page, "consent_version") == CONSENT_VERSION


def test_without_a_code_on_its_way_there_is_nothing_to_confirm(citizen: Browser, box: dict[str, Any]) -> None:
    assert citizen.get("/mailbox/activation/code").headers["location"] == "/mailbox/activation"
    box["error"] = CodeWrong()
    assert citizen.post("/mailbox/activation/code", GOOD).headers["location"] == "/mailbox/activation"


def test_a_mailbox_is_activated_by_code_and_consent(citizen: Browser, box: dict[str, Any]) -> None:
    box["activation"] = WAITING
    assert citizen.post("/mailbox/activation/code", GOOD).headers["location"] == "/mailbox/activation"
    assert box["calls"] == [("confirm", "123456", CONSENT_VERSION)]


@pytest.mark.parametrize(
    ("form", "places"),
    [
        (GOOD | {"consent": ""}, ["consent"]),
        (GOOD | {"code": " "}, ["code"]),
        (GOOD | {"code": "", "consent": ""}, ["code", "consent"]),
    ],
)
def test_code_and_consent_are_both_needed(
    citizen: Browser, box: dict[str, Any], form: dict[str, str], places: list[str]
) -> None:
    box["activation"] = WAITING
    answer = citizen.post("/mailbox/activation/code", form)
    assert answer.status_code == 422
    assert [place for place in ("code", "consent") if f'<a href="#{place}">' in answer.text] == places
    assert box["calls"] == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CodeWrong(), "This code is not right, or it is too old."),
        (Conflict("x", code="consent_outdated"), "The text has changed."),
    ],
)
def test_a_refused_code_is_said_beside_it(citizen: Browser, box: dict[str, Any], error: Exception, said: str) -> None:
    box["activation"], box["error"] = WAITING, error
    answer = citizen.post("/mailbox/activation/code", GOOD)
    assert answer.status_code == 422
    assert said in answer.text


def test_an_active_mailbox_shows_where_notices_go(citizen: Browser, box: dict[str, Any]) -> None:
    box["activation"] = ON
    assert {"Your mailbox is on", "an@example.be", "Switch my mailbox off"} <= set(
        texts(citizen.get("/mailbox/activation").text)
    )


def test_a_mailbox_is_switched_off_only_after_a_question(citizen: Browser, box: dict[str, Any]) -> None:
    assert citizen.get("/mailbox/activation/stop").headers["location"] == "/mailbox/activation"
    box["activation"] = ON
    assert "Yes, switch it off" in citizen.get("/mailbox/activation/stop").text
    assert box["calls"] == []
    assert citizen.post("/mailbox/activation/stop").headers["location"] == "/mailbox/activation"
    assert box["calls"] == [("revoke",)]


@pytest.mark.parametrize("language", ["nl", "fr", "de", "en"])
def test_who_is_not_reached_by_our_e_mails_reads_it_and_what_to_do(
    citizen: Browser, box: dict[str, Any], language: str
) -> None:
    citizen.client.cookies.set("zending_language", language)
    box["activation"] = ON
    told = citizen.get("/mailbox")
    box["activation"] = msgspec.structs.replace(ON, unreachable_since=NOW)
    page = citizen.get("/mailbox")
    say = words(language).gettext
    for sentence in ("Our e-mails do not reach you", "Confirm an e-mail address"):
        assert say(sentence) in texts(page.text)
        assert say(sentence) not in texts(told.text)
    assert 'href="/mailbox/activation"' in page.text
    assert NOW.date().isoformat() in page.text
    assert say("Use another e-mail address") in texts(citizen.get("/mailbox/activation").text)
