"""What every mailbox channel must do (``service.channels.base``), held by each implementation."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from service.channels import internal
from service.channels.base import Consent, Deposit, DepositedDocument, DepositResult, MailboxChannel, WithdrawResult
from service.channels.internal import InternalChannel
from service.db import mailboxes
from service.db.ids import DELIVERY, new_id, parse_id
from service.db.session import Database
from service.domain.errors import NotFound, Retryable
from service.domain.identifiers import RecipientId, RecipientKind
from service.embedded.fictional import RECIPIENTS
from service.engine.steps import comes_from_outside
from service.usecases import activation, mailbox
from service.usecases.personal import find_hash
from tests.pipeline_support import Pipeline
from tests.usecase_support import activate, reader

NOW = datetime(2026, 11, 2, 10, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


@dataclass
class Place:
    """A channel with one activated recipient (``an``), one who revoked (``cem``), one who never came (``jan``)."""

    channel: MailboxChannel
    broken: MailboxChannel
    pipeline: Pipeline
    sender: uuid.UUID

    def deposit(self, key: str = "an", **changes: object) -> Deposit:
        """A deposit that was never given before."""
        delivery = parse_id(DELIVERY, self.pipeline.hand_in(self.sender, key).delivery_id)
        return replace(
            Deposit(
                reference=internal.reference(delivery, 1),
                recipient=recipient(key),
                organisation=str(self.sender),
                registered=False,
                offered=False,
                subject="Aanslagbiljet",
                language="nl",
                document_type="letter",
                documents=(DepositedDocument("main", "brief.pdf", "0" * 64, 1, "x"),),
            ),
            **changes,  # type: ignore[arg-type]
        )

    def open(self, deposit: Deposit) -> None:
        """The recipient opens it."""
        with self.pipeline.context.database.transaction(recipients=[reader(self.pipeline).recipient_hash]) as session:
            mailboxes.open_item(session, uuid.UUID(deposit.reference.split("/")[0]), now=LATER)


def recipient(key: str) -> RecipientId:
    known = RECIPIENTS[key]
    assert known.number is not None
    return RecipientId.parse(RecipientKind(known.kind), known.number)


@pytest.fixture(params=["internal"])
def place(request: pytest.FixtureRequest, pipeline: Pipeline) -> Iterator[Place]:
    assert request.param == "internal"
    activate(pipeline, "an")
    activation.revoke(pipeline.context, activate(pipeline, "cem", email="cem@voorbeeld.test"))
    nowhere = Database("postgresql://nobody:x@127.0.0.1:1/none")
    yield Place(
        pipeline.context.channel,
        InternalChannel(nowhere, lambda each: find_hash(pipeline.context, each)),
        pipeline,
        pipeline.organisation(),
    )
    nowhere.dispose()


EVERYBODY = ("an", "cem", "jan", "bakery")


def test_the_activated_are_told_among_those_asked_about(place: Place) -> None:
    consent = Consent(str(place.sender), registered=False)
    asked = [recipient(key) for key in EVERYBODY]
    assert place.channel.activated(asked, consent) == {recipient("an")}
    assert place.channel.activated([recipient("jan")], consent) == frozenset()
    assert place.channel.activated([], consent) == frozenset()
    assert place.channel.activated(asked, Consent(str(place.sender), registered=True)) == frozenset()


def test_an_outage_is_never_an_empty_answer(place: Place) -> None:
    calls = (
        lambda: place.broken.activated([recipient("an")], Consent(str(place.sender), registered=False)),
        lambda: place.broken.deposit([place.deposit()], now=NOW),
        lambda: place.broken.withdraw(internal.reference(new_id(), 1), now=NOW),
    )
    for call in calls:
        with pytest.raises(Exception) as caught:  # noqa: PT011  what matters is how the engine takes it
            call()
        assert isinstance(caught.value, Retryable) or comes_from_outside(caught.value)


def test_a_repeated_deposit_is_one_item_with_the_first_receipt(place: Place) -> None:
    deposit = place.deposit()
    (first,) = place.channel.deposit([deposit], now=NOW)
    assert (first.result, first.taken_at, first.reference) == (DepositResult.TAKEN, NOW, deposit.reference)
    assert first.channel_id
    assert place.channel.deposit([deposit], now=LATER) == [first]
    activation.revoke(place.pipeline.context, reader(place.pipeline))
    assert place.channel.deposit([deposit], now=LATER) == [first]
    place.open(deposit)
    assert place.channel.deposit([deposit], now=LATER) == [first]


def test_deposits_at_once_of_one_reference_are_one_item(place: Place) -> None:
    deposit = place.deposit()
    with ThreadPoolExecutor(6) as pool:
        receipts = list(
            pool.map(lambda hour: place.channel.deposit([deposit], now=NOW + timedelta(hours=hour)), range(6))
        )
    assert len({receipt for (receipt,) in receipts}) == 1


def test_consent_is_looked_at_again_and_one_that_fails_leaves_the_others_alone(place: Place) -> None:
    deposits = [place.deposit(key) for key in ("cem", "an", "jan", "an")]
    deposits.append(place.deposit("an", registered=True))
    receipts = place.channel.deposit(deposits, now=NOW)
    assert [receipt.reference for receipt in receipts] == [deposit.reference for deposit in deposits]
    assert [receipt.result for receipt in receipts] == [
        DepositResult.NO_MAILBOX,
        DepositResult.TAKEN,
        DepositResult.NO_MAILBOX,
        DepositResult.TAKEN,
        DepositResult.NO_MAILBOX,
    ]
    assert all(receipt.taken_at is None for receipt in receipts if receipt.result is not DepositResult.TAKEN)
    assert place.channel.deposit([], now=NOW) == []


def test_a_withdrawal_wins_over_what_comes_after_it(place: Place) -> None:
    deposit = place.deposit()
    place.channel.deposit([deposit], now=NOW)
    for _ in range(2):
        assert place.channel.withdraw(deposit.reference, now=LATER) is WithdrawResult.WITHDRAWN
    with pytest.raises(NotFound):
        mailbox.message(
            place.pipeline.context, reader(place.pipeline), f"dlv_{uuid.UUID(deposit.reference.split('/')[0]).hex}"
        )


def test_a_deposit_after_its_own_withdrawal_is_not_taken(place: Place) -> None:
    deposit = place.deposit()
    assert place.channel.withdraw(deposit.reference, now=NOW) is WithdrawResult.WITHDRAWN
    (receipt,) = place.channel.deposit([deposit], now=LATER)
    assert (receipt.result, receipt.reason) == (DepositResult.REFUSED, "withdrawn")


def test_what_was_opened_stays(place: Place) -> None:
    deposit = place.deposit()
    place.channel.deposit([deposit], now=NOW)
    place.open(deposit)
    for _ in range(2):
        assert place.channel.withdraw(deposit.reference, now=LATER) is WithdrawResult.TOO_LATE


def test_what_the_channel_never_got_is_withdrawn(place: Place) -> None:
    assert place.channel.withdraw(internal.reference(new_id(), 1), now=NOW) is WithdrawResult.WITHDRAWN


def test_nothing_of_a_person_is_in_receipts_and_reprs(place: Place) -> None:
    deposit = place.deposit("cem")
    told = repr((deposit, place.channel.deposit([deposit], now=NOW)))
    for secret in (RECIPIENTS["cem"].number or "", "Aanslagbiljet", "brief.pdf"):
        assert secret not in told


def test_a_channel_has_a_short_name(place: Place) -> None:
    assert place.channel.name == "internal"
