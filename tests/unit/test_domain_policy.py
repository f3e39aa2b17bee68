"""Which way a delivery goes, by what it is sent under."""

from datetime import date
from itertools import product

import pytest

from service.domain import legal_bases, policy, terms
from service.domain.identifiers import RecipientKind
from service.domain.legal_basis import Ending, Fallback, Mode
from service.domain.policy import Route
from service.domain.states import LegKind, LegState
from service.domain.terms import Terms, Wishes

NUMBERED = [kind for kind in RecipientKind if kind is not RecipientKind.POSTAL]


def sent_under(entry_id: str, **wishes: object) -> Terms:
    entry = legal_bases.load().current(entry_id, date(2026, 11, 28))
    assert entry is not None
    found, refused = terms.settle(entry, Wishes(**wishes))  # type: ignore[arg-type]
    assert not refused
    return found


ORDINARY = sent_under(legal_bases.ORDINARY)
REGISTERED = sent_under(legal_bases.REGISTERED)
CONSENT = sent_under("example-consent")


@pytest.mark.parametrize("kind", NUMBERED)
@pytest.mark.parametrize("under", [ORDINARY, REGISTERED, CONSENT])
def test_an_activated_mailbox_comes_first(under: Terms, kind: RecipientKind) -> None:
    registered = under is not ORDINARY
    found = policy.first(under, activated=True, registered=registered, recipient_kind=kind)
    assert found == Route(LegKind.MAILBOX, registered)


@pytest.mark.parametrize("kind", NUMBERED)
def test_without_a_mailbox_registered_mail_goes_by_registered_letter(kind: RecipientKind) -> None:
    for under, registered in ((ORDINARY, False), (REGISTERED, True), (CONSENT, True)):
        found = policy.first(under, activated=False, registered=registered, recipient_kind=kind)
        assert found == Route(LegKind.PAPER, registered)


def test_a_postal_recipient_gets_paper_whatever_a_channel_says() -> None:
    for activated, registered in product((False, True), repeat=2):
        under = REGISTERED if registered else ORDINARY
        found = policy.first(under, activated=activated, registered=registered, recipient_kind=RecipientKind.POSTAL)
        assert found == Route(LegKind.PAPER, registered)


def test_what_follows_each_end_of_an_offer() -> None:
    ends = {
        (LegState.UNDELIVERABLE, "bounced"): Route(LegKind.PAPER, registered=True),
        (LegState.UNDELIVERABLE, "no_mailbox"): Route(LegKind.PAPER, registered=True),
        (LegState.EXPIRED, None): Route(LegKind.PAPER, registered=True),
        (LegState.REFUSED, "refused_by_recipient"): Route(LegKind.PAPER, registered=False),
    }
    for (state, reason), way in ends.items():
        ending = policy.ending(state, reason)
        assert ending is not None
        assert policy.after(CONSENT, ending) == way
    hidden = sent_under("example-hidden-sender")
    assert policy.after(hidden, Ending.REFUSED) is None
    assert policy.after(
        sent_under("example-hidden-sender", fallback=frozenset({Ending.REFUSED})), Ending.REFUSED
    ) == Route(LegKind.PAPER, registered=True)


def test_states_in_which_a_mailbox_leg_goes_on_lead_nowhere() -> None:
    for state in (LegState.PENDING, LegState.OFFERED, LegState.AVAILABLE, LegState.OPENED, LegState.WITHDRAWN):
        assert policy.ending(state, None) is None


def test_an_address_is_required_whenever_paper_is_possible() -> None:
    for under, postal in product((ORDINARY, REGISTERED, CONSENT), (False, True)):
        assert terms.address_required(under, postal=postal)


def test_every_silent_end_of_registered_mail_reaches_a_registered_letter() -> None:
    for entry in legal_bases.load().entries():
        for mode, wished in product(entry.modes, (frozenset[Ending](), frozenset({Ending.REFUSED}), frozenset(Ending))):
            found, _ = terms.settle(entry, Wishes(mode=mode, fallback=wished))
            silent = {
                Ending.NO_MAILBOX,
                Ending.NOTICE_FAILED,
                Ending.EXPIRED if mode is Mode.CONSENT else Ending.UNREAD,
            }
            assert all(found.follows(each) is Fallback.REGISTERED_PAPER for each in silent)


def test_mail_from_before_the_register_keeps_its_safe_ends() -> None:
    before = terms.from_json({}, registered=True)
    silent = (Ending.NO_MAILBOX, Ending.NOTICE_FAILED, Ending.UNREAD)
    assert all(before.follows(each) is Fallback.REGISTERED_PAPER for each in silent)
    assert before.unread_days is not None
    assert terms.from_json({}, registered=False).follows(Ending.NO_MAILBOX) is Fallback.ORDINARY_PAPER
