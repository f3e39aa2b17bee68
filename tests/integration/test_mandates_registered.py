"""Registered mail answered by a mandate: only with legal effect, within its scope, and exactly one answer counts."""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.domain.errors import Conflict, Forbidden, NotFound
from service.domain.mandates import Terms
from service.usecases import deliveries, mailbox, mandates, registered
from tests.mandate_support import EVERYTHING, accepted, acting
from tests.pipeline_support import Pipeline, TestDatabase
from tests.registered_support import agreed, offer, sender_under
from tests.usecase_support import events, evidence, status, with_post

PATIENCE = 120.0
ROUNDS = 10


@pytest.fixture
def sender(pipeline: Pipeline, database: TestDatabase, organisation: Callable[..., uuid.UUID]) -> uuid.UUID:
    with_post(pipeline)
    return sender_under(pipeline, database, organisation)


def outcomes(*acts: Callable[[], object]) -> list[bool]:
    """Which of those that start at the same moment succeeded."""
    start = threading.Barrier(len(acts))

    def attempt(act: Callable[[], object]) -> bool:
        start.wait(PATIENCE)
        try:
            act()
        except (Forbidden, Conflict):
            return False
        return True

    with ThreadPoolExecutor(len(acts)) as pool:
        return [each.result(PATIENCE) for each in [pool.submit(attempt, act) for act in acts]]


def test_an_answer_with_legal_effect_is_the_mandators_and_names_who_gave_it(
    pipeline: Pipeline, sender: uuid.UUID
) -> None:
    an = agreed(pipeline)
    taken, declined = offer(pipeline, sender), offer(pipeline, sender)
    mandate = accepted(pipeline)
    holder = acting(pipeline, mandate)
    assert mailbox.message(pipeline.context, holder, taken).subject == "", "an offer tells nothing to anybody"
    with pytest.raises(Conflict, match="not_accepted"):
        mailbox.open_message(pipeline.context, holder, taken)
    assert registered.accept(pipeline.context, holder, taken).subject
    assert registered.refuse(pipeline.context, holder, declined).state == "refused"
    assert (status(pipeline, sender, taken), status(pipeline, sender, declined)) == ("available", "refused")
    for delivery, event, reasons in (
        (taken, "ConsignmentAcceptance", []),
        (declined, "ConsignmentRejection", ["refused_by_mandatary"]),
    ):
        record = evidence(pipeline, sender, delivery, event)
        assert record["reasons"] == reasons
        assert record["identification"]["acted_for"]["mandate"] == mandate
    assert deliveries.get(pipeline.context, sender, taken).effective_at is not None
    # The mandator is told what happened, not asked again.
    assert registered.accept(pipeline.context, an, taken).state == "available"
    with pytest.raises(Conflict, match="already_refused"):
        registered.accept(pipeline.context, an, declined)
    done = [each.act for each in mandates.acts(pipeline.context, an, mandate)]
    assert done[:2] == ["registered_mail_refused", "registered_mail_accepted"]


def test_without_legal_effect_nobody_answers_and_the_offer_stands(pipeline: Pipeline, sender: uuid.UUID) -> None:
    an = agreed(pipeline)
    delivery = offer(pipeline, sender)
    holder = acting(pipeline, accepted(pipeline, terms=Terms(registered=True)))
    before = events(pipeline, sender, delivery)
    for answer in (registered.accept, registered.refuse):
        with pytest.raises(Forbidden, match="mandate_without_effect"):
            answer(pipeline.context, holder, delivery)
    assert (status(pipeline, sender, delivery), events(pipeline, sender, delivery)) == ("offered", before)
    registered.accept(pipeline.context, an, delivery)
    with pytest.raises(Forbidden, match="mandate_without_effect"):
        registered.accept(pipeline.context, holder, delivery)
    # Once accepted by whom it is for, it is read like any other.
    assert mailbox.open_message(pipeline.context, holder, delivery).documents
    assert status(pipeline, sender, delivery) == "available"


def test_what_is_beyond_the_mandate_is_not_there(
    pipeline: Pipeline, sender: uuid.UUID, organisation: Callable[..., uuid.UUID]
) -> None:
    agreed(pipeline)
    delivery, withdrawn = offer(pipeline, sender), offer(pipeline, sender)
    deliveries.withdraw(pipeline.context, sender, withdrawn, "sent_twice")
    ordinary = acting(pipeline, accepted(pipeline, terms=Terms(legal_effect=True)))
    others = acting(
        pipeline,
        accepted(pipeline, terms=Terms(senders=frozenset({organisation()}), registered=True, legal_effect=True)),
    )
    for holder in (ordinary, others):
        assert mailbox.messages(pipeline.context, holder, cursor=None, limit=5).items == []
        for each in (delivery, withdrawn):
            for answer in (registered.accept, registered.refuse, mailbox.message):
                with pytest.raises(NotFound):
                    answer(pipeline.context, holder, each)
    within = acting(pipeline, accepted(pipeline, terms=EVERYTHING))
    with pytest.raises(Conflict, match="offer_withdrawn"):
        registered.accept(pipeline.context, within, withdrawn)


def test_an_answer_counts_or_was_too_late_when_the_mandate_is_revoked_meanwhile(
    pipeline: Pipeline, sender: uuid.UUID
) -> None:
    an = agreed(pipeline)
    for _ in range(ROUNDS):
        delivery, mandate = offer(pipeline, sender), accepted(pipeline)
        holder = acting(pipeline, mandate)
        answered, revoked = outcomes(
            lambda who=holder, what=delivery: registered.accept(pipeline.context, who, what),
            lambda what=mandate: mandates.revoke(pipeline.context, an, what),
        )
        assert revoked
        assert status(pipeline, sender, delivery) == ("available" if answered else "offered")
        assert events(pipeline, sender, delivery).count("ConsignmentAcceptance") == int(answered)
        acts = [each.act for each in mandates.acts(pipeline.context, an, mandate)]
        assert acts[:-2] == (["revoked", "registered_mail_accepted"] if answered else ["revoked"])


def test_of_mandator_mandatary_and_sender_at_once_exactly_one_has_its_way(
    pipeline: Pipeline, sender: uuid.UUID
) -> None:
    an = agreed(pipeline)
    holder = acting(pipeline, accepted(pipeline))
    for _ in range(ROUNDS):
        delivery = offer(pipeline, sender)
        won = outcomes(
            lambda what=delivery: registered.refuse(pipeline.context, an, what),
            lambda what=delivery: registered.accept(pipeline.context, holder, what),
            lambda what=delivery: deliveries.withdraw(pipeline.context, sender, what, "sent_twice"),
        )
        seen = set(events(pipeline, sender, delivery))
        decided = seen & {"ConsignmentAcceptance", "ConsignmentRejection", "ConsignmentWithdrawal"}
        if won == [False, True, True]:
            # Accepted first, and taken back while it was not opened yet.
            assert decided == {"ConsignmentAcceptance", "ConsignmentWithdrawal"}
            continue
        assert sum(won) == 1
        assert decided == {("ConsignmentRejection", "ConsignmentAcceptance", "ConsignmentWithdrawal")[won.index(True)]}
