import re
from dataclasses import fields
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.notifications.base import ActivationCode, Language, MailArrived
from service.notifications.texts import _WORDS, compose, one_line

LINK = re.compile(r"://|www\.|\.(be|com|eu|gov|org|net|vlaanderen)\b|href", re.IGNORECASE)
OFFER = MailArrived("Vlaamse Belastingdienst", registered=True, offered=True)
REMINDER = MailArrived(None, registered=True, offered=True, reminder=True, last_day=date(2026, 12, 14))
ARRIVALS = [
    MailArrived(None),
    MailArrived("Vlaamse Belastingdienst"),
    MailArrived(None, registered=True),
    OFFER,
    REMINDER,
    MailArrived("Vlaamse Belastingdienst", reminder=True),
]
EVERYTHING = [*ARRIVALS, ActivationCode("012345")]


def test_every_language_has_every_sentence_of_its_own() -> None:
    assert set(_WORDS) == set(Language)
    for field in fields(_WORDS[Language.NL]):
        sentences = [getattr(words, field.name) for words in _WORDS.values()]
        assert all(sentences)
        assert len(set(sentences)) == len(Language), field.name


def test_every_language_fills_in_the_same_values() -> None:
    for field in fields(_WORDS[Language.NL]):
        holes = {frozenset(re.findall(r"{(\w+)}", getattr(words, field.name))) for words in _WORDS.values()}
        assert len(holes) == 1, field.name


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("what", EVERYTHING)
def test_no_notice_holds_a_link(what: MailArrived | ActivationCode, language: Language) -> None:
    text = compose(what, language, service="Zending")
    assert not LINK.search(text.subject + text.body)
    assert "{" not in text.body


@pytest.mark.parametrize("language", Language)
def test_a_notice_warns_of_false_messages(language: Language) -> None:
    for what in ARRIVALS:
        assert _WORDS[language].warning in compose(what, language, service="Zending").body


@pytest.mark.parametrize("language", Language)
def test_the_sender_is_named_only_where_it_may_be(language: Language) -> None:
    named = compose(MailArrived("Gemeente Voorbeeld"), language, service="Zending")
    kept_back = compose(MailArrived(None), language, service="Zending")
    assert "Gemeente Voorbeeld" in named.body
    assert named.subject == kept_back.subject
    assert "None" not in kept_back.body


@pytest.mark.parametrize("language", Language)
def test_a_code_stands_in_the_text_but_not_in_the_subject_line(language: Language) -> None:
    text = compose(ActivationCode("012345", minutes=15), language, service="Zending")
    assert "012345" in text.body
    assert "15" in text.body
    assert "012345" not in text.subject


@pytest.mark.parametrize("name", ["https://evil.test/login", "Zie www.evil.test", "HTTP://X"])
def test_a_name_that_would_become_a_link_is_left_out(name: str) -> None:
    text = compose(MailArrived(name), Language.NL, service="Zending")
    assert "evil" not in text.body
    assert not LINK.search(text.body)


@given(st.text())
def test_a_name_is_always_one_printable_line(name: str) -> None:
    line = one_line(name)
    assert line == "" or line.isprintable()
    assert len(line) <= 120


@given(st.text(), st.sampled_from(Language))
def test_no_name_changes_the_number_of_lines(name: str, language: Language) -> None:
    text = compose(MailArrived(name), language, service="Zending")
    assert len(text.body.splitlines()) == len(compose(MailArrived("x"), language, service="Zending").body.splitlines())


@pytest.mark.parametrize("code", ["12345", "1234567", "12345a", "", "１２３４５６"])
def test_an_activation_code_has_six_digits(code: str) -> None:
    with pytest.raises(ValueError, match="six digits"):
        ActivationCode(code)
    assert "012345" not in repr(ActivationCode("012345"))


def test_an_offer_says_that_there_is_something_to_decide_and_a_reminder_until_when() -> None:
    arrived, offer, reminder = (
        compose(each, Language.NL, service="Zending")
        for each in (MailArrived("Vlaamse Belastingdienst", registered=True), OFFER, REMINDER)
    )
    assert len({arrived.subject, offer.subject, reminder.subject}) == 3
    assert "aanvaardt of weigert" in offer.body
    assert "aanvaardt of weigert" not in arrived.body
    assert "Vlaamse Belastingdienst" in offer.body
    assert "tot en met 14 december 2026" in reminder.body
    assert "tot en met" not in offer.body
