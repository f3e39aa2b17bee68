"""Uploads on a real database and store: resumed anywhere, counted once, verified at each read, dying at any point."""

import dataclasses
import io
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.db.jobs import JobKind
from service.domain.errors import (
    Conflict,
    IdempotencyMismatch,
    IdempotencyMissing,
    Invalid,
    NotFound,
    PayloadTooLarge,
    QuotaExceeded,
)
from service.engine.steps import run_chunk
from service.usecases import (
    admission,
    submission_admit,
    submission_flow,
    submission_unpack,
    submission_uploads,
    submissions,
)
from service.usecases.steps import all_steps
from service.usecases.submission_files import PartsFile, StoredPart
from service.usecases.submission_uploads import Comparison, OffsetDiffers, SubmissionOptions
from service.vault.errors import VaultIntegrityError
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.submission_support import all_rows, line, packed, seen, upload


@pytest.fixture
def sender(organisation: Callable[..., uuid.UUID]) -> uuid.UUID:
    return organisation()


class Death(BaseException):
    """The process ended here."""


def begin(pipeline: Pipeline, sender: uuid.UUID, *, key: str | None = None, **options: Any) -> str:
    made = SubmissionOptions(**options)
    begun = submission_uploads.begin(pipeline.context, sender, made, key=key or uuid.uuid4().hex, kind="empty")
    return f"sub_{begun.id.hex}"


def add(pipeline: Pipeline, sender: uuid.UUID, public: str, at: int, content: bytes) -> int:
    found = submission_uploads.find(pipeline.context, sender, public)
    submission_uploads.check_offset(found, at)
    return submission_uploads.append(pipeline.context, found, at, content)


def file_of(pipeline: Pipeline, database: TestDatabase, sender: uuid.UUID, public: str) -> PartsFile:
    parts = [
        StoredPart(at, size, bytes(sha256), path)
        for at, size, sha256, path in execute(
            database, "SELECT at, size, sha256, path FROM submission_part ORDER BY at"
        )
    ]
    return PartsFile(pipeline.context, sender, uuid.UUID(hex=public.removeprefix("sub_")), parts)


def test_a_file_in_pieces_is_read_as_one(pipeline: Pipeline, sender: uuid.UUID, database: TestDatabase) -> None:
    public, content, at = begin(pipeline, sender), bytes(range(256)) * 40, 0
    for size in (1, 999, 5000, len(content)):
        at = add(pipeline, sender, public, at, content[at : at + size])
    file = file_of(pipeline, database, sender, public)
    assert (file.size, file.read()) == (len(content), content)
    for begins, size in ((0, 1), (999, 3), (5_990, 20), (len(content) - 5, 100), (len(content) + 10, 5)):
        assert file.seek(begins) == begins
        assert file.read(size) == content[begins : begins + size]
    assert file.seek(-3, io.SEEK_END) == len(content) - 3
    assert io.BufferedReader(file).read() == content[-3:]


def test_a_part_that_was_changed_is_never_believed(
    pipeline: Pipeline, sender: uuid.UUID, database: TestDatabase
) -> None:
    public = begin(pipeline, sender)
    add(pipeline, sender, public, 0, b"a" * 1000)
    add(pipeline, sender, public, 1000, b"b" * 1000)
    paths = [Path(row[0]) for row in execute(database, "SELECT path FROM submission_part ORDER BY at")]
    (stored,) = Path(pipeline.application.settings.home).rglob(f"*{paths[1].name}")
    whole = stored.read_bytes()
    stored.chmod(0o600)
    stored.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    file = file_of(pipeline, database, sender, public)
    assert file.read(1000) == b"a" * 1000
    with pytest.raises(VaultIntegrityError):
        file.read(1)


def test_a_part_that_is_missing_from_the_row_is_noticed(
    pipeline: Pipeline, sender: uuid.UUID, database: TestDatabase
) -> None:
    public = begin(pipeline, sender)
    for at in (0, 10, 20):
        add(pipeline, sender, public, at, b"x" * 10)
    execute(database, "DELETE FROM submission_part WHERE at = 10 RETURNING 1")
    with pytest.raises(VaultIntegrityError):
        file_of(pipeline, database, sender, public)


def test_bytes_come_only_where_the_stored_ones_end(pipeline: Pipeline, sender: uuid.UUID) -> None:
    public = begin(pipeline, sender)
    add(pipeline, sender, public, 0, b"x" * 100)
    stale = submission_uploads.find(pipeline.context, sender, public)
    for wrong in (0, 50, 101):
        with pytest.raises(OffsetDiffers) as caught:
            submission_uploads.check_offset(stale, wrong)
        assert caught.value.expected == 100
    add(pipeline, sender, public, 100, b"y" * 50)
    with pytest.raises(OffsetDiffers) as caught:
        submission_uploads.append(pipeline.context, stale, 100, b"z" * 50)
    assert caught.value.expected == 150


def test_of_two_connections_that_store_the_same_place_one_counts(
    pipeline: Pipeline, sender: uuid.UUID, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = begin(pipeline, sender)
    found = submission_uploads.find(pipeline.context, sender, public)
    write = pipeline.context.vault.write

    def other_is_faster(prepared: Any) -> None:
        write(prepared)
        monkeypatch.setattr(pipeline.context.vault, "write", write)
        assert submission_uploads.append(pipeline.context, found, 0, b"first") == 5

    monkeypatch.setattr(pipeline.context.vault, "write", other_is_faster)
    with pytest.raises(OffsetDiffers) as caught:
        submission_uploads.append(pipeline.context, found, 0, b"second")
    assert caught.value.expected == 5
    assert file_of(pipeline, database, sender, public).read() == b"first"
    assert execute(database, "SELECT count(*) FROM vault_object WHERE kept_at IS NULL") == [(1,)], (
        "left to the collector"
    )


@pytest.mark.parametrize("where", ["prepare", "write", "keep"])
def test_a_death_at_any_point_of_a_part_leaves_an_upload_that_goes_on(
    pipeline: Pipeline, sender: uuid.UUID, database: TestDatabase, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    content = packed([line()])
    public = begin(pipeline, sender)
    add(pipeline, sender, public, 0, content[:300])
    found = submission_uploads.find(pipeline.context, sender, public)

    def die(*_: object, **__: object) -> None:
        raise Death

    with monkeypatch.context() as patch:
        if where == "keep":
            patch.setattr("service.usecases.submission_uploads.deliveries.keep", die)
        else:
            patch.setattr(pipeline.context.vault, where, die)
        with pytest.raises(Death):
            submission_uploads.append(pipeline.context, found, 300, content[300:600])
    again = submission_uploads.find(pipeline.context, sender, public)
    assert again.received == 300
    assert add(pipeline, sender, public, 300, content[300:]) == len(content)
    submission_uploads.complete(pipeline.context, sender, public)
    pipeline.work(JobKind.UNPACK, JobKind.CHECK, JobKind.ADMIT)
    assert seen(pipeline, sender, public).state == "done"


def test_completing_says_what_is_missing_and_is_safe_to_repeat(pipeline: Pipeline, sender: uuid.UUID) -> None:
    content = packed([line()])
    public = begin(pipeline, sender, size=len(content))
    for part in (b"", content[:10]):
        if part:
            add(pipeline, sender, public, 0, part)
        with pytest.raises(Conflict) as caught:
            submission_uploads.complete(pipeline.context, sender, public)
        assert caught.value.code == "upload_incomplete"
    with pytest.raises(PayloadTooLarge):
        add(pipeline, sender, public, 10, content[10:] + b"x")
    add(pipeline, sender, public, 10, content[10:])
    first = submission_uploads.complete(pipeline.context, sender, public)
    assert submission_uploads.complete(pipeline.context, sender, public) == first
    with pytest.raises(Conflict) as caught:
        add(pipeline, sender, public, len(content), b"x")
    assert caught.value.code == "upload_closed"
    pipeline.work(JobKind.UNPACK, JobKind.CHECK, JobKind.ADMIT)
    assert submission_uploads.complete(pipeline.context, sender, public).state == "done"


def test_the_same_key_is_the_same_submission(pipeline: Pipeline, sender: uuid.UUID, database: TestDatabase) -> None:
    first = submission_uploads.begin(pipeline.context, sender, SubmissionOptions(name="A"), key="k", kind="empty")
    add(pipeline, sender, f"sub_{first.id.hex}", 0, b"x")
    again = submission_uploads.begin(pipeline.context, sender, SubmissionOptions(name="A"), key="k", kind="empty")
    assert (again.id, again.body, first.again, again.again) == (first.id, first.body, False, True)
    for options, kind in ((SubmissionOptions(name="B"), "empty"), (SubmissionOptions(name="A"), "whole")):
        with pytest.raises(IdempotencyMismatch):
            submission_uploads.begin(pipeline.context, sender, options, key="k", kind=kind)
    with pytest.raises(IdempotencyMissing):
        submission_uploads.begin(pipeline.context, sender, SubmissionOptions(), key=None, kind="empty")
    with pytest.raises(Invalid):
        submission_uploads.begin(pipeline.context, sender, SubmissionOptions(), key="k\n", kind="empty")
    assert execute(database, "SELECT count(*) FROM submission") == [(1,)]


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"name": " "}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"sha256": "ABC"}, "/sha256"),
        ({"size": 0}, "/size"),
    ],
    ids=["blank", "long", "line-break", "digest", "size"],
)
def test_options_that_make_no_sense_are_refused(
    pipeline: Pipeline, sender: uuid.UUID, options: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(Invalid) as caught:
        begin(pipeline, sender, **options)
    assert [each.pointer for each in caught.value.errors] == [pointer]


def test_what_is_announced_too_large_never_begins(pipeline: Pipeline, sender: uuid.UUID) -> None:
    with pytest.raises(PayloadTooLarge):
        begin(pipeline, sender, size=pipeline.context.limits.submission_bytes + 1)


def test_what_grows_too_large_ends_there(pipeline: Pipeline, sender: uuid.UUID) -> None:
    pipeline.context = dataclasses.replace(
        pipeline.context, limits=dataclasses.replace(pipeline.context.limits, submission_bytes=100)
    )
    public = begin(pipeline, sender)
    add(pipeline, sender, public, 0, b"x" * 99)
    with pytest.raises(PayloadTooLarge):
        add(pipeline, sender, public, 99, b"xx")
    assert submission_uploads.find(pipeline.context, sender, public).received == 99


def test_an_organisation_has_so_many_uploads_open_and_no_more(
    pipeline: Pipeline, sender: uuid.UUID, organisation: Callable[..., uuid.UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission_uploads, "OPEN_UPLOADS", 2)
    first, _ = (begin(pipeline, sender) for _ in range(2))
    with pytest.raises(QuotaExceeded):
        begin(pipeline, sender)
    begin(pipeline, organisation())
    submissions.stop(pipeline.context, sender, first, actor="x")
    begin(pipeline, sender)


def test_a_file_in_crumbs_is_refused(pipeline: Pipeline, sender: uuid.UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission_uploads, "SHORT_PARTS", 3)
    public = begin(pipeline, sender)
    for at in range(4):
        add(pipeline, sender, public, at, b"x")
    with pytest.raises(Conflict) as caught:
        add(pipeline, sender, public, 4, b"x")
    assert caught.value.code == "upload_in_crumbs"


def test_another_organisations_upload_does_not_exist(
    pipeline: Pipeline, sender: uuid.UUID, organisation: Callable[..., uuid.UUID]
) -> None:
    public, stranger = begin(pipeline, sender), organisation()
    with pytest.raises(NotFound):
        submission_uploads.find(pipeline.context, stranger, public)
    with pytest.raises(NotFound):
        submission_uploads.complete(pipeline.context, stranger, public)


def test_a_file_that_comes_again_is_compared_and_only_its_end_handed_on() -> None:
    import hashlib

    parts = [(4, hashlib.sha256(b"abcd").digest()), (3, hashlib.sha256(b"efg").digest())]
    for step in (1, 2, 3, 5, 100):
        content, before, rest = b"abcdefghij", Comparison(parts), b""
        for at in range(0, len(content), step):
            assert before.whole == (at >= 7)
            rest += before.feed(content[at : at + step])
        assert (rest, before.whole) == (b"hij", True)
    with pytest.raises(IdempotencyMismatch):
        Comparison(parts).feed(b"abcdefX")
    assert Comparison(()).feed(b"x") == b"x"


# ---------------------------------------------------------------- deaths of workers


STEPS = [
    (JobKind.UNPACK, submission_unpack, "open_container"),
    (JobKind.UNPACK, submission_flow, "begin_rows"),
    (JobKind.CHECK, submission_admit, "read_entry"),
    (JobKind.CHECK, submission_flow, "end_of_check"),
    (JobKind.ADMIT, admission, "prepare"),
    (JobKind.ADMIT, admission, "store"),
    (JobKind.ADMIT, admission, "record"),
    (JobKind.ADMIT, submission_flow, "end_of_run"),
]


@pytest.mark.parametrize(("kind", "module", "name"), STEPS, ids=[f"{kind.value}-{name}" for kind, _, name in STEPS])
def test_a_worker_that_dies_anywhere_leaves_each_row_one_delivery(
    pipeline: Pipeline,
    sender: uuid.UUID,
    database: TestDatabase,
    monkeypatch: pytest.MonkeyPatch,
    kind: JobKind,
    module: Any,
    name: str,
) -> None:
    lines = [line(reference=f"R-{n}", document="brief.pdf" if n % 4 else "gone.pdf") for n in range(50)]
    public = upload(pipeline, sender, packed(lines), on_error="continue", release="manual")
    step, real, deaths = all_steps(pipeline.context)[kind], getattr(module, name), list[str]()

    def die_once(*given: Any, **more: Any) -> Any:
        if len(deaths) < 2:
            deaths.append(name)
            raise Death
        return real(*given, **more)

    def release_when_checked() -> None:
        if seen(pipeline, sender, public).state == "checked":
            submissions.release(pipeline.context, sender, public)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, die_once)
        for _ in range(12):
            try:
                pipeline.work(JobKind.UNPACK, JobKind.CHECK)
                release_when_checked()
                pipeline.work(JobKind.ADMIT)
            except Death:
                # Its leases end; nobody settles them.
                execute(database, "UPDATE job SET lease_until = NULL RETURNING 1")
                run_chunk(pipeline.context.database, step, lease_seconds=60, alone=True) if len(deaths) > 1 else None
    assert len(deaths) == 2
    found = seen(pipeline, sender, public)
    assert (found.state, found.rows.admitted, found.rows.bad) == ("done", 37, 13)
    listed = all_rows(pipeline, sender, public, "admitted")
    assert execute(database, "SELECT count(*), count(DISTINCT reference) FROM delivery") == [(37, 37)]
    ids = {row.delivery_id for row in listed}
    assert ids == {f"dlv_{each.hex}" for (each,) in execute(database, "SELECT id FROM delivery")}
    assert execute(database, "SELECT count(*) FROM job WHERE kind IN ('unpack', 'check', 'admit')") == [(0,)]
