"""Keys of hand-ins on a real database: one delivery and one answer, whoever repeats, crashes or comes late."""

import dataclasses
import json
import threading
import uuid

import pytest

from service.db import idempotency
from service.db.idempotency import Claim, Seen
from service.db.ids import new_id
from service.db.jobs import Lane
from service.domain.errors import (
    DocumentRefused,
    IdempotencyMismatch,
    IdempotencyMissing,
    IdempotencyRunning,
    Invalid,
)
from service.usecases import admission
from service.usecases import hand_in as subject
from service.usecases.admission import Upload
from service.usecases.desk import Desk
from service.usecases.hand_in import ROUTE, HandedIn
from tests.engine_support import execute, organisations
from tests.pipeline_support import Pipeline, TestDatabase
from tests.service_support import DOCUMENTS, delivery_for

PRINT, OTHER = b"p" * 32, b"o" * 32


def claim(
    database: TestDatabase, sender: uuid.UUID, *, key: str = "k", print_: bytes = PRINT, route: str = ROUTE
) -> Claim | Seen:
    with database.database.transaction(organisations=[sender]) as session:
        return idempotency.claim(session, sender, route, key, print_, seconds=300)


def first(database: TestDatabase, sender: uuid.UUID) -> Claim:
    claimed = claim(database, sender)
    assert isinstance(claimed, Claim)
    return claimed


def complete(database: TestDatabase, claimed: Claim, subject_id: uuid.UUID) -> bool:
    with database.database.transaction(organisations=[claimed.organisation_id]) as session:
        return idempotency.complete(session, claimed, status=202, answer=b"answer", subject=subject_id)


def release(database: TestDatabase, claimed: Claim) -> None:
    with database.database.transaction(organisations=[claimed.organisation_id]) as session:
        idempotency.release(session, claimed)


def end_claims(database: TestDatabase) -> None:
    execute(database, "UPDATE idempotency_key SET lease_until = now() - interval '1 second' WHERE status IS NULL")


@pytest.fixture
def sender(database: TestDatabase) -> uuid.UUID:
    return organisations(database, 1)[0]


def test_a_key_is_claimed_once_while_its_request_runs(database: TestDatabase, sender: uuid.UUID) -> None:
    assert first(database, sender) == Claim(sender, ROUTE, "k", 1)
    assert claim(database, sender) == Seen(PRINT, None, None, None)
    assert claim(database, sender, print_=OTHER) == Seen(PRINT, None, None, None)


def test_a_key_belongs_to_its_organisation_and_route(database: TestDatabase, sender: uuid.UUID) -> None:
    (other,) = organisations(database, 1)
    first(database, sender)
    assert isinstance(claim(database, other), Claim)
    assert isinstance(claim(database, sender, route="POST /v1/other"), Claim)
    assert isinstance(claim(database, sender, key="K"), Claim)


def test_the_first_answer_is_kept(database: TestDatabase, sender: uuid.UUID) -> None:
    claimed, delivery = first(database, sender), new_id()
    assert complete(database, claimed, delivery)
    assert not complete(database, claimed, new_id())
    release(database, claimed)
    end_claims(database)
    assert claim(database, sender) == Seen(PRINT, 202, b"answer", delivery)


def test_a_released_key_is_free_for_anything(database: TestDatabase, sender: uuid.UUID) -> None:
    release(database, first(database, sender))
    assert isinstance(claim(database, sender, print_=OTHER), Claim)


def test_after_its_lease_a_key_goes_to_the_same_request_and_the_first_has_lost_it(
    database: TestDatabase, sender: uuid.UUID
) -> None:
    lost = first(database, sender)
    end_claims(database)
    assert claim(database, sender, print_=OTHER) == Seen(PRINT, None, None, None)
    taken = claim(database, sender)
    assert taken == Claim(sender, ROUTE, "k", 2)
    assert isinstance(claim(database, sender), Seen)
    assert not complete(database, lost, new_id())
    release(database, lost)
    assert isinstance(taken, Claim)
    assert complete(database, taken, new_id())


def test_two_that_claim_at_once_agree_on_who_was_first(database: TestDatabase, sender: uuid.UUID) -> None:
    found: list[Claim | Seen] = []
    ready = threading.Barrier(8)

    def run() -> None:
        ready.wait()
        found.append(claim(database, sender))

    _together(run, 8)
    assert sum(isinstance(each, Claim) for each in found) == 1
    assert len(found) == 8


def _together(run: object, count: int) -> None:
    threads = [threading.Thread(target=run) for _ in range(count)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def counted(database: TestDatabase) -> dict[str, int]:
    tables = ("delivery", "submission", "document", "job", "delivery_event")
    return {table: execute(database, f"SELECT count(*) FROM {table}")[0][0] for table in tables}


def test_twenty_identical_hand_ins_at_once_make_one_delivery(pipeline: Pipeline, database: TestDatabase) -> None:
    sender = pipeline.organisation()
    answers: list[HandedIn | Exception] = []
    ready = threading.Barrier(20)

    def run() -> None:
        ready.wait()
        try:
            answers.append(pipeline.hand_in(sender, key="same", reference="R1"))
        except Exception as error:  # noqa: BLE001  looked at below
            answers.append(error)

    _together(run, 20)
    done = [answer for answer in answers if isinstance(answer, HandedIn)]
    assert done
    assert all(isinstance(answer, HandedIn | IdempotencyRunning) for answer in answers), answers
    again = pipeline.hand_in(sender, key="same", reference="R1")
    assert {(each.status, bytes(each.body), each.delivery_id) for each in done} == {
        (202, bytes(again.body), again.delivery_id)
    }
    assert counted(database) == {"delivery": 1, "submission": 1, "document": 1, "job": 1, "delivery_event": 1}
    assert execute(database, "SELECT count(*), count(kept_at) FROM vault_object") == [(1, 1)]


def test_the_answer_stays_the_same_while_the_delivery_goes_on(pipeline: Pipeline) -> None:
    sender = pipeline.organisation()
    answer = pipeline.hand_in(sender, key="same", reference="R1")
    pipeline.work()
    again = pipeline.hand_in(sender, key="same", reference="R1")
    assert (again.status, bytes(again.body), again.delivery_id) == (202, bytes(answer.body), answer.delivery_id)
    assert json.loads(bytes(answer.body))["status"] == "received"


def test_the_kept_answer_is_not_readable_in_the_database(pipeline: Pipeline, database: TestDatabase) -> None:
    answer = pipeline.hand_in(pipeline.organisation(), key="same", reference="UNREADABLE")
    ((stored,),) = execute(database, "SELECT answer FROM idempotency_key")
    assert b"UNREADABLE" in bytes(answer.body)
    assert b"UNREADABLE" not in stored


@pytest.mark.parametrize("what", ["json", "name", "role", "content"])
def test_a_key_with_another_request_is_refused(pipeline: Pipeline, database: TestDatabase, what: str) -> None:
    sender = pipeline.organisation()
    pdf = (DOCUMENTS / "notice-nl-ghostscript.pdf").read_bytes()
    uploads = [Upload("document", "a.pdf", pdf), Upload("attachment", "b.pdf", pdf)]
    pipeline.hand_in(sender, key="same", uploads=uploads, reference="R1")
    if what == "name":
        uploads[1] = Upload("attachment", "c.pdf", pdf)
    if what == "role":
        uploads = uploads[:1]
    if what == "content":
        uploads[0] = Upload("document", "a.pdf", pdf + b"\n")
    with pytest.raises(IdempotencyMismatch):
        pipeline.hand_in(sender, key="same", uploads=uploads, reference="R2" if what == "json" else "R1")
    assert counted(database)["delivery"] == 1


def test_a_refused_hand_in_frees_its_key(pipeline: Pipeline, database: TestDatabase) -> None:
    sender = pipeline.organisation()
    with pytest.raises(DocumentRefused):
        pipeline.hand_in(sender, key="same", uploads=[Upload("document", "x.pdf", b"no PDF")])
    with pytest.raises(Invalid):
        pipeline.hand_in(sender, key="same", language="xx")
    assert execute(database, "SELECT count(*) FROM idempotency_key") == [(0,)]
    assert pipeline.hand_in(sender, key="same").status == 202


def test_a_crash_before_the_record_frees_the_key_after_its_lease(
    pipeline: Pipeline, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Nothing of ours runs after it."""

    def die(*_: object, **__: object) -> None:
        raise Killed

    sender = pipeline.organisation()
    with monkeypatch.context() as patch:
        patch.setattr(admission, "record", die)
        with pytest.raises(Killed):
            pipeline.hand_in(sender, key="same", reference="R1")
    assert counted(database)["delivery"] == 0
    assert execute(database, "SELECT count(*) FROM vault_object WHERE kept_at IS NULL") == [(1,)]
    with pytest.raises(IdempotencyRunning):
        pipeline.hand_in(sender, key="same", reference="R1")
    end_claims(database)
    assert pipeline.hand_in(sender, key="same", reference="R1").status == 202
    assert counted(database)["delivery"] == 1


def test_a_request_that_lost_its_key_writes_nothing(
    pipeline: Pipeline, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = pipeline.organisation()
    store = admission.store_group
    answers: list[HandedIn] = []

    def slow(*values: object) -> None:
        store(*values)  # type: ignore[arg-type]
        monkeypatch.setattr(admission, "store_group", store)
        end_claims(database)
        # Another process: it has a desk of its own.
        pipeline.context = dataclasses.replace(pipeline.context, desk=Desk())
        answers.append(pipeline.hand_in(sender, key="same", reference="R1"))

    monkeypatch.setattr(admission, "store_group", slow)
    with pytest.raises(IdempotencyRunning):
        pipeline.hand_in(sender, key="same", reference="R1")
    assert counted(database) == {"delivery": 1, "submission": 1, "document": 1, "job": 1, "delivery_event": 1}
    again = pipeline.hand_in(sender, key="same", reference="R1")
    assert again.delivery_id == answers[0].delivery_id


@pytest.mark.parametrize(
    ("key", "error"), [(None, IdempotencyMissing), ("a b", Invalid), ("é", Invalid), ("k" * 256, Invalid)]
)
def test_a_key_is_needed_and_printable(pipeline: Pipeline, key: str | None, error: type[Exception]) -> None:
    raw = json.dumps(delivery_for("jan")).encode()
    with pytest.raises(error):
        subject.hand_in(pipeline.context, admission.Sender(new_id(), Lane.BULK), raw, [], key=key)


def test_a_group_claims_and_completes_each_key_once_and_never_anothers(
    database: TestDatabase, sender: uuid.UUID
) -> None:
    def ask(*keys: str, print_: bytes = PRINT) -> list[Claim | Seen | None]:
        asked = [idempotency.Request(sender, ROUTE, key, print_, 300) for key in keys]
        with database.database.transaction(organisations=[sender]) as session:
            return idempotency.claim_all(session, asked)

    first_, twin, other = ask("b", "b", "a")
    assert isinstance(first_, Claim)
    assert isinstance(other, Claim)
    assert isinstance(twin, Seen)
    assert twin.status is None
    assert [type(each) for each in ask("a", "c", "b", print_=OTHER)] == [Seen, Claim, Seen]
    stale = Claim(sender, ROUTE, "b", first_.fence + 1)
    answers = [idempotency.Answer(each, 202, each.key.encode(), sender) for each in (stale, other)]
    with database.database.transaction(organisations=[sender]) as session:
        assert idempotency.complete_all(session, answers) == [False, True]
    (seen, running) = ask("a", "b")
    assert isinstance(seen, Seen)
    assert isinstance(running, Seen)
    assert (seen.status, seen.answer, running.status) == (202, b"a", None)
