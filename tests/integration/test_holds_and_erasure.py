"""Legal holds outlast every period; a person's request erases what may go and tells what stays."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from service.db.ids import new_id, public_id
from service.domain.errors import Conflict, Erased, Invalid, NotFound
from service.domain.identifiers import RecipientId, RecipientKind
from service.embedded.fictional import RECIPIENTS
from service.usecases import activation, deliveries, erasure, holds, mandates, retention
from tests.engine_support import execute
from tests.integration.test_retention import PERIODS, collect, rounds, rows, stored, years_pass
from tests.mandate_support import accepted, give
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender, activate, deliver, with_post


@pytest.fixture(autouse=True)
def back_to_today(pipeline: Pipeline) -> Iterator[None]:
    yield
    pipeline.skew = timedelta()


def hold(pipeline: Pipeline, delivery: str, reason: str = "Case 12/2026") -> holds.Hold:
    with pipeline.context.database.transaction() as session:
        return holds.begin(session, delivery, reason=reason, actor="operator-1", now=pipeline.now)


def release(pipeline: Pipeline, delivery: str) -> None:
    with pipeline.context.database.transaction() as session:
        holds.end(session, delivery, actor="operator-2", now=pipeline.now)


def test_what_is_held_stays_through_every_period_and_goes_after_its_release(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    kept, other = deliver(pipeline, sender, "jan"), deliver(pipeline, sender, "jan")
    pipeline.close_batches()
    pipeline.work()
    hold(pipeline, kept)
    rounds(pipeline, days=401)
    collect(pipeline)
    assert stored(pipeline, kept) == {"original-0", "sealed-0", "print-1"}
    assert stored(pipeline, other) == set()
    assert deliveries.document(pipeline.context, sender, kept, 0).content.startswith(b"%PDF")
    years_pass(pipeline, database, 12)
    rounds(pipeline)
    assert rows(database, "delivery") == 1
    with pytest.raises(NotFound):
        deliveries.get(pipeline.context, sender, other)
    pipeline.skew += timedelta(days=10)
    rounds(pipeline)
    # The year of the letters' batch is the service's own, and was over for the others that lay in it.
    destroyed = "SELECT key_destroyed_at IS NOT NULL FROM retention_year WHERE organisation_id = %s"
    assert execute(database, destroyed, sender) == [(False,)]
    assert deliveries.document(pipeline.context, sender, kept, 0).content.startswith(b"%PDF")
    release(pipeline, kept)
    rounds(pipeline, days=2)
    assert rows(database, "delivery") == rows(database, "legal_hold") == 0
    collect(pipeline)
    assert stored(pipeline, kept) == set()
    rounds(pipeline, days=1)
    assert execute(database, destroyed, sender) == [(True,)]


def test_a_hold_is_one_at_a_time_has_a_reason_and_is_audited(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    delivery = deliver(pipeline, organisation(), "jan")
    with pytest.raises(NotFound):
        hold(pipeline, public_id("dlv", new_id()))
    with pytest.raises(NotFound):
        release(pipeline, delivery)
    for reason in ("", "  x ", "x" * 201):
        with pytest.raises(Invalid):
            hold(pipeline, delivery, reason)
    hold(pipeline, delivery)
    with pytest.raises(Conflict):
        hold(pipeline, delivery)
    with pipeline.context.database.transaction() as session:
        assert [each.subject for each in holds.listed(session)] == [delivery]
    release(pipeline, delivery)
    hold(pipeline, delivery, "Another case")
    trail = execute(database, "SELECT actor, act, subject FROM audit_entry ORDER BY id")
    assert trail == [
        ("operator-1", "hold.begin", delivery),
        ("operator-2", "hold.end", delivery),
        ("operator-1", "hold.begin", delivery),
    ]


def test_a_hold_that_comes_late_says_so(pipeline: Pipeline, organisation: Sender) -> None:
    sender = organisation()
    delivery = deliver(pipeline, sender, "jan")
    pipeline.close_batches()
    pipeline.work()
    rounds(pipeline, days=401)
    assert hold(pipeline, delivery).content_erased
    with pytest.raises(Erased):
        deliveries.document(pipeline.context, sender, delivery, 0)


def test_a_person_who_asks_is_forgotten_as_far_as_the_law_lets_them(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender, who = organisation(), activate(pipeline, email="an.verwijder@voorbeeld.test")
    delivery = deliver(pipeline, sender, "an")
    hold(pipeline, delivery)
    recipient = RecipientId.parse(RecipientKind.CITIZEN, RECIPIENTS["an"].number or "")
    with_post(pipeline)
    activation.begin(pipeline.context, who, "an.nieuw@voorbeeld.test", "nl")
    mandate, _, held = accepted(pipeline), give(pipeline), accepted(pipeline, "lena", "an")
    done = erasure.erase(pipeline.context, recipient, PERIODS, actor="operator-1")
    assert done.mailbox
    assert done.mandates == 3
    assert {(each.id, each.state) for each in mandates.held(pipeline.context, who)} == {(held, "revoked")}
    assert {each.state for each in mandates.given(pipeline.context, who)} == {"revoked"}
    assert mandate in {each.id for each in mandates.given(pipeline.context, who)}
    assert [(each.subject, each.held) for each in done.kept] == [(delivery, True)]
    (kept,) = done.kept
    assert kept.documents_until == (pipeline.now + timedelta(days=400)).date()
    (retention_year,) = execute(database, "SELECT retention_year FROM delivery")[0]
    assert kept.evidence_until.year == retention_year
    state = activation.state(pipeline.context, who)
    assert (state.active, state.email, state.pending_email) == (False, None, None)
    assert rows(database, "activation_code") == 0
    assert [act for (act,) in execute(database, "SELECT act FROM activation ORDER BY at")] == ["activated", "revoked"]
    again = erasure.erase(pipeline.context, recipient, PERIODS, actor="operator-1")
    assert (again.kept, again.mandates) == (done.kept, 0)
    assert rows(database, "activation") == 2, "one revocation, however often it is asked"
    told = execute(database, "SELECT act, subject, details::text FROM audit_entry WHERE act = 'person.erase'")
    assert len(told) == 2
    assert all(subject.startswith("ers_") for _, subject, _ in told)
    pipeline.skew += timedelta(days=PERIODS.ended_days + 1)
    while retention.run(pipeline.context, PERIODS):
        pass
    assert (rows(database, "mandate"), rows(database, "mandate_act")) == (2, 6), "the one never accepted is gone"
    pipeline.skew += timedelta(days=PERIODS.mailbox_days)
    while retention.run(pipeline.context, PERIODS):
        pass
    assert rows(database, "mailbox") == rows(database, "activation") == 0
    assert rows(database, "mandate") == rows(database, "mandate_act") == 0


def test_a_person_without_a_mailbox_is_told_so(pipeline: Pipeline) -> None:
    recipient = RecipientId.parse(RecipientKind.CITIZEN, RECIPIENTS["an"].number or "")
    done = erasure.erase(pipeline.context, recipient, PERIODS, actor="operator-1")
    assert (done.mailbox, done.proofs_until, list(done.kept)) == (False, None, [])
