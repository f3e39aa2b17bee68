"""Submissions on a real database: unpacked, checked, admitted; released, paused, resumed, stopped, told."""

import csv
import dataclasses
import hashlib
import io
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from service.db.ids import public_id
from service.db.jobs import JobKind
from service.db.models import DeliveryRow
from service.domain.errors import Conflict, Invalid, NotFound, TransitionRefused
from service.usecases import deliveries, housekeeping, submission_uploads, submissions
from service.usecases.steps import all_steps
from service.usecases.submission_uploads import SubmissionOptions
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.submission_support import PDF, all_rows, line, packed, seen, upload

PATH = (JobKind.UNPACK, JobKind.CHECK, JobKind.ADMIT)
BAD_PDF = b"%PDF-1.7\nnot really"


@pytest.fixture
def sender(organisation: Callable[..., uuid.UUID]) -> uuid.UUID:
    return organisation()


def made(database: TestDatabase) -> int:
    return int(execute(database, "SELECT count(*) FROM delivery")[0][0])


def mixed(count: int, **options: object) -> list[dict[str, object]]:
    """Lines of which every third names a file that is not there, and every fifth a damaged one."""
    documents = ["brief.pdf" if n % 3 else "missing.pdf" for n in range(1, count + 1)]
    return [
        line("jan", "bad.pdf" if n % 5 == 0 else document, reference=f"R-{n}", **options)
        for n, document in enumerate(documents, 1)
    ]


FILES = {"brief.pdf": PDF, "bad.pdf": BAD_PDF}


@pytest.mark.parametrize("name", ["deliveries.jsonl", "deliveries.csv"])
def test_every_good_row_becomes_one_delivery(pipeline: Pipeline, sender: uuid.UUID, name: str) -> None:
    lines = [line("jan", reference=f"R-{number}") for number in range(1, 46)]
    public = upload(pipeline, sender, packed(lines, name=name))
    pipeline.work(*PATH)
    found = seen(pipeline, sender, public)
    assert (found.state, found.rows.total, found.rows.admitted, found.progress) == ("done", 45, 45, 1.0)
    listed = all_rows(pipeline, sender, public)
    assert [row.reference for row in listed] == [f"R-{number}" for number in range(1, 46)]
    assert len({row.delivery_id for row in listed}) == 45
    first = deliveries.get(pipeline.context, sender, listed[0].delivery_id or "")
    assert (first.reference, first.documents[0].filename) == ("R-1", "brief.pdf")


def test_attachments_come_with_their_row(pipeline: Pipeline, sender: uuid.UUID) -> None:
    content = packed(
        [line(attachments=["b.pdf", "map/c.pdf"])], dict.fromkeys(["brief.pdf", "b.pdf", "map/c.pdf"], PDF)
    )
    public = upload(pipeline, sender, content)
    pipeline.work(*PATH)
    (row,) = all_rows(pipeline, sender, public)
    found = deliveries.get(pipeline.context, sender, row.delivery_id or "")
    assert [(each.role, each.filename) for each in found.documents] == [
        ("main", "brief.pdf"), ("attachment", "b.pdf"), ("attachment", "c.pdf"),
    ]  # fmt: skip


def test_good_rows_go_on_when_that_was_asked_for(pipeline: Pipeline, sender: uuid.UUID, database: TestDatabase) -> None:
    public = upload(pipeline, sender, packed(mixed(30), FILES), on_error="continue")
    pipeline.work(*PATH)
    found = seen(pipeline, sender, public)
    good = [n for n in range(1, 31) if n % 3 and n % 5]
    assert (found.state, found.rows.admitted, found.rows.bad) == ("done", len(good), 30 - len(good))
    assert made(database) == len(good)
    listed = all_rows(pipeline, sender, public)
    assert [row.row for row in listed if row.state == "admitted"] == good
    told = {row.row: [(each.code, each.pointer) for each in row.errors] for row in listed if row.errors}
    assert told[3] == [("file_missing", "/document")]
    assert told[5][0][1] == "/document"
    assert told[5][0][0] not in ("file_missing", "")


def test_none_goes_until_all_are_good(pipeline: Pipeline, sender: uuid.UUID, database: TestDatabase) -> None:
    public = upload(pipeline, sender, packed(mixed(30), FILES))
    pipeline.work(*PATH)
    found = seen(pipeline, sender, public)
    assert (found.state, found.rows.admitted, found.rows.stopped) == ("refused", 0, 16)
    assert [problem.code for problem in found.problems] == ["rows_bad"]
    assert made(database) == 0
    assert execute(database, "SELECT count(*) FROM submission_row WHERE content IS NOT NULL")[0][0] == 0


def test_a_dry_run_finds_everything_and_makes_nothing(
    pipeline: Pipeline, sender: uuid.UUID, database: TestDatabase
) -> None:
    public = upload(pipeline, sender, packed(mixed(15), FILES), dry_run=True)
    pipeline.work(*PATH)
    found = seen(pipeline, sender, public)
    assert (found.state, found.rows.good, found.rows.bad, found.progress) == ("checked", 8, 7, 1.0)
    assert made(database) == 0
    with pytest.raises(Conflict, match="dry run"):
        submissions.release(pipeline.context, sender, public)
    again = upload(pipeline, sender, packed([line()]), dry_run=True)
    pipeline.work(*PATH)
    real = upload(pipeline, sender, packed([line()]))
    pipeline.work(*PATH)
    assert {seen(pipeline, sender, each).state for each in (again, real)} == {"checked", "done"}


def test_what_is_released_by_hand_waits_for_it(pipeline: Pipeline, sender: uuid.UUID, database: TestDatabase) -> None:
    lines = [line("jan", reference=f"R-{n}") for n in range(25)]
    public = upload(pipeline, sender, packed(lines), release="manual")
    pipeline.work(*PATH)
    assert (seen(pipeline, sender, public).state, made(database)) == ("checked", 0)
    submissions.release(pipeline.context, sender, public)
    pipeline.work(*PATH)
    assert (seen(pipeline, sender, public).state, made(database)) == ("done", 25)
    with pytest.raises(TransitionRefused):
        submissions.release(pipeline.context, sender, public)


def test_the_same_reference_twice_is_told_and_not_doubled(pipeline: Pipeline, sender: uuid.UUID) -> None:
    lines = [line("jan", reference=reference) for reference in ("A", "B", "A", "A", "C")]
    public = upload(pipeline, sender, packed(lines, name="deliveries.csv"), on_error="continue")
    pipeline.work(*PATH)
    listed = all_rows(pipeline, sender, public)
    assert [row.state for row in listed] == ["admitted", "admitted", "bad", "bad", "admitted"]
    assert [(each.code, each.column) for each in listed[3].errors] == [("reference_repeated", "reference")]
    assert "Row 1" in listed[3].errors[0].detail


def test_the_same_file_twice_is_told_and_not_doubled(
    pipeline: Pipeline, sender: uuid.UUID, organisation: Callable[..., uuid.UUID], database: TestDatabase
) -> None:
    content = packed([line()])
    first, second = upload(pipeline, sender, content), upload(pipeline, sender, content)
    elsewhere = organisation()
    others = upload(pipeline, elsewhere, content)
    pipeline.work(*PATH)
    found = sorted((seen(pipeline, sender, each).state, each) for each in (first, second))
    assert [state for state, _ in found] == ["done", "refused"]
    (problem,) = seen(pipeline, sender, found[1][1]).problems
    assert problem.code == "submission_repeated"
    assert found[0][1] in problem.detail
    assert seen(pipeline, elsewhere, others).state == "done"
    assert made(database) == 2


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"no zip at all", "zip_malformed"),
        (packed(b""), "list_empty"),
        (packed(b"reference;x\n1;2\n", name="deliveries.csv"), "header_unknown"),
        (packed(b"\xff\xfer\0", name="deliveries.csv"), "list_not_utf8"),
    ],
    ids=["no-zip", "empty", "header", "utf-16"],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_code(
    pipeline: Pipeline, sender: uuid.UUID, content: bytes, code: str
) -> None:
    public = upload(pipeline, sender, content)
    pipeline.work(*PATH)
    found = seen(pipeline, sender, public)
    assert (found.state, [problem.code for problem in found.problems]) == ("refused", [code])
    assert found.ended_at is not None


def test_an_announced_digest_is_compared(pipeline: Pipeline, sender: uuid.UUID) -> None:
    content = packed([line()])
    right = upload(pipeline, sender, content, sha256=hashlib.sha256(content).hexdigest(), piece=500)
    pipeline.work(*PATH)
    assert (seen(pipeline, sender, right).state, seen(pipeline, sender, right).sha256) == (
        "done", hashlib.sha256(content).hexdigest(),
    )  # fmt: skip
    wrong = upload(pipeline, sender, packed([line(reference="other")]), sha256="0" * 64)
    pipeline.work(*PATH)
    assert [each.code for each in seen(pipeline, sender, wrong).problems] == ["digest_differs"]


def test_a_list_longer_than_one_slice_is_read_to_its_end(
    pipeline: Pipeline, sender: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.usecases.submission_unpack.SLICE", 7)
    lines = [line("jan", "nowhere.pdf", reference=f"R-{n % 20}") for n in range(30)]
    public = upload(pipeline, sender, packed(lines), dry_run=True)
    pipeline.work(*PATH)
    listed = all_rows(pipeline, sender, public)
    assert [row.row for row in listed] == list(range(1, 31))
    assert [row.row for row in listed if row.errors[-1].code == "reference_repeated"] == list(range(21, 31))


def test_more_rows_than_are_taken_are_refused(pipeline: Pipeline, sender: uuid.UUID) -> None:
    pipeline.context = dataclasses.replace(
        pipeline.context, limits=dataclasses.replace(pipeline.context.limits, submission_rows=3)
    )
    public = upload(pipeline, sender, packed([line(reference=str(n)) for n in range(4)]))
    pipeline.work(*PATH)
    assert [each.code for each in seen(pipeline, sender, public).problems] == ["too_many_rows"]


def test_a_paused_submission_and_its_deliveries_wait(
    pipeline: Pipeline, sender: uuid.UUID, database: TestDatabase
) -> None:
    first = upload(pipeline, sender, packed([line(reference=f"A-{n}") for n in range(25)]))
    pipeline.work(*PATH)
    second = upload(pipeline, sender, packed([line(reference=f"B-{n}") for n in range(25)]))
    for each in (first, second):
        assert submissions.pause(pipeline.context, sender, each, actor="program").state == "paused"
        with pytest.raises(TransitionRefused):
            submissions.pause(pipeline.context, sender, each, actor="program")
    pipeline.work()
    assert (made(database), seen(pipeline, sender, second).rows.total) == (25, 0)
    assert execute(database, "SELECT DISTINCT state FROM delivery") == [("received",)]
    assert submissions.resume(pipeline.context, sender, first, actor="program").state == "done"
    assert submissions.resume(pipeline.context, sender, second, actor="program").state == "checking"
    pipeline.work()
    assert (made(database), seen(pipeline, sender, second).state) == (50, "done")
    assert execute(database, "SELECT count(*) FROM delivery WHERE state = 'received'") == [(0,)]
    assert execute(database, "SELECT count(*) FROM pause") == [(0,)]


def test_stop_ends_rows_and_takes_back_what_can_be_taken_back(
    pipeline: Pipeline, sender: uuid.UUID, database: TestDatabase
) -> None:
    lines = [line("jan" if n % 2 else "an", reference=f"R-{n}", subject="x") for n in range(1, 45)]
    public = upload(pipeline, sender, packed(lines))
    pipeline.work(JobKind.UNPACK, JobKind.CHECK)
    pipeline._chunk(all_steps(pipeline.context)[JobKind.ADMIT])
    some = made(database)
    assert 0 < some < 44
    handed_over = _hand_over_first(pipeline, sender, public, some)
    assert submissions.stop(pipeline.context, sender, public, actor="program").state == "stopped"
    pipeline.work(JobKind.ADMIT, JobKind.RECALL)
    found = seen(pipeline, sender, public)
    assert made(database) == some, "nothing is made once it is stopped"
    assert (found.rows.cancelled, found.rows.stopped) == (some - handed_over, 44 - some)
    late = all_rows(pipeline, sender, public, "admitted")
    assert len(late) == handed_over
    assert {each.code for row in late for each in row.errors} == {"too_late_to_cancel"}
    assert {row.state for row in all_rows(pipeline, sender, public)} == {"cancelled", "stopped", "admitted"}
    assert execute(database, "SELECT count(*) FROM delivery WHERE state = 'cancelled'") == [(some - handed_over,)]
    assert execute(database, "SELECT count(*) FROM delivery_event WHERE event = 'cancelled'") == [(some - handed_over,)]


def _hand_over_first(pipeline: Pipeline, sender: uuid.UUID, public: str, some: int) -> int:
    """Bring the letters of some deliveries to the print house; the others wait unsealed. Returns how many."""
    paper = [row.delivery_id for row in all_rows(pipeline, sender, public, "admitted") if row.row % 2][:3]
    assert len(paper) < some
    keep = [str(uuid.UUID(hex=(each or "").partition("_")[2])) for each in paper]
    database = pipeline.context.database
    with database.transaction() as session:
        session.execute(
            text(
                "UPDATE job SET due_at = '9999-01-01'"
                " WHERE kind <> 'recall' AND NOT subject_id = ANY(CAST(:ids AS uuid[]))"
            ),
            {"ids": keep},
        )
    pipeline.work(JobKind.SEAL, JobKind.ROUTE, JobKind.LETTER)
    pipeline.close_batches()
    pipeline.work(JobKind.HAND_OVER)
    with database.transaction() as session:
        session.execute(text("UPDATE job SET due_at = clock_timestamp()"))
    return len(paper)


def test_a_stopped_pause_holds_nothing(pipeline: Pipeline, sender: uuid.UUID, database: TestDatabase) -> None:
    public = upload(pipeline, sender, packed([line()]))
    pipeline.work(*PATH)
    submissions.pause(pipeline.context, sender, public, actor="program")
    submissions.stop(pipeline.context, sender, public, actor="program")
    pipeline.work()
    assert execute(database, "SELECT count(*) FROM pause") == [(0,)]
    assert execute(database, "SELECT count(*) FROM job") == [(0,)]
    assert seen(pipeline, sender, public).rows.cancelled == 1


def test_send_at_is_every_rows_unless_it_has_its_own(
    pipeline: Pipeline, sender: uuid.UUID, database: TestDatabase
) -> None:
    moment = pipeline.now.replace(microsecond=0) + timedelta(days=2)
    public = upload(pipeline, sender, packed([line(reference="A"), line(reference="B")]), send_at=moment)
    pipeline.work(*PATH)
    assert seen(pipeline, sender, public).state == "done"
    assert execute(database, "SELECT DISTINCT send_at FROM delivery") == [(moment,)]


def test_a_letter_by_itself_is_a_submission_of_one(pipeline: Pipeline, sender: uuid.UUID) -> None:
    handed = pipeline.hand_in(sender, "jan", reference="ONE")
    with pipeline.context.database.transaction(organisations=[sender]) as session:
        submission = public_id("sub", session.scalars(select(DeliveryRow.submission_id)).one())
    found = seen(pipeline, sender, submission)
    assert (found.state, found.rows.total, found.rows.admitted) == ("done", 1, 1)
    (row,) = all_rows(pipeline, sender, submission)
    assert (row.delivery_id, row.reference, row.row) == (handed.delivery_id, "ONE", 1)
    assert submissions.list_page(pipeline.context, sender, cursor=None, limit=10).items == []


def test_another_organisations_submission_does_not_exist(
    pipeline: Pipeline, sender: uuid.UUID, organisation: Callable[..., uuid.UUID]
) -> None:
    public, stranger = upload(pipeline, sender, packed([line()])), organisation()
    for call in (
        lambda: submissions.get(pipeline.context, stranger, public),
        lambda: all_rows(pipeline, stranger, public),
        lambda: submissions.report(pipeline.context, stranger, public, state=None),
        lambda: submissions.release(pipeline.context, stranger, public),
        lambda: submissions.pause(pipeline.context, stranger, public, actor="x"),
        lambda: submissions.resume(pipeline.context, stranger, public, actor="x"),
        lambda: submissions.stop(pipeline.context, stranger, public, actor="x"),
    ):
        with pytest.raises(NotFound):
            call()
    assert submissions.list_page(pipeline.context, stranger, cursor=None, limit=10).items == []


def test_the_report_as_csv_says_the_same_and_holds_no_formula(pipeline: Pipeline, sender: uuid.UUID) -> None:
    lines = [line(reference="=cmd|' /C calc'!A0"), line(reference="-1+2", document="no.pdf"), line(reference="plain")]
    public = upload(pipeline, sender, packed(lines), on_error="continue")
    pipeline.work(*PATH)
    raw = b"".join(submissions.report(pipeline.context, sender, public, state=None)).decode()
    table = list(csv.DictReader(io.StringIO(raw)))
    assert [each["reference"] for each in table] == ["'=cmd|' /C calc'!A0", "'-1+2", "plain"]
    assert [(each["row"], each["state"], each["code"]) for each in table] == [
        ("1", "admitted", ""), ("2", "bad", "file_missing"), ("3", "admitted", ""),
    ]  # fmt: skip
    only = b"".join(submissions.report(pipeline.context, sender, public, state="bad")).decode()
    assert len(list(csv.DictReader(io.StringIO(only)))) == 1


def test_lists_go_on_where_they_ended(pipeline: Pipeline, sender: uuid.UUID) -> None:
    publics = [upload(pipeline, sender, packed([line(reference=str(n))]), name=f"Run {n}") for n in range(3)]
    first = submissions.list_page(pipeline.context, sender, cursor=None, limit=2)
    rest = submissions.list_page(pipeline.context, sender, cursor=first.next_cursor, limit=2)
    assert [each.id for each in (*first.items, *rest.items)] == publics[::-1]
    assert (first.items[0].name, rest.next_cursor) == ("Run 2", None)
    for wrong in ({"cursor": "x", "limit": 2}, {"cursor": None, "limit": 0}, {"cursor": None, "limit": 201}):
        with pytest.raises(Invalid):
            submissions.list_page(pipeline.context, sender, **wrong)
    with pytest.raises(Invalid):
        submissions.row_page(pipeline.context, sender, publics[0], state="odd", cursor=None, limit=1)
    with pytest.raises(Invalid):
        submissions.row_page(pipeline.context, sender, publics[0], state=None, cursor="-1", limit=1)


def test_what_ended_lets_go_of_its_file(pipeline: Pipeline, sender: uuid.UUID, database: TestDatabase) -> None:
    public = upload(pipeline, sender, packed([line()]))
    pipeline.work(*PATH)
    times = {"upload_seconds": 3600, "keep_seconds": 3600}
    assert submissions.tidy(pipeline.context, **times) == 0
    pipeline.skew = timedelta(hours=2)
    assert submissions.tidy(pipeline.context, **times) == 1
    assert submissions.tidy(pipeline.context, **times) == 0
    parts = [path for (path,) in execute(database, "SELECT path FROM submission_part")]
    stored = {each.path for each in pipeline.context.vault.stored()}
    assert set(parts) <= stored, "a restore may still need it"
    pipeline.skew = timedelta(hours=4)
    housekeeping.collect_removed(pipeline.context, window=timedelta(hours=1))
    left = {each.path for each in pipeline.context.vault.stored()}
    assert stored - left == set(parts)
    assert seen(pipeline, sender, public).rows.admitted == 1


def test_an_upload_that_nobody_goes_on_with_is_given_up(pipeline: Pipeline, sender: uuid.UUID) -> None:
    begun = submission_uploads.begin(pipeline.context, sender, SubmissionOptions(), key="k", kind="empty")
    public = f"sub_{begun.id.hex}"
    pipeline.skew = timedelta(hours=2)
    assert submissions.tidy(pipeline.context, upload_seconds=3600, keep_seconds=360_000) == 1
    found = seen(pipeline, sender, public)
    assert (found.state, [each.code for each in found.problems]) == ("stopped", ["upload_given_up"])
    with pytest.raises(Conflict):
        submission_uploads.complete(pipeline.context, sender, public)
