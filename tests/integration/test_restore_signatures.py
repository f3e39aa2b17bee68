"""After a restore nobody is told twice that something waits for their signature, and lost requests are named."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from service.cli import backup_database
from service.db.jobs import JobKind
from service.usecases import recovery
from service.usecases.signatures import clock
from tests.pipeline_support import Pipeline, TestDatabase
from tests.signatures_support import ask
from tests.usecase_support import activate, at, with_post

Sender = Callable[..., uuid.UUID]


def restore(pipeline: Pipeline, database: TestDatabase, dump: Path) -> None:
    pipeline.context.database.dispose()
    backup_database.restore(database.owner_url, dump)
    recovery.begin(pipeline.context, reason="test", actor="test")


def test_who_was_told_is_not_told_again_and_a_lost_request_is_named(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, tmp_path: Path
) -> None:
    sender, dump = organisation(), tmp_path / "database.dump"
    pipeline.hand_in(sender)
    activate(pipeline, "an")
    post = with_post(pipeline)
    known = ask(pipeline, sender)
    backup_database.dump(database.owner_url, dump)
    lost = ask(pipeline, sender)
    pipeline.work(JobKind.ASK)
    assert len(post.sent) == 2
    restore(pipeline, database, dump)
    with pipeline.context.database.transaction() as session:
        assert session.scalar(text("SELECT count(*) FROM pause WHERE kind = 'ask'")) == 1
    told = recovery.report(pipeline.context)
    assert [(each.id, each.noticed) for each in told.deliveries] == [(lost, True)], known
    recovery.confirm(pipeline.context, actor="test")
    pipeline.work(JobKind.ASK)
    assert len(post.sent) == 2, "the mail of the known request went out before"
    ask(pipeline, sender)
    pipeline.work(JobKind.ASK)
    assert len(post.sent) == 3


def test_a_reminder_that_went_out_is_counted(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, tmp_path: Path
) -> None:
    sender, dump = organisation(), tmp_path / "database.dump"
    activate(pipeline, "an")
    post = with_post(pipeline)
    ask(pipeline, sender, days=10, remind_after_days=4)
    pipeline.work(JobKind.ASK)
    backup_database.dump(database.owner_url, dump)
    later = pipeline.now + timedelta(days=5)
    with at(pipeline, later):
        clock.round_(pipeline.context)
        pipeline.work(JobKind.ASK)
    assert len(post.sent) == 2
    restore(pipeline, database, dump)
    recovery.confirm(pipeline.context, actor="test")
    with at(pipeline, later):
        clock.round_(pipeline.context)
    with pipeline.context.database.transaction(organisations=[sender]) as session:
        assert session.scalar(text("SELECT count(*) FROM job")) == 0
        next_one = session.scalar(text("SELECT remind_at FROM signature_signer"))
    assert later + timedelta(days=4) <= next_one <= later + timedelta(days=4, minutes=5)
