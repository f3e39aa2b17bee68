"""What the scheduler sees to: due work, partitions, ended sessions, orphans that nobody counts on."""

import uuid
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from service.db import deliveries as rows
from service.db.ids import new_id
from service.db.jobs import JobKind
from service.domain.errors import Retryable
from service.usecases import deliveries, housekeeping, sessions
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender, change, deliver, orphans

WINDOW = timedelta(hours=2)


def test_due_work_is_woken_and_nothing_else(pipeline: Pipeline, organisation: Sender, database: TestDatabase) -> None:
    assert housekeeping.wake_due(pipeline.context) == 0
    pipeline.hand_in(organisation())
    woken: list[JobKind] = []

    def wake(kinds: Collection[JobKind]) -> int:
        woken.extend(kinds)
        return len(kinds)

    change(pipeline, wake=wake)
    assert housekeeping.wake_due(pipeline.context) == 1
    assert woken == [JobKind.SEAL]
    execute(database, "UPDATE job SET due_at = now() + interval '1 hour'")
    assert housekeeping.wake_due(pipeline.context) == 0


def test_partitions_are_made_once_for_the_months_to_come(pipeline: Pipeline) -> None:
    later = pipeline.now + timedelta(days=400)
    with pipeline.context.database.transaction() as session:
        assert housekeeping.make_partitions(session, now=later) > 0
        assert housekeeping.make_partitions(session, now=later) == 0


def test_sessions_end_when_their_time_is_over(pipeline: Pipeline, database: TestDatabase) -> None:
    for number, hours in ((1, 1), (2, 3)):
        sessions.begin(pipeline.context, bytes([number]) * 32, {}, lifetime=timedelta(hours=hours))
    with pipeline.context.database.transaction() as session:
        assert housekeeping.end_sessions(session, now=pipeline.now + WINDOW) == 1
    assert execute(database, "SELECT id_hash FROM web_session") == [(b"\x02" * 32,)]


def orphan(pipeline: Pipeline, sender: Any, *, stored: bool = True) -> str:
    """An object whose hand-in died before it was acknowledged."""
    subject = new_id()
    prepared = pipeline.context.vault.prepare(sender, 2036, subject, "original-0", b"x")
    with pipeline.context.database.transaction(organisations=[sender]) as session:
        session.execute(
            text(
                "INSERT INTO vault_object (subject_id, path, organisation_id, role, sha256, size)"
                " VALUES (:subject, :path, :sender, 'original-0', :sha256, 1)"
            ),
            {"subject": subject, "path": prepared.path, "sender": sender, "sha256": bytes(32)},
        )
    if stored:
        pipeline.context.vault.write(prepared)
    return prepared.path


def objects(pipeline: Pipeline) -> set[str]:
    return {each.path for each in pipeline.context.vault.stored()}


def test_orphans_go_after_the_window_and_what_counts_stays(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    first, second = organisation(), organisation()
    delivery = deliver(pipeline, first, "jan")
    kept = objects(pipeline)
    lost = {orphan(pipeline, first), orphan(pipeline, second)}
    orphan(pipeline, second, stored=False)
    assert housekeeping.collect_orphans(pipeline.context, window=WINDOW) == 0
    assert objects(pipeline) == kept | lost
    pipeline.skew = WINDOW + timedelta(minutes=1)
    assert housekeeping.collect_orphans(pipeline.context, window=WINDOW) == 3
    assert objects(pipeline) == kept
    assert orphans(database) == 0
    assert housekeeping.collect_orphans(pipeline.context, window=WINDOW) == 0
    assert deliveries.document(pipeline.context, first, delivery, 0).content.startswith(b"%PDF")


def test_a_collector_that_dies_between_object_and_row_is_repeated(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = orphan(pipeline, organisation())
    pipeline.skew = WINDOW + timedelta(minutes=1)
    remove = pipeline.context.vault.remove_many

    def then_dies(paths: Any) -> None:
        remove(paths)
        raise OSError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.context.vault, "remove_many", then_dies)
        with pytest.raises(OSError, match="gone"):
            housekeeping.collect_orphans(pipeline.context, window=WINDOW)
    assert path not in objects(pipeline)
    assert orphans(database) == 1
    assert housekeeping.collect_orphans(pipeline.context, window=WINDOW) == 1
    assert orphans(database) == 0


def test_a_writer_slower_than_the_window_names_nothing_that_was_collected(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    path = orphan(pipeline, sender)
    pipeline.skew = WINDOW + timedelta(minutes=1)
    assert housekeeping.collect_orphans(pipeline.context, window=WINDOW) == 1
    with (
        pytest.raises(Retryable, match="stored_too_long_ago"),
        pipeline.context.database.transaction(organisations=[sender]) as session,
    ):
        rows.keep(session, [uuid.UUID(path.split("/")[0])], [path])


def test_an_orphan_is_collected_by_one_of_two_that_come_at_once(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    lost = {orphan(pipeline, sender) for _ in range(20)}
    kept = objects(pipeline) - lost
    pipeline.skew = WINDOW + timedelta(minutes=1)
    with ThreadPoolExecutor(4) as threads:
        done = threads.map(lambda _: housekeeping.collect_orphans(pipeline.context, window=WINDOW), range(4))
    assert sum(done) + housekeeping.collect_orphans(pipeline.context, window=WINDOW) == len(lost)
    assert objects(pipeline) == kept
    assert orphans(database) == 0


def test_the_database_is_ready_when_it_has_this_schema(pipeline: Pipeline) -> None:
    assert housekeeping.database_ready(pipeline.context)
