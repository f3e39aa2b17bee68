"""Registered mail at the citizen's door: what each answer means, asked twice, and plain words for who came too late."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from service.domain import calendar
from service.domain.errors import Conflict
from service.usecases import registered_consent
from service.usecases.views import (
    ActivationView,
    EffectRuleView,
    EventView,
    EvidenceEntry,
    LegalBasisView,
    LegalEffectView,
    MessagePage,
    MessageView,
    OfferView,
)
from tests.api_support import DELIVERY_ID
from tests.portal_support import CITIZEN, NOW, READER, Browser, House, house, message, opened, texts

MESSAGE = f"/mailbox/messages/{DELIVERY_ID}"
CONSENT = "/mailbox/activation/registered"
BASIS = LegalBasisView("example-consent", 1, "ab" * 32)
OFFER = OfferView(
    after_refusal="ordinary_paper",
    after_expiry="registered_paper",
    effects=[EffectRuleView("ConsignmentAcceptance", 0), EffectRuleView("ContentAccessTracking", 0)],
    legal_basis=BASIS,
    title={"nl": "Voorbeeld", "fr": "Exemple", "de": "Beispiel", "en": "Example: with acceptance"},
    example=True,
)
ON = ActivationView(active=True, email="an@example.be", language="fr", since=NOW)


def offered(now: datetime, **changes: Any) -> MessageView:
    """An offer of which the recipient may know everything that can be known before acceptance."""
    until = (now + timedelta(days=16)).replace(hour=23, minute=0, second=0, microsecond=0)
    named: dict[str, Any] = {
        "subject": "",
        "document_type": "",
        "registered": True,
        "state": "offered",
        "answer_until": until,
        "offer": OFFER,
        "legal_basis": BASIS,
    }
    return message(**named | changes)


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
def box(citizen: Browser, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The use cases behind the pages, as a dict to be changed; ``calls`` are those that change something."""
    now = citizen.wired.context.clock()
    state: dict[str, Any] = {"message": offered(now), "activation": ON, "calls": [], "error": None, "now": now}

    def change(name: str) -> Any:
        def call(_context: Any, reader: Any, *given: Any, **named: Any) -> Any:
            assert reader == READER
            state["calls"].append((name, *given, *named.values()))
            if state["error"] is not None:
                raise state["error"]
            return state["message"]

        return call

    place = "service.usecases."
    monkeypatch.setattr(f"{place}mailbox.messages", lambda *_, **__: MessagePage([state["message"]], None))
    monkeypatch.setattr(f"{place}mailbox.message", lambda *_: state["message"])
    monkeypatch.setattr(
        f"{place}mailbox.evidence_list", lambda *_: [EvidenceEntry("evd_1", "ConsignmentRejection", NOW, True)]
    )
    events = [
        EventView("NotificationForAcceptance", NOW, "offered", "digital", "service", None),
        EventView("ConsignmentRejection", NOW, "refused", "digital", "recipient", "refused_by_recipient"),
    ]
    monkeypatch.setattr(f"{place}mailbox_timeline.timeline", lambda *_: events)
    monkeypatch.setattr(f"{place}activation.state", lambda *_: state["activation"])
    for name in ("accept", "refuse"):
        monkeypatch.setattr(f"{place}registered.{name}", change(name))
    for name in ("agree", "revoke"):
        monkeypatch.setattr(f"{place}registered_consent.{name}", change(name))
    return state


def said(page: str) -> str:
    return " ".join(" ".join(texts(page)).split())


def test_the_list_says_that_it_waits_from_whom_and_for_how_long(citizen: Browser, box: dict[str, Any]) -> None:
    page = said(citizen.get("/mailbox").text)
    assert "Registered mail waits for your answer" in page
    assert "Tax & Customs" in page
    last = box["message"].answer_until - timedelta(seconds=1)
    left = (calendar.local_date(last) - calendar.local_date(box["now"])).days
    assert left in {15, 16}, "by Brussels days: the test may run between its midnight and that of UTC"
    assert f"{left} days left" in page
    box["message"] = offered(box["now"], sender="", answer_until=box["now"] + timedelta(seconds=1))
    page = said(citizen.get("/mailbox").text)
    assert "The sender is told after acceptance" in page
    assert "Tax & Customs" not in page
    assert "today is the last day" in page


@pytest.mark.parametrize(
    ("state", "title"),
    [
        ("refused", "Registered mail that was refused"),
        ("expired", "Registered mail that was not answered in time"),
    ],
)
def test_what_was_refused_or_expired_stays_as_a_record(
    citizen: Browser, box: dict[str, Any], state: str, title: str
) -> None:
    effect = LegalEffectView(NOW, "ConsignmentRejection", 0)
    box["message"] = offered(box["now"], state=state, answer_until=None, legal_effect=effect)
    assert title in said(citizen.get("/mailbox").text)
    page = citizen.get(MESSAGE).text
    assert "Accept…" not in page
    text = said(page)
    assert "An e-mail told that registered mail waits for an answer." in text
    assert "The registered mail was refused." in text
    assert "by the recipient" in text
    assert "The document has legal effect from the moment the recipient refuses it." in text
    then = {"refused": "by ordinary post", "expired": "by registered post"}[state]
    assert then in text
    assert f"{MESSAGE}/evidence/evd_1" in page


def test_evidence_that_would_name_a_hidden_sender_is_not_offered(citizen: Browser, box: dict[str, Any]) -> None:
    box["message"] = offered(box["now"], state="refused", answer_until=None, sender="")
    assert "/evidence/" not in citizen.get(MESSAGE).text


def test_an_offer_says_what_each_answer_and_none_lead_to(citizen: Browser, box: dict[str, Any]) -> None:
    text = said(citizen.get(MESSAGE).text)
    assert "legal effect at once, whether you read it or not" in text
    assert "The sender's letter then comes to you by ordinary post. This alone has no legal effect." in text
    assert "The sender's letter then comes to you by registered post. This alone has no legal effect." in text
    assert "Example: with acceptance Example, not law" in text
    assert box["calls"] == [], "looking decides nothing"


def test_what_answers_mean_follows_the_terms(citizen: Browser, box: dict[str, Any]) -> None:
    offer = OfferView(
        after_refusal="nothing",
        after_expiry="registered_paper",
        effects=[EffectRuleView("ContentAccessTracking", 0), EffectRuleView("ConsignmentRejection", 3)],
        legal_basis=BASIS,
        title={},
        example=False,
    )
    box["message"] = offered(box["now"], offer=offer)
    text = said(citizen.get(MESSAGE).text)
    assert "Accepting alone has no legal effect: opening it has." in text
    assert "Nothing else is sent to you. The document then has legal effect after 3 working days" in text
    assert "example-consent" in text, "an entry that is no longer there is named by its id"


@pytest.mark.parametrize(
    ("answer", "button"), [("accept", "Yes, I accept"), ("refuse", "Yes, I refuse")]
)  # fmt: skip
def test_an_answer_is_asked_for_twice_and_then_given(
    citizen: Browser, box: dict[str, Any], answer: str, button: str
) -> None:
    assert f'href="{MESSAGE}/{answer}"' in citizen.get(MESSAGE).text
    page = citizen.get(f"{MESSAGE}/{answer}").text
    assert button in page
    assert f'method="post" action="{MESSAGE}/{answer}"' in page
    assert box["calls"] == []
    assert citizen.post(f"{MESSAGE}/{answer}").headers["location"] == MESSAGE
    assert box["calls"] == [(answer, DELIVERY_ID)]
    box["message"] = message(registered=True)
    assert citizen.get(f"{MESSAGE}/{answer}").headers["location"] == MESSAGE, "there is nothing to answer any more"


@pytest.mark.parametrize("answer", ["accept", "refuse"])
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("already_accepted", "This registered mail was accepted before"),
        ("already_refused", "This registered mail was refused before"),
        ("offer_expired", "The time to answer was over"),
        ("offer_withdrawn", "The sender took this registered mail back"),
        ("no_offer", "This mail needs no answer"),
    ],
)
def test_who_comes_too_late_reads_what_came_first(
    citizen: Browser, box: dict[str, Any], answer: str, code: str, words: str
) -> None:
    box["error"] = Conflict("x", code=code)
    page = citizen.post(f"{MESSAGE}/{answer}")
    assert page.status_code == 409
    assert words in said(page.text)
    assert (f'href="{MESSAGE}"' in page.text) is (code != "offer_withdrawn"), "what was taken back is not there"


def test_a_form_of_another_session_answers_nothing(citizen: Browser, box: dict[str, Any]) -> None:
    answer = citizen.client.post(f"{MESSAGE}/accept", data={"csrf": "stolen"})
    assert answer.status_code == 403
    assert box["calls"] == []


def test_accepted_mail_shows_what_happened_and_from_when_it_counts(citizen: Browser, box: dict[str, Any]) -> None:
    effect = LegalEffectView(box["now"] + timedelta(days=4), "ContentConsignment", 3)
    box["message"] = opened(registered=True, legal_basis=BASIS, legal_effect=effect)
    text = said(citizen.get(MESSAGE).text)
    assert "From " in text
    assert "from the beginning of working day 3 after the moment it is in the mailbox" in text
    assert "An e-mail told that registered mail waits for an answer." in text
    box["message"] = message(registered=True, legal_basis=BASIS)
    assert "Nothing that happened so far has legal effect." in said(citizen.get(MESSAGE).text)


def test_registered_mail_is_agreed_to_apart_in_the_mailboxs_language(citizen: Browser, box: dict[str, Any]) -> None:
    assert f'href="{CONSENT}"' in citizen.get("/mailbox/activation").text
    page = citizen.get(CONSENT).text
    assert registered_consent.TEXT["fr"] in texts(page)
    assert 'lang="fr"' in page
    unticked = citizen.post(CONSENT, {"consent_version": registered_consent.VERSION})
    assert unticked.status_code == 422
    assert '<a href="#consent">' in unticked.text
    assert box["calls"] == []
    given = {"consent": "yes", "consent_version": "older"}
    assert citizen.post(CONSENT, given).headers["location"] == "/mailbox/activation"
    assert box["calls"] == [("agree", "older")], "the use case judges the version"
    box["error"] = Conflict("x", code="consent_outdated")
    outdated = citizen.post(CONSENT, given)
    assert outdated.status_code == 422
    assert "The text has changed." in outdated.text


def test_registered_mail_is_stopped_only_after_a_question(citizen: Browser, box: dict[str, Any]) -> None:
    assert citizen.get(f"{CONSENT}/stop").headers["location"] == "/mailbox/activation"
    box["activation"] = ActivationView(
        active=True, email="an@example.be", language="fr", since=NOW, registered_since=NOW
    )
    assert citizen.get(CONSENT).headers["location"] == "/mailbox/activation"
    assert f'href="{CONSENT}/stop"' in citizen.get("/mailbox/activation").text
    assert "Yes, stop it" in citizen.get(f"{CONSENT}/stop").text
    assert box["calls"] == []
    assert citizen.post(f"{CONSENT}/stop").headers["location"] == "/mailbox/activation"
    assert box["calls"] == [("revoke",)]


def test_without_a_mailbox_nobody_is_asked_about_registered_mail(citizen: Browser, box: dict[str, Any]) -> None:
    box["activation"] = ActivationView(active=False, email=None, language=None, since=None)
    assert CONSENT not in citizen.get("/mailbox/activation").text
    assert citizen.get(CONSENT).headers["location"] == "/mailbox/activation"


@pytest.mark.parametrize("effect", [True, False])
def test_who_acts_for_another_answers_only_where_the_mandate_says_so(
    citizen: Browser, box: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *, effect: bool
) -> None:
    mandate = f"mdt_{'0' * 32}"
    acting = SimpleNamespace(id=mandate, other="Jan <Claes>", legal_effect=effect)
    monkeypatch.setattr("service.usecases.mandates.get", lambda *_: acting)
    place = f"/mailbox/for/{mandate}"
    page = citizen.get(f"{place}/messages/{DELIVERY_ID}").text
    assert "Registered mail waits for an answer" in page
    assert (f'href="{place}/messages/{DELIVERY_ID}/accept"' in page) is effect
    assert ("Your answer counts as the answer of Jan &lt;Claes&gt;" in page) is effect
    assert f'href="{MESSAGE}' not in page, "each link stays in the mailbox that is looked at"
    assert "Jan &lt;Claes&gt;" in page
    if effect:
        asked = citizen.get(f"{place}/messages/{DELIVERY_ID}/accept").text
        assert f'action="{place}/messages/{DELIVERY_ID}/accept"' in asked
