"""What may go when its period is over, goes, and nothing else; interruptions and two schedulers change nothing."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from service.db import retention as due
from service.db.ids import DELIVERY, new_id, parse_id
from service.domain.errors import Erased
from service.usecases import deliveries, housekeeping, mailbox, retention
from service.usecases.retention import Periods
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender, activate, deliver, own_messages

WINDOW = timedelta(days=7)
PERIODS = Periods(window=WINDOW, print_days=90, content_days=400, ended_days=30, mailbox_days=700, lookup_days=500)


@pytest.fixture(autouse=True)
def back_to_today(pipeline: Pipeline) -> Iterator[None]:
    yield
    pipeline.skew = timedelta()


def rounds(pipeline: Pipeline, *, days: float = 0) -> None:
    """Let days pass, then everything that is due go: rows first, and their objects a window later."""
    pipeline.skew += timedelta(days=days)
    while retention.run(pipeline.context, PERIODS):
        pass


def collect(pipeline: Pipeline) -> int:
    pipeline.skew += WINDOW + timedelta(minutes=1)
    return housekeeping.collect_removed(pipeline.context, window=WINDOW)


def stored(pipeline: Pipeline, delivery: str) -> set[str]:
    """The roles of the objects that the store holds of a delivery."""
    return {each.path.split("/")[1] for each in pipeline.context.vault.stored(parse_id(DELIVERY, delivery))}


def rows(database: TestDatabase, table: str) -> int:
    return int(execute(database, f"SELECT count(*) FROM {table}")[0][0])


def years_pass(pipeline: Pipeline, database: TestDatabase, years: int) -> None:
    """Let years pass for the service, and for the database's own calendar, which the application can't set."""
    pipeline.skew += timedelta(days=366 * years)
    execute(
        database,
        "CREATE OR REPLACE FUNCTION zending_today() RETURNS date LANGUAGE sql STABLE SET search_path = pg_catalog,"
        f" pg_temp AS $$ SELECT (now() AT TIME ZONE 'Europe/Brussels')::date + {pipeline.skew.days} $$",
    )


def test_an_original_goes_once_it_is_sealed_and_no_restore_can_need_it(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    delivery = deliver(pipeline, sender, "jan")
    waiting = pipeline.hand_in(sender, "jan").delivery_id
    rounds(pipeline)
    assert rows(database, "vault_removal") == 0, "too young: somebody may still be at it"
    rounds(pipeline, days=0.1)
    assert stored(pipeline, delivery) == {"original-0", "sealed-0", "print-1"}
    pipeline.skew += WINDOW - timedelta(hours=1)
    assert housekeeping.collect_removed(pipeline.context, window=WINDOW) == 0
    pipeline.skew += timedelta(hours=2)
    assert housekeeping.collect_removed(pipeline.context, window=WINDOW) == 1
    assert stored(pipeline, delivery) == {"sealed-0", "print-1"}
    assert stored(pipeline, waiting) == {"original-0"}, "what is not sealed yet has nothing in its place"
    assert deliveries.document(pipeline.context, sender, delivery, 0).content.startswith(b"%PDF")
    pipeline.work()
    rounds(pipeline, days=2)
    assert collect(pipeline) == 1
    assert stored(pipeline, waiting) == {"sealed-0", "print-1"}


def test_print_copies_and_batch_files_go_after_their_own_period(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    posted = deliver(pipeline, sender, "jan")
    pipeline.close_batches()
    pipeline.work()
    queued = deliver(pipeline, sender, "jan")
    rounds(pipeline, days=91)
    assert collect(pipeline) == 4, "two originals, one copy, one batch's file"
    assert stored(pipeline, posted) == {"sealed-0"}
    assert stored(pipeline, queued) == {"sealed-0", "print-1"}, "it still waits for its batch"
    assert execute(database, "SELECT path, state FROM print_batch") == [(None, "handed_over")]
    assert execute(database, "SELECT delivery_id FROM print_letter") == [(parse_id(DELIVERY, queued),)]
    pipeline.close_batches()
    pipeline.work()
    rounds(pipeline, days=2)
    assert collect(pipeline) == 1
    assert stored(pipeline, queued) == {"sealed-0"}


def test_documents_go_before_the_evidence_and_readers_are_told(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender, who = organisation(), activate(pipeline)
    delivery = deliver(pipeline, sender, "an")
    mailbox.open_message(pipeline.context, who, delivery)
    rounds(pipeline, days=399)
    assert deliveries.document(pipeline.context, sender, delivery, 0).content.startswith(b"%PDF")
    rounds(pipeline, days=2)
    with pytest.raises(Erased):
        deliveries.document(pipeline.context, sender, delivery, 0)
    with pytest.raises(Erased):
        mailbox.document(pipeline.context, who, delivery, 0)
    assert collect(pipeline) == 2
    assert stored(pipeline, delivery) == set()
    view = deliveries.get(pipeline.context, sender, delivery)
    assert view.documents[0].filename == "document-0.pdf"
    assert own_messages(pipeline, who) == [delivery]
    assert [each.event for each in deliveries.evidence_list(pipeline.context, sender, delivery)][:2] == [
        "SubmissionAcceptance",
        "ContentConsignment",
    ]
    entry = deliveries.evidence_list(pipeline.context, sender, delivery)[0]
    assert deliveries.evidence_one(pipeline.context, sender, delivery, entry.id)["record"]
    assert rows(database, "vault_object") == 0


def test_the_same_request_gets_its_answer_without_the_names_of_files_that_are_erased(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    activate(pipeline)
    first, again = (pipeline.hand_in(sender, "an", key="once", reference="REF-1") for _ in range(2))
    pipeline.work()
    rounds(pipeline, days=401)
    later = pipeline.hand_in(sender, "an", key="once", reference="REF-1")
    assert first.body == again.body
    assert (later.status, later.delivery_id) == (first.status, first.delivery_id)
    changed = json.loads(first.body)
    changed["documents"][0]["filename"] = "document-0.pdf"
    assert json.loads(later.body) == changed != json.loads(first.body)
    assert rows(database, "delivery") == 1


def test_what_was_cancelled_or_rejected_goes_sooner(pipeline: Pipeline, organisation: Sender) -> None:
    sender = organisation()
    cancelled = pipeline.hand_in(sender, "jan").delivery_id
    deliveries.cancel(pipeline.context, sender, cancelled)
    pipeline.work()
    rounds(pipeline, days=29)
    assert collect(pipeline) == 0
    rounds(pipeline)
    assert collect(pipeline) == 1
    assert stored(pipeline, cancelled) == set()


def test_organisations_and_document_types_have_periods_of_their_own(pipeline: Pipeline, organisation: Sender) -> None:
    short, usual = organisation(), organisation()
    kept = deliver(pipeline, short, "jan", document_type="permit")
    gone = deliver(pipeline, short, "jan", document_type="letter")
    other = deliver(pipeline, usual, "jan", document_type="letter")
    pipeline.close_batches()
    pipeline.work()
    rounds(pipeline, days=1)
    with pipeline.context.database.transaction() as session:
        now = pipeline.now
        retention.set_periods(session, short, print_days=None, content_days=100, now=now)
        retention.set_periods(session, short, document_type="permit", print_days=20, content_days=200, now=now)
    rounds(pipeline, days=30)
    collect(pipeline)
    assert stored(pipeline, kept) == {"sealed-0"}
    assert stored(pipeline, gone) == stored(pipeline, other) == {"sealed-0", "print-1"}
    rounds(pipeline, days=80)
    collect(pipeline)
    assert stored(pipeline, kept) == {"sealed-0"}
    assert stored(pipeline, gone) == set()
    assert stored(pipeline, other) == {"sealed-0"}
    with pipeline.context.database.transaction() as session:
        retention.set_periods(
            session, short, document_type="permit", print_days=None, content_days=50, now=pipeline.now
        )
    rounds(pipeline)
    collect(pipeline)
    assert stored(pipeline, kept) == set(), "a period that was made shorter finds what it passed before"


def test_evidence_and_names_go_when_the_year_is_over_and_the_key_last(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender, who = organisation(), activate(pipeline)
    delivery = deliver(pipeline, sender, "an")
    pipeline.sequence()
    rounds(pipeline, days=1)
    (year,) = execute(database, "SELECT year FROM retention_year")[0]
    key = pipeline.context.keyring.wrap_key(sender, year)
    leaves = rows(database, "ledger_leaf")
    years_pass(pipeline, database, 10)
    rounds(pipeline)
    assert rows(database, "delivery") == 1, "the last day of the year is still one of it"
    years_pass(pipeline, database, 1)
    rounds(pipeline)
    for table in ("delivery", "leg", "document", "evidence", "delivery_event", "mailbox_item", "idempotency_key",
                  "print_letter"):  # fmt: skip
        assert rows(database, table) == 0, table
    assert rows(database, "ledger_leaf") == leaves > 0
    assert own_messages(pipeline, who) == []
    assert pipeline.context.keyring.key(key.id) == key, "within the recovery window rows may come back"
    pipeline.skew += WINDOW + timedelta(minutes=1)
    rounds(pipeline)
    assert execute(database, "SELECT key_destroyed_at IS NOT NULL FROM retention_year") == [(True,)]
    with pytest.raises(Exception, match="vault_key_destroyed"):
        pipeline.context.keyring.key(key.id)
    assert delivery


def test_the_application_can_erase_nothing_before_its_time(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    delivery = parse_id(DELIVERY, deliver(pipeline, sender, "jan"))
    rounds(pipeline, days=1)
    pipeline.skew += timedelta(days=366 * 12)
    rounds(pipeline)
    assert rows(database, "delivery") == 1, "only the service's clock runs ahead, not the database's"
    with pipeline.context.database.transaction(organisations=[sender]) as session:
        assert due.erase_deliveries(session, [delivery]) == set()
    assert rows(database, "evidence") > 0


@pytest.mark.parametrize("two", [False, True], ids=["one", "two at once"])
def test_rounds_that_die_anywhere_or_meet_end_the_same(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, monkeypatch: pytest.MonkeyPatch, *, two: bool
) -> None:
    sender = organisation()
    ids = [deliver(pipeline, sender, "jan") for _ in range(5)]
    pipeline.close_batches()
    pipeline.work()
    monkeypatch.setattr(retention, "CHUNK", 2)
    pipeline.skew = timedelta(days=401)
    if two:
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda _: rounds(pipeline), range(2)))
    else:
        _die_after_each_statement(pipeline, monkeypatch)
    pipeline.skew += WINDOW + timedelta(minutes=1)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: housekeeping.collect_removed(pipeline.context, window=WINDOW), range(2)))
    while housekeeping.collect_removed(pipeline.context, window=WINDOW):
        pass
    assert [stored(pipeline, each) for each in ids] == [set()] * 5
    assert rows(database, "vault_object") == rows(database, "vault_removal") == 0
    assert execute(database, "SELECT count(*) FROM document WHERE erased_at IS NULL") == [(0,)]
    assert not execute(database, "SELECT * FROM retention_later")


def _die_after_each_statement(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run rounds that die at their first, second, third … removal that is written down, until one comes through."""
    real = due.remove_later
    for survived in range(100):
        left = [survived]

        def dying(*arguments: Any, left: list[int] = left, **named: Any) -> None:
            real(*arguments, **named)
            if not left[0]:
                raise OSError("gone")
            left[0] -= 1

        with monkeypatch.context() as patch:
            patch.setattr(due, "remove_later", dying)
            try:
                rounds(pipeline)
            except OSError:
                continue
        assert survived, "nothing was interrupted"
        return
    raise AssertionError("no round ever came through")


def test_a_collector_that_dies_between_object_and_row_is_repeated(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = deliver(pipeline, organisation(), "jan")
    rounds(pipeline, days=1)
    pipeline.skew += WINDOW + timedelta(minutes=1)
    remove = pipeline.context.vault.remove_many

    def then_dies(paths: Any) -> None:
        remove(paths)
        raise OSError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.context.vault, "remove_many", then_dies)
        with pytest.raises(OSError, match="gone"):
            housekeeping.collect_removed(pipeline.context, window=WINDOW)
    assert "original-0" not in stored(pipeline, delivery)
    assert rows(database, "vault_removal") == 1
    assert housekeeping.collect_removed(pipeline.context, window=WINDOW) == 1
    assert rows(database, "vault_removal") == 0


def test_objects_that_a_restore_forgot_are_found_and_nothing_else(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    deliver(pipeline, sender, "jan")
    pipeline.sequence()
    lost = new_id()
    forgotten = pipeline.context.vault.prepare(sender, 2036, lost, "sealed-0", b"x")
    pipeline.context.vault.write(forgotten)
    assert list(housekeeping.unknown_objects(pipeline.context, window=WINDOW)) == []
    pipeline.skew += WINDOW + timedelta(minutes=1)
    assert list(housekeeping.unknown_objects(pipeline.context, window=WINDOW)) == [forgotten.path]
    assert rows(database, "vault_object") == 3
