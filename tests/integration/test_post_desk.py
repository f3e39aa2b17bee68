"""What operators hold on to: balances, pull lists, the inbox, signed calls, and the alarms."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from printing.errors import Problem, ProviderUnavailable
from printing.exchange import (
    Acknowledgement,
    Deleted,
    LetterAnswer,
    PostalEvent,
    PullAnswer,
    PulledLetter,
    Response,
    decode,
    encode,
)
from service.domain import calendar
from service.domain.errors import Invalid, Unauthenticated
from service.printers.wired import Printers
from service.usecases import operations, post_callbacks, post_inbox, post_pulls, print_desk, reconciliation
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.post_support import events_file, exceptions, handed_over, printer, report, said, take
from tests.usecase_support import Sender, at, change, status


def batch(database: TestDatabase) -> Any:
    (row,) = execute(database, "SELECT number, file_name, encode(sha256, 'hex'), letters, sheets FROM print_batch")
    return row


def acknowledge(pipeline: Pipeline, database: TestDatabase) -> None:
    number, file, digest, letters, sheets = batch(database)
    message = Acknowledgement(batch=number, file=file, sha256=digest, at=pipeline.now, letters=letters, sheets=sheets)
    assert take(pipeline, encode(message)).effects == {"taken": 1}


def samples(pipeline: Pipeline) -> dict[str, float]:
    found = operations.measure(pipeline.context, pipeline.application.promises)
    return {each.metric: each.value for each in found if each.metric.startswith("zending_print_")}


def test_the_numbers_of_a_batch_and_of_a_day_balance(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    ids = handed_over(pipeline, organisation(), 5)
    number = batch(database)[0]
    acknowledge(pipeline, database)
    answers = [LetterAnswer(id=f"{each}-1", accepted=each != ids[4], code=None) for each in ids[:5]]
    take(pipeline, encode(Response(batch=number, at=pipeline.now, letters=tuple(answers))))
    sheets = execute(database, "SELECT sheets FROM print_letter")[0][0]
    now = pipeline.now
    report(
        pipeline,
        said(ids[0], PostalEvent.POSTED, now, sheets=sheets, postage_cents=100),
        said(ids[0], PostalEvent.DELIVERED, now),
        said(ids[1], PostalEvent.POSTED, now, sheets=sheets + 1, postage_cents=200),
        said(ids[2], PostalEvent.LOST, now),
    )
    day, (found,) = reconciliation.of_day(pipeline.context, calendar.local_date(now))
    assert (found.letters, found.accepted, found.unanswered) == (5, 4, 0)
    assert (found.posted, found.delivered, found.given_up, found.rejected, found.missing) == (2, 1, 1, 1, 1)
    assert found.letters == found.posted + found.pulled + found.rejected + found.given_up + found.missing
    assert (found.sheets_of_posted, found.sheets_posted, found.postage_cents) == (2 * sheets, 2 * sheets + 1, 300)
    assert found.off == ["sheets_differ", "letters_rejected"]
    assert (day.letters, day.posted, day.missing, day.off) == (5, 2, 1, sorted(found.off))
    balance, missing = reconciliation.of_batch(pipeline.context, number) or (None, [])
    assert balance == found
    assert missing == [f"{ids[3]}-1"]
    assert reconciliation.of_batch(pipeline.context, number + 1) is None
    assert reconciliation.of_day(pipeline.context, calendar.local_date(now) - timedelta(days=1))[0].batches == 0


@pytest.mark.parametrize(("days", "late"), [(None, 0), (1, 1), (5, 0)])
def test_a_letter_is_late_by_what_its_own_product_promises(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, days: int | None, late: int
) -> None:
    handed_over(pipeline, organisation(), 1)
    handed_over_on = calendar.local_date(pipeline.now)
    first = pipeline.context.printers.first
    letter = dataclasses.replace(first.products["letter"], deadline_days=days)
    products = {**first.products, "letter": letter}
    change(pipeline, printers=Printers([dataclasses.replace(first, products=products)]))
    # The settings say three, so that the second working day is in time for them.
    second = calendar.begins(calendar.add_working_days(handed_over_on, 2)) + timedelta(hours=12)
    with at(pipeline, second):
        (shown,) = reconciliation.newest(pipeline.context, limit=5)
    assert shown.deadline == calendar.begins(calendar.add_working_days(handed_over_on, days or 3) + timedelta(days=1))
    assert (shown.late, "letters_late" in shown.off) == (late, bool(late))


def test_what_is_late_or_unanswered_rings(pipeline: Pipeline, organisation: Sender, database: TestDatabase) -> None:
    (delivery,) = handed_over(pipeline, organisation())
    assert set(samples(pipeline).values()) == {0}, "a print house that tells nothing is not waited for"
    report(pipeline, said(delivery, PostalEvent.PRINTED, pipeline.now))
    later = pipeline.now + timedelta(days=12)
    with at(pipeline, later):
        found = samples(pipeline)
        assert found["zending_print_letters_late"] == 1
        assert found["zending_print_acknowledgement_oldest_seconds"] > 86400
        (shown,) = reconciliation.newest(pipeline.context, limit=5)
        assert (shown.late, shown.off) == (1, ["not_acknowledged", "letters_late"])
        assert reconciliation.round_(pipeline.context) == 0
    acknowledge(pipeline, database)
    report(pipeline, said(delivery, PostalEvent.POSTED, pipeline.now))
    assert reconciliation.round_(pipeline.context) == 1
    with at(pipeline, later):
        found = samples(pipeline)
        assert (found["zending_print_letters_late"], found["zending_print_acknowledgement_oldest_seconds"]) == (0, 0)
    with at(pipeline, pipeline.now + timedelta(days=31)):
        assert samples(pipeline)["zending_print_files_not_deleted"] == 1
    number, file, *_ = batch(database)
    # Of another file it says nothing; and nobody grows tired of asking before a year is over.
    take(pipeline, encode(Deleted(batch=number, file=f"X{file}", at=pipeline.now)))
    for days, rings in ((29, 0), (31, 1), (120, 1), (390, 1)):
        with at(pipeline, pipeline.now + timedelta(days=days)):
            assert samples(pipeline)["zending_print_files_not_deleted"] == rings, days
            (shown,) = reconciliation.newest(pipeline.context, limit=5)
            assert ("not_deleted" in shown.off) == bool(rings), days
    # A period that is longer than what is else looked at rings too.
    promises = dataclasses.replace(pipeline.context.post_promises, deletion_days=200)
    longer = dataclasses.replace(pipeline.context, post_promises=promises)
    for days, rings in ((199, 0), (201, 1)):
        with at(pipeline, pipeline.now + timedelta(days=days)):
            later = dataclasses.replace(longer, clock=pipeline.context.clock)
            found = operations.measure(later, pipeline.application.promises)
            assert [each.value for each in found if each.metric == "zending_print_files_not_deleted"] == [rings], days
    take(pipeline, encode(Deleted(batch=number, file=file, at=pipeline.now)))
    with at(pipeline, pipeline.now + timedelta(days=31)):
        assert samples(pipeline)["zending_print_files_not_deleted"] == 0
        (shown,) = reconciliation.newest(pipeline.context, limit=5)
        assert "not_deleted" not in shown.off


def test_an_exception_rings_until_somebody_saw_to_it(pipeline: Pipeline, database: TestDatabase) -> None:
    report(pipeline, said("dlv_x", PostalEvent.POSTED, pipeline.now))
    assert samples(pipeline)["zending_print_exceptions"] == 1
    (found,) = print_desk.exceptions(pipeline.context, limit=5)
    assert found.code == "LETTER_UNKNOWN"
    assert print_desk.see(pipeline.context, [found.id], "staff:x") == 1
    assert print_desk.see(pipeline.context, [found.id], "staff:y") == 0
    assert samples(pipeline)["zending_print_exceptions"] == 0
    (again,) = print_desk.exceptions(pipeline.context, every=True, limit=5)
    assert again.seen_by == "staff:x"
    assert exceptions(database) == ["LETTER_UNKNOWN"]


def test_a_pull_list_goes_out_once_and_its_answer_counts(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    first, second, third = handed_over(pipeline, sender, 3)
    report(pipeline, said(third, PostalEvent.POSTED, pipeline.now))
    letters = [f"{first}-1", f"{second}-1"]
    for refused in ([f"{third}-1"], ["junk"]):
        with pytest.raises(Invalid):
            post_pulls.order(pipeline.context, refused, reason="x", actor="staff:x")
    assert post_pulls.order(pipeline.context, letters, reason="cancelled", actor="staff:x") == 1
    assert post_pulls.order(pipeline.context, letters, reason="cancelled", actor="staff:x") == 0
    assert [post_pulls.send(pipeline.context) for _ in range(2)] == [1, 0]
    folder = pipeline.application.settings.print_folder
    (file,) = folder.glob("*_4PL_1.JSON")
    told = decode(file.read_bytes())
    assert sorted(each.id for each in told.letters) == sorted(letters)  # type: ignore[union-attr]
    number = batch(database)[0]
    answer = PullAnswer(
        batch=number,
        number=1,
        at=pipeline.now,
        letters=(
            PulledLetter(id=letters[0], pulled=True),
            PulledLetter(id=letters[1], pulled=False, code="IN_BAG"),
            PulledLetter(id=f"{third}-1", pulled=True),
        ),
    )
    assert take(pipeline, encode(answer)).effects == {"odd": 1, "taken": 2}
    contrary = PullAnswer(batch=number, number=1, at=pipeline.now, letters=(PulledLetter(id=letters[0], pulled=False),))
    assert take(pipeline, encode(contrary)).effects == {"odd": 1}
    assert [status(pipeline, sender, each) for each in (first, second, third)] == [
        "undeliverable",
        "handed_over",
        "posted",
    ]
    (shown,) = print_desk.pulls(pipeline.context, limit=5)
    assert shown.answered_at is not None
    assert {each.letter: each.pulled for each in shown.letters} == {letters[0]: True, letters[1]: False}
    assert sorted(exceptions(database)) == ["PULL_NOT_ASKED", "PULL_TOO_LATE", "STATEMENT_CONTRADICTS"]
    assert reconciliation.newest(pipeline.context, limit=1)[0].pulled == 1


@dataclass
class File:
    name: str
    size: int


@dataclass
class Far:
    """A print house's inbox that breaks as it is told."""

    files: dict[str, bytes]
    broken: str = ""
    dies: bool = False
    removed: list[str] = field(default_factory=list)

    def incoming(self) -> Sequence[File]:
        return [File(name, len(data)) for name, data in sorted(self.files.items())]

    def fetch(self, name: str) -> bytes:
        if name == self.broken:
            raise ProviderUnavailable(Problem("PROVIDER_UNAVAILABLE", "It broke off."))
        return self.files[name]

    def remove(self, name: str) -> None:
        if self.dies:
            raise KeyboardInterrupt
        self.files.pop(name, None)
        self.removed.append(name)


def test_an_inbox_is_kept_before_it_is_emptied_and_one_bad_file_holds_up_no_other(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    first, second = handed_over(pipeline, sender, 2)
    files = {
        "a": b"no json at all",
        "b": b"unreachable",
        "c": events_file([said(first, PostalEvent.POSTED, pipeline.now)], pipeline.now),
        "d": events_file([said(second, PostalEvent.POSTED, pipeline.now)], pipeline.now),
    }
    far = Far(files, broken="b", dies=True)
    with pytest.raises(KeyboardInterrupt):
        post_inbox.read(pipeline.context, printer(pipeline), far)
    assert "a" in far.files
    far.dies = False
    assert post_inbox.read(pipeline.context, printer(pipeline), far) == 3
    assert set(far.files) == {"b"}
    assert [status(pipeline, sender, each) for each in (first, second)] == ["posted"] * 2
    assert execute(database, "SELECT state, count(*)::integer FROM print_inbound GROUP BY state ORDER BY 1") == [
        ("refused", 1),
        ("taken", 2),
    ]


def test_a_call_is_believed_by_its_signature_and_its_time(pipeline: Pipeline, organisation: Sender) -> None:
    sender = organisation()
    (delivery,) = handed_over(pipeline, sender)
    secret = b"s" * 40
    body = events_file([said(delivery, PostalEvent.POSTED, pipeline.now)], pipeline.now)
    good = post_callbacks.signature(secret, body, pipeline.now)
    house = printer(pipeline)
    without = pipeline.context
    with pytest.raises(Unauthenticated):
        post_callbacks.take(without, house, good, body)
    calling = dataclasses.replace(without.printers.first, callback_secret=secret)
    context = change(pipeline, printers=Printers([calling]))
    old = post_callbacks.signature(secret, body, pipeline.now - timedelta(minutes=6))
    ahead = post_callbacks.signature(secret, body, pipeline.now + timedelta(minutes=6))
    other = post_callbacks.signature(b"t" * 40, body, pipeline.now)
    for name, header, data in (
        ("nobody", good, body),
        (house, old, body),
        (house, ahead, body),
        (house, other, body),
        (house, good, body + b" "),
        (house, "", body),
        (house, "t=999999999999,v1=" + "0" * 64, body),
    ):
        with pytest.raises(Unauthenticated):
            post_callbacks.take(context, name, header, data)
    assert status(pipeline, sender, delivery) == "handed_over"
    assert post_callbacks.take(context, house, good, body).effects == {"taken": 1}
    assert post_callbacks.take(context, house, good, body).repeated
    assert status(pipeline, sender, delivery) == "posted"
    assert json.loads(body)["kind"] == "events"
