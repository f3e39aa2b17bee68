"""How a clerk chooses registered mail: what the kind of document allows, and what will happen before it is sent."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from service.domain import calendar, legal_bases, terms
from service.domain.legal_basis import EFFECTS, Ending, Fallback, Mode
from service.domain.outlook import Act, outlook
from service.domain.terms import Wishes
from service.portal import registered_words
from service.portal.languages import OFFERED, words
from service.portal.registered_words import Registered
from service.usecases.admission import Sender, Upload
from service.usecases.hand_in import HandedIn
from service.usecases.policies import Policies
from tests.api_support import DELIVERY_ID
from tests.portal_support import CLERK, Browser, House, field, house, texts
from tests.unit.test_portal_letters import FILLED, PDF

REGISTER = legal_bases.load()
TYPES = {
    "decision": {"registered": "example-consent"},
    "permit": {"registered": "example-hidden-sender"},
    "invoice": {"registered": "example-third-working-day"},
    "formal-notice": {"registered": "example-consent"},
    "own-type": {"registered": "example-consent"},
}
SEEN = "example-consent/1 consent"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture
def clerk(started: House, monkeypatch: pytest.MonkeyPatch) -> Browser:
    made = started.browser(monkeypatch, CLERK)
    made.client.cookies.set("zending_language", "en")
    known = Policies(REGISTER, date(2026, 11, 24), TYPES)
    monkeypatch.setattr("service.usecases.policies.of_sender", lambda *_: known)
    return made


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was handed in."""
    found: list[dict[str, Any]] = []

    def hand_in(_context: Any, _sender: Sender, raw: bytes, _files: Sequence[Upload], *, key: str) -> HandedIn:
        assert key
        found.append(json.loads(raw))
        return HandedIn(202, b"{}", DELIVERY_ID)

    monkeypatch.setattr("service.usecases.hand_in.hand_in", hand_in)
    return found


def shown(clerk: Browser, **chosen: str) -> str:
    answer = clerk.post("/letters/sending", FILLED | chosen, HX_Request="true")
    assert answer.status_code == 200
    return str(answer.text)


def send(clerk: Browser, **changes: str) -> Any:
    return clerk.post("/letters/new", FILLED | changes, files=[("document", PDF)])


def test_ordinary_mail_offers_no_choice_of_registered_mail(clerk: Browser) -> None:
    page = clerk.get("/letters/new").text
    assert field(page, "seen") == ""
    assert "registered_mode" not in page.split('id="sending"')[1].split(">", 1)[1]
    text = " ".join(texts(page))
    assert "Who has no mailbox gets a letter by post instead." in text
    assert "Ordinary mail" in text


def test_a_clerk_can_choose_what_the_organisation_named_entries_for(clerk: Browser) -> None:
    page = clerk.get("/letters/new").text
    assert '<option value="formal-notice">Formal notice</option>' in page
    assert '<option value="own-type">own-type</option>' in page
    assert "confidential-notice" not in page
    assert page.count('value="decision"') == 1


def test_a_script_gets_the_part_and_others_the_whole_form_with_what_was_filled_in(
    clerk: Browser, sent: list[dict[str, Any]]
) -> None:
    part = shown(clerk, document_type="decision", registered="yes")
    assert "<html" not in part
    whole = clerk.post("/letters/new", FILLED | {"document_type": "decision", "registered": "yes", "look": "yes"}).text
    assert field(whole, "seen") == field(part, "seen") == SEEN
    assert field(whole, "reference") == "REF-1"
    assert "What will happen was worked out again." in part
    assert sent == []
    # Enter in a field presses the first button of a form.
    assert whole.index("Send the letter") < whole.index("Only show what will happen")


def test_only_what_the_entry_allows_can_be_chosen_and_its_first_mode_is_chosen_for_nobody_else(clerk: Browser) -> None:
    both = shown(clerk, document_type="decision", registered="yes")
    assert 'name="registered_mode" value="consent" checked' in both
    assert 'name="registered_mode" value="direct">' in both
    assert 'min="15" max="30"' in both
    direct = shown(clerk, document_type="decision", registered="yes", registered_mode="direct")
    assert 'name="registered_mode" value="direct" checked' in direct
    assert "acceptance_days" not in direct
    # Chosen for another kind of document, and not allowed for this one: the entry's own mode.
    usual = shown(clerk, document_type="letter", registered="yes", registered_mode="consent")
    assert field(usual, "registered_mode") == "direct"
    assert "consent" not in usual
    assert 'type="radio"' not in usual


def test_what_will_happen_is_told_with_its_days_and_examples_say_so(clerk: Browser) -> None:
    page = shown(clerk, document_type="decision", registered="yes", acceptance_days="20")
    text = " ".join(texts(page))
    assert "Example, not law" in text
    assert 'href="/legal-bases/example-consent/1"' in page
    now = clerk.wired.context.clock()
    entry = REGISTER.version("example-consent", 1)
    assert entry is not None
    found, _ = terms.settle(entry, Wishes(Mode.CONSENT, 20))
    for step in outlook(found, now):
        if step.at is not None and step.act is not Act.EFFECT and step.after is not Ending.NO_MAILBOX:
            day = step.at - timedelta(microseconds=step.act is Act.ANSWER_ENDS)
            assert f"{calendar.local_date(day).day} " in text
    assert "If the recipient refuses it, a letter by ordinary post goes out." in text
    more = " ".join(texts(shown(clerk, document_type="decision", registered="yes", after_refusal="yes")))
    assert "If the recipient refuses it, a registered letter goes out." in more
    assert "Example" not in " ".join(texts(shown(clerk, document_type="letter", registered="yes")))


def test_a_postal_recipient_gets_a_letter_whatever_is_chosen(clerk: Browser) -> None:
    text = " ".join(texts(shown(clerk, kind="postal", document_type="decision", registered="yes")))
    assert "A registered letter is made and posted." in text
    assert "asked by e-mail" not in text


def test_what_was_chosen_is_handed_in(clerk: Browser, sent: list[dict[str, Any]]) -> None:
    chosen = {"registered": "yes", "document_type": "decision", "registered_mode": "consent", "seen": SEEN}
    assert send(clerk, **chosen, acceptance_days="21", after_refusal="yes").status_code == 303
    assert send(clerk, **chosen | {"registered_mode": "direct", "seen": "example-consent/1 direct"}).status_code == 303
    assert send(clerk).status_code == 303
    assert [each["policy"] for each in sent] == [
        {"registered_mode": "consent", "acceptance_days": 21, "fallback": ["refused"]},
        {"registered_mode": "direct", "acceptance_days": None, "fallback": []},
        None,
    ]


@pytest.mark.parametrize("seen", ["", "zending-registered/1 direct", "example-consent/1 direct"])
def test_registered_mail_is_sent_by_nobody_who_saw_something_else_of_what_will_happen(
    clerk: Browser, sent: list[dict[str, Any]], seen: str
) -> None:
    answer = send(clerk, registered="yes", document_type="decision", registered_mode="consent", seen=seen)
    assert answer.status_code == 422
    assert '<a href="#registered">' in answer.text
    assert field(answer.text, "seen") == SEEN, "what was not shown before is shown now"
    assert sent == []


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"acceptance_days": "31"}, "acceptance_days"),
        ({"acceptance_days": "soon"}, "acceptance_days"),
        ({"registered_mode": "someday"}, "registered_mode"),
    ],
)
def test_what_is_not_allowed_stands_beside_its_field(
    clerk: Browser, sent: list[dict[str, Any]], changes: dict[str, str], place: str
) -> None:
    chosen = {"registered": "yes", "document_type": "decision", "registered_mode": "consent", "seen": SEEN}
    answer = send(clerk, **chosen | changes)
    assert answer.status_code == 422
    assert f'<a href="#{place}">' in answer.text
    assert f'id="{place}"' in answer.text
    assert sent == []


def test_every_word_of_the_register_has_a_sentence() -> None:
    says = registered_words
    assert set(says.MOMENTS) == {event.value for event in EFFECTS}
    assert set(says.ENDINGS) == set(Ending)
    assert set(says.FALLBACKS) == set(says.REFUSED_THEN) == set(Fallback)
    assert set(says.MODES) == set(Mode)
    assert set(says.ACTS) == set(Act) - {Act.NOTHING, Act.EFFECT}
    letters = {Act.REGISTERED_LETTER, Act.LETTER, Act.NOTHING}
    # Unread mail that nothing follows is not looked at.
    assert set(says.LETTERS) == {(act, ending) for act in letters for ending in Ending} - {(Act.NOTHING, Ending.UNREAD)}


@pytest.mark.parametrize("language", OFFERED)
def test_days_left_are_counted_by_the_calendar_of_brussels(language: str) -> None:
    says = Registered(words(language))
    until = datetime(2026, 12, 14, 23, tzinfo=UTC)  # midnight at the end of Monday the 14th
    day, left = says.days_left(until, datetime(2026, 11, 28, 20, tzinfo=UTC))
    assert "14" in day
    assert "16" in left
    assert says.days_left(until, datetime(2026, 12, 14, 22, 59, tzinfo=UTC))[1] == words(language).gettext(
        "today is the last day"
    )
    assert "1" in says.days_left(until, datetime(2026, 12, 13, 22, 59, tzinfo=UTC))[1]
    weekday = {"nl": "maandag", "fr": "lundi", "de": "Montag", "en": "Monday"}
    assert day.startswith(weekday[language])
