"""The legal-basis register: what its entries may say, and what is refused at load."""

from datetime import date
from pathlib import Path

import pytest

from service.domain import legal_bases, terms
from service.domain.legal_basis import Ending, EntryRefused, Fallback, Mode, Register, read_entry
from service.domain.terms import Wishes

FOLDER = Path(legal_bases.__file__).parent
CONSENT = (FOLDER / "example-consent.1.toml").read_text()
DIRECT = (FOLDER / "zending-registered.1.toml").read_text()
ORDINARY = (FOLDER / "zending-ordinary.1.toml").read_text()

WRONG = {
    "no TOML": (CONSENT, "mail =", "mail"),
    "an unknown field": (CONSENT, "end_moves", "end_mooves"),
    "a field of another kind": (CONSENT, "version = 1", 'version = "1"'),
    "version 0": (CONSENT, "version = 1", "version = 0"),
    "an id with a space": (CONSENT, '"example-consent"', '"example consent"'),
    "a language missing": (CONSENT, 'de = "Beispiel', 'da = "Beispiel'),
    "no source": (CONSENT, 'source = "Fictional', 'sauce = "Fictional'),
    "an empty source": (ORDINARY, "Terms of this service; no statute.", " "),
    "no mode": (CONSENT, 'modes = ["consent", "direct"]', "modes = []"),
    "a mode twice": (DIRECT, 'modes = ["direct"]', 'modes = ["direct", "direct"]'),
    "an unknown mode": (DIRECT, 'modes = ["direct"]', 'modes = ["silent"]'),
    "consent without days": (CONSENT, "acceptance_days", "#"),
    "days without consent": (
        DIRECT,
        "unread_days = 15",
        "unread_days = 15\nacceptance_days = {usual=1,least=1,most=1}",
    ),
    "days out of order": (CONSENT, "usual = 15, least = 15", "usual = 15, least = 20"),
    "no day at all": (CONSENT, "usual = 15, least = 15", "usual = 15, least = 0"),
    "the sender kept back in direct mode": (CONSENT, "hides_sender = false", "hides_sender = true"),
    "silence without a letter": (CONSENT, 'expired = "registered_paper"', 'expired = "nothing"'),
    "silence with an ordinary letter": (DIRECT, 'unread = "registered_paper"', 'unread = "ordinary_paper"'),
    "a bounce without a letter": (DIRECT, 'notice_failed = "registered_paper"', ""),
    "no mailbox and no letter": (DIRECT, 'no_mailbox = "registered_paper"', 'no_mailbox = "nothing"'),
    "unread for ever": (DIRECT, "unread_days = 15", ""),
    "nothing about a refusal": (CONSENT, 'refused = "ordinary_paper"', ""),
    "an unknown ending": (CONSENT, "refused =", "rejected ="),
    "an unknown way": (CONSENT, '"ordinary_paper"', '"pigeon"'),
    "ordinary mail without paper": (ORDINARY, 'no_mailbox = "ordinary_paper"', 'no_mailbox = "nothing"'),
    "ordinary mail with a mode": (ORDINARY, 'mail = "ordinary"', 'mail = "ordinary"\nmodes = ["direct"]'),
    "no effect": (ORDINARY, "[[effect]]", "[[defect]]"),
    "effect from nothing that happens": (DIRECT, 'on = "delivered"', 'on = "batched"'),
    "effect from one event twice": (DIRECT, 'on = "delivered"', 'on = "ContentAccessTracking"'),
    "effect before the event": (DIRECT, 'on = "delivered"', 'on = "delivered"\nworking_days = -1'),
    "no day it is in force from": (CONSENT, "in_force_from = 2026-01-01", ""),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_entry_that_would_do_harm_is_refused(wrong: str) -> None:
    text, before, after = WRONG[wrong]
    assert before in text, "the test changes what it means to change"
    read_entry(text.encode())
    with pytest.raises(EntryRefused) as caught:
        read_entry(text.replace(before, after, 1).encode())
    assert caught.value.detail


def test_what_is_refused_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("id = 3")
    with pytest.raises(EntryRefused, match=r"own\.toml"):
        legal_bases.load.__wrapped__(tmp_path)


def test_an_operators_own_entries_stand_beside_those_of_the_service(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(CONSENT.replace("example-consent", "own-rule"))
    register = legal_bases.load.__wrapped__(tmp_path)
    assert {entry.id for entry in register.entries()} == {entry.id for entry in legal_bases.load().entries()} | {
        "own-rule"
    }


def test_the_same_version_twice_is_refused() -> None:
    entry = read_entry(CONSENT.encode())
    with pytest.raises(EntryRefused):
        Register([entry, entry])


def test_the_newest_version_in_force_counts_and_the_hash_is_of_its_file() -> None:
    first = read_entry(CONSENT.encode())
    later = CONSENT.replace("version = 1", "version = 2").replace("2026-01-01", "2027-03-01")
    second = read_entry(later.encode())
    register = Register([second, first])
    assert register.current("example-consent", date(2027, 2, 28)) is first
    assert register.current("example-consent", date(2027, 3, 1)) is second
    assert register.current("example-consent", date(2025, 12, 31)) is None
    assert register.version("example-consent", 1) is first
    assert first.sha256 != second.sha256
    assert first.name == "example-consent/1"


def test_consent_is_never_what_an_organisation_gets_without_asking() -> None:
    usual = legal_bases.load().current(legal_bases.REGISTERED, date(2026, 11, 28))
    assert usual is not None
    assert usual.modes == (Mode.DIRECT,)


def test_examples_say_that_they_are_examples() -> None:
    for entry in legal_bases.load().entries():
        if entry.example:
            assert "EXAMPLE" in entry.text
            assert entry.source.startswith("Fictional")
            assert "fict" in entry.title["en"]
            assert "fict" in entry.title["nl"]


@pytest.mark.parametrize(
    ("entry_id", "wishes", "code"),
    [
        ("zending-registered", Wishes(mode=Mode.CONSENT), "registered_mode_not_allowed"),
        ("zending-registered", Wishes(acceptance_days=15), "acceptance_days_not_allowed"),
        ("example-consent", Wishes(acceptance_days=14), "acceptance_days_not_allowed"),
        ("example-consent", Wishes(acceptance_days=31), "acceptance_days_not_allowed"),
        ("example-hidden-sender", Wishes(mode=Mode.DIRECT), "registered_mode_not_allowed"),
        ("zending-ordinary", Wishes(mode=Mode.DIRECT), "registered_mode_not_allowed"),
        ("zending-ordinary", Wishes(fallback=frozenset({Ending.UNREAD})), "fallback_not_allowed"),
        ("zending-ordinary", Wishes(fallback=frozenset({Ending.NO_MAILBOX, Ending.REFUSED})), "fallback_not_allowed"),
    ],
)
def test_wishes_stay_within_the_entry(entry_id: str, wishes: Wishes, code: str) -> None:
    entry = legal_bases.load().current(entry_id, date(2026, 11, 28))
    assert entry is not None
    _, refused = terms.settle(entry, wishes)
    assert [each.code for each in refused] == [code]


def test_terms_come_back_as_they_were_kept() -> None:
    for entry in legal_bases.load().entries():
        for mode in entry.modes or (None,):
            found, _ = terms.settle(entry, Wishes(mode=mode))
            kept = terms.from_json(found.as_json(), registered=bool(entry.modes))
            assert kept == found
            assert kept.policy_id == entry.name
            assert kept.sha256 == entry.sha256


def test_ordinary_mail_may_name_what_leads_to_paper_anyway() -> None:
    entry = legal_bases.load().current("zending-ordinary", date(2026, 11, 28))
    assert entry is not None
    found, refused = terms.settle(entry, Wishes(fallback=frozenset({Ending.NO_MAILBOX})))
    assert not refused
    assert found.follows(Ending.NO_MAILBOX) is Fallback.ORDINARY_PAPER
