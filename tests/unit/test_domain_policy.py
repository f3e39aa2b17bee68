"""Which way a delivery goes in this release."""

from itertools import product

import pytest

from service.domain import policy
from service.domain.identifiers import RecipientKind
from service.domain.policy import Route, RouteReason, address_required, route
from service.domain.states import LegKind

NUMBERED = [kind for kind in RecipientKind if kind is not RecipientKind.POSTAL]


@pytest.mark.parametrize("kind", NUMBERED)
def test_ordinary_mail_goes_to_an_activated_mailbox(kind: RecipientKind) -> None:
    found = route(activated=True, registered=False, recipient_kind=kind)
    assert found == Route(LegKind.MAILBOX, RouteReason.MAILBOX_ACTIVATED, None, policy.VERSION)


@pytest.mark.parametrize("kind", NUMBERED)
def test_who_has_no_mailbox_gets_paper(kind: RecipientKind) -> None:
    found = route(activated=False, registered=False, recipient_kind=kind)
    assert (found.kind, found.reason, found.problem) == (LegKind.PAPER, RouteReason.NO_MAILBOX, None)


def test_registered_mail_goes_to_paper_and_says_so_the_same_way_for_everybody() -> None:
    for activated, kind in product((False, True), NUMBERED):
        found = route(activated=activated, registered=True, recipient_kind=kind)
        assert found == Route(LegKind.PAPER, RouteReason.REGISTERED, "registered_on_paper")


def test_a_postal_recipient_gets_paper_whatever_a_channel_says() -> None:
    for activated, registered in product((False, True), repeat=2):
        found = route(activated=activated, registered=registered, recipient_kind=RecipientKind.POSTAL)
        assert (found.kind, found.reason) == (LegKind.PAPER, RouteReason.POSTAL_RECIPIENT)
        assert found.problem == ("registered_on_paper" if registered else None)


def test_an_address_is_required_whenever_paper_is_possible() -> None:
    for registered, kind in product((False, True), RecipientKind):
        ways = {route(activated=on, registered=registered, recipient_kind=kind).kind for on in (False, True)}
        assert address_required(registered=registered, recipient_kind=kind) is (LegKind.PAPER in ways)
