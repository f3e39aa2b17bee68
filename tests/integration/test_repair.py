"""Parked jobs: told in words, retried, and ended only with evidence and by two persons."""

import uuid
from datetime import timedelta
from typing import Any

import pytest

from service.db.ids import DELIVERY, parse_id, public_id
from service.db.jobs import JobKind
from service.domain.errors import Conflict, Forbidden, Invalid, NotFound
from service.domain.evidence import REASONS
from service.usecases import audit, causes, repair
from tests.engine_support import execute, organisations, put
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender, activate, evidence, status, with_post

OLGA, OTTO = "staff:olga", "staff:otto"
HOUR = 3600


def park(database: TestDatabase, kind: str | None = None, *, code: str = "workers_lost") -> str:
    """Park the one job there is (of a kind); its public id."""
    found = execute(
        database,
        "UPDATE job SET parked_at = now(), last_error = %s, attempts = 5, failures = 5 WHERE parked_at IS NULL"
        " AND (%s::text IS NULL OR kind = %s) RETURNING id",
        code,
        kind,
        kind,
    )
    ((job_id,),) = found
    return public_id(repair.JOB, job_id)


def propose(pipeline: Pipeline, job: str, reason: str, actor: str = OLGA, valid: int = HOUR) -> None:
    repair.propose_end(pipeline.context, job, reason=reason, actor=actor, valid_seconds=valid)


def acts(pipeline: Pipeline) -> list[tuple[str, str]]:
    return [(each.act, each.actor) for each in reversed(audit.entries(pipeline.context)[0])]


@pytest.fixture
def parked_seal(pipeline: Pipeline, database: TestDatabase, organisation: Sender) -> tuple[uuid.UUID, str, str]:
    """Sender, delivery and parked job."""
    sender = organisation()
    delivery = pipeline.hand_in(sender).delivery_id
    return sender, delivery, park(database)


def test_a_parked_job_says_why_and_what_to_do(pipeline: Pipeline, parked_seal: tuple[uuid.UUID, str, str]) -> None:
    sender, delivery, job = parked_seal
    ((shown,), more) = repair.parked(pipeline.context)
    assert (shown.id, shown.kind, shown.subject, shown.organisation) == (
        job,
        "seal",
        delivery,
        public_id("org", sender),
    )
    assert (shown.code, shown.meaning) == ("workers_lost", causes.CAUSES["workers_lost"].meaning)
    assert shown.reasons == ("document_unreadable", "malware", "seal_failed")
    assert shown.proposal is None
    assert more is None


def test_parked_jobs_come_in_pages_each_once(pipeline: Pipeline, database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    subjects = put(database, sender, 7)
    # Some in the very same moment.
    execute(database, "UPDATE job SET parked_at = date_trunc('minute', now()), last_error = 'odd'")
    seen: list[str] = []
    cursor = None
    while True:
        page, cursor = repair.parked(pipeline.context, cursor=cursor, limit=3)
        seen += [each.subject for each in page]
        if cursor is None:
            break
    assert sorted(seen) == sorted(public_id(DELIVERY, subject) for subject in subjects)
    assert repair.parked(pipeline.context, kind=JobKind.ROUTE) == ([], None)
    for wrong in ("x", "1-2", "9" * 30 + "-" + "0" * 32, "-", "1-" + "g" * 32):
        with pytest.raises(NotFound):
            repair.parked(pipeline.context, cursor=wrong)


def test_a_retried_job_is_done_and_the_act_is_kept(pipeline: Pipeline, parked_seal: tuple[uuid.UUID, str, str]) -> None:
    sender, delivery, job = parked_seal
    pipeline.work()
    assert status(pipeline, sender, delivery) == "received"
    assert repair.retry(pipeline.context, [job], OLGA) == 1
    assert repair.retry(pipeline.context, [job], OLGA) == 0
    assert pipeline.woken[-1] is JobKind.SEAL
    pipeline.work()
    assert status(pipeline, sender, delivery) == "to_print"
    assert acts(pipeline) == [("job.retry", OLGA)]


def test_two_persons_end_a_job_with_evidence(pipeline: Pipeline, parked_seal: tuple[uuid.UUID, str, str]) -> None:
    sender, delivery, job = parked_seal
    propose(pipeline, job, "seal_failed")
    assert status(pipeline, sender, delivery) == "received"
    ((shown,), _) = repair.parked(pipeline.context)
    assert shown.proposal is not None
    assert (shown.proposal.reason, shown.proposal.proposed_by) == ("seal_failed", OLGA)
    assert repair.confirm_end(pipeline.context, job, actor=OTTO) == "SubmissionRejection"
    assert status(pipeline, sender, delivery) == "rejected"
    record = evidence(pipeline, sender, delivery, "SubmissionRejection")
    assert "seal_failed" in str(record)
    assert repair.parked(pipeline.context) == ([], None)
    assert acts(pipeline) == [("job.end.propose", OLGA), ("job.end.confirm", OTTO)]


@pytest.mark.parametrize("actor", ["client:tool", "os:root:host"])
def test_programs_and_machine_accounts_are_no_persons(
    pipeline: Pipeline, parked_seal: tuple[uuid.UUID, str, str], actor: str
) -> None:
    with pytest.raises(Forbidden) as refused:
        propose(pipeline, parked_seal[2], "seal_failed", actor)
    assert refused.value.code == "person_needed"
    propose(pipeline, parked_seal[2], "seal_failed")
    with pytest.raises(Forbidden):
        repair.confirm_end(pipeline.context, parked_seal[2], actor=actor)


def test_nobody_confirms_what_they_proposed(
    pipeline: Pipeline, database: TestDatabase, parked_seal: tuple[uuid.UUID, str, str]
) -> None:
    sender, delivery, job = parked_seal
    propose(pipeline, job, "seal_failed")
    with pytest.raises(Forbidden) as refused:
        repair.confirm_end(pipeline.context, job, actor=OLGA)
    assert refused.value.code == "second_person_needed"
    assert status(pipeline, sender, delivery) == "received"
    # Not even past the program: the table itself refuses it.
    with pytest.raises(Exception, match="ck_end_proposal_two_persons"):
        execute(database, "UPDATE end_proposal SET confirmed_by = proposed_by, confirmed_at = now()")


def test_a_proposal_runs_out(pipeline: Pipeline, parked_seal: tuple[uuid.UUID, str, str]) -> None:
    sender, delivery, job = parked_seal
    propose(pipeline, job, "seal_failed", valid=60)
    pipeline.skew = timedelta(seconds=61)
    with pytest.raises(Conflict) as refused:
        repair.confirm_end(pipeline.context, job, actor=OTTO)
    assert refused.value.code == "end_not_proposed"
    propose(pipeline, job, "malware", OTTO)
    assert repair.confirm_end(pipeline.context, job, actor=OLGA) == "SubmissionRejection"
    assert status(pipeline, sender, delivery) == "rejected"


def test_a_proposal_is_about_one_parking_only(
    pipeline: Pipeline, database: TestDatabase, parked_seal: tuple[uuid.UUID, str, str]
) -> None:
    job = parked_seal[2]
    propose(pipeline, job, "seal_failed")
    repair.retry(pipeline.context, [job], OLGA)
    with pytest.raises(NotFound):
        repair.confirm_end(pipeline.context, job, actor=OTTO)
    assert park(database) == job
    with pytest.raises(Conflict):
        repair.confirm_end(pipeline.context, job, actor=OTTO)


def test_an_end_is_proposed_once_with_a_reason_of_the_list(
    pipeline: Pipeline, parked_seal: tuple[uuid.UUID, str, str]
) -> None:
    job = parked_seal[2]
    for reason in ("", "because", "gave_up"):
        with pytest.raises(Invalid) as refused:
            propose(pipeline, job, reason)
        assert refused.value.code == "end_reason_refused"
    with pytest.raises(Conflict):
        repair.confirm_end(pipeline.context, job, actor=OTTO)
    propose(pipeline, job, "seal_failed")
    with pytest.raises(Conflict) as twice:
        propose(pipeline, job, "malware", OTTO)
    assert twice.value.code == "end_proposed"


@pytest.mark.parametrize(
    ("key", "until", "kind", "event", "after"),
    [
        ("jan", (JobKind.SEAL,), "route", "RelayToNonERDSFailure", "undeliverable"),
        ("an", (JobKind.SEAL, JobKind.ROUTE), "deposit", "ContentConsignmentFailure", "to_print"),
        ("an", (JobKind.SEAL, JobKind.ROUTE, JobKind.DEPOSIT), "notify", "ConsignmentNotificationFailure", "available"),
        ("jan", (JobKind.SEAL, JobKind.ROUTE), "letter", "RelayToNonERDSFailure", "undeliverable"),
    ],
    ids=["route", "deposit", "notify", "letter"],
)
def test_every_step_of_a_delivery_has_its_own_legal_end(
    pipeline: Pipeline,
    database: TestDatabase,
    organisation: Sender,
    key: str,
    until: tuple[JobKind, ...],
    kind: str,
    event: str,
    after: str,
) -> None:
    with_post(pipeline)
    activate(pipeline)
    sender = organisation()
    delivery = pipeline.hand_in(sender, key).delivery_id
    for each in until:
        pipeline.work(each)
    job = park(database, kind)
    propose(pipeline, job, "gave_up")
    assert repair.confirm_end(pipeline.context, job, actor=OTTO) == event
    assert evidence(pipeline, sender, delivery, event)
    pipeline.work()
    assert status(pipeline, sender, delivery) == after
    assert execute(database, "SELECT count(*) FROM job") == [(0,)]


def test_the_end_of_what_was_cancelled_meanwhile_changes_nothing(
    pipeline: Pipeline, database: TestDatabase, parked_seal: tuple[uuid.UUID, str, str]
) -> None:
    _, delivery, job = parked_seal
    propose(pipeline, job, "seal_failed")
    cancel = "UPDATE delivery SET state = 'cancelled', status = 'cancelled' WHERE id = %s"
    execute(database, cancel, parse_id(DELIVERY, delivery))
    repair.confirm_end(pipeline.context, job, actor=OTTO)
    assert execute(database, "SELECT state FROM delivery") == [("cancelled",)]
    assert execute(database, "SELECT count(*) FROM evidence") == [(0,)]


@pytest.mark.parametrize("kind", sorted(set(JobKind) - set(repair.ENDS)))
def test_what_may_have_happened_outside_is_never_ended(
    pipeline: Pipeline, database: TestDatabase, kind: JobKind
) -> None:
    (sender,) = organisations(database, 1)
    put(database, sender, kind=kind)
    job = park(database)
    with pytest.raises(Invalid) as refused:
        propose(pipeline, job, "gave_up")
    assert refused.value.code == "end_not_possible"


def test_a_job_that_is_not_parked_has_no_end(pipeline: Pipeline, database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    put(database, sender)
    ((job_id,),) = execute(database, "SELECT id FROM job")
    for job in (public_id(repair.JOB, job_id), "job_1", "dlv_" + "0" * 32):
        with pytest.raises(NotFound):
            propose(pipeline, job, "seal_failed")


def test_every_end_is_an_event_with_a_closed_list_of_reasons() -> None:
    assert all(REASONS[event] for event in repair.ENDS.values())
    assert set(repair.ENDS) == set(repair._HAPPENS)


def test_every_code_has_words() -> None:
    codes: list[Any] = [*causes.CAUSES, "ADDR_TOO_LONG", "ValueError", "some_code", None]
    for code in codes:
        found = causes.of(code)
        assert found.meaning.endswith(".")
        assert found.do.endswith(".")
