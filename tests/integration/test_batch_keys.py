"""Files of print batches stand under a key of the year they were frozen in, and are noise once it is destroyed."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from service.db import deliveries as rows
from service.db import printing
from service.db.models import PrintBatch
from service.db.printing import Content
from service.usecases.admission import intents
from service.usecases.batch_files import ROLE
from service.usecases.personal import PLATFORM, PLATFORM_YEAR
from service.vault.errors import KeyDestroyed, ObjectMissing
from tests.engine_support import execute
from tests.integration.test_retention import WINDOW, collect, deliver, rounds
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender


@pytest.fixture(autouse=True)
def back_to_today(pipeline: Pipeline) -> Iterator[None]:
    yield
    pipeline.skew = timedelta()


def batch(pipeline: Pipeline, organisation_slug: str, organisation: Sender) -> PrintBatch:
    """One that was handed over, with one letter."""
    deliver(pipeline, organisation(organisation_slug), "jan")
    pipeline.close_batches()
    pipeline.work()
    with pipeline.context.database.transaction() as session:
        return session.query(PrintBatch).order_by(PrintBatch.number.desc()).limit(1).one()


def backed_up(pipeline: Pipeline, found: PrintBatch) -> bytes:
    assert found.path is not None
    return pipeline.application.store.get(found.path, limit=1 << 20)


def read(pipeline: Pipeline, found: PrintBatch) -> bytes:
    assert found.path is not None
    return pipeline.context.vault.read(found.path, PLATFORM, found.id, ROLE)


def test_a_year_s_batches_in_a_backup_are_noise_once_their_key_is_destroyed_and_others_are_not(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    first = batch(pipeline, "first", organisation)
    backup = backed_up(pipeline, first)
    year = pipeline.now.year
    pipeline.skew = timedelta(days=366)
    second = batch(pipeline, "second", organisation)
    keys = [pipeline.context.vault.key_id(each.path) for each in (first, second) if each.path]
    assert len(set(keys)) == 2
    rounds(pipeline)
    assert collect(pipeline) > 0
    assert read(pipeline, second)
    with pytest.raises(ObjectMissing):
        read(pipeline, first)
    pipeline.skew += WINDOW + timedelta(hours=1)
    rounds(pipeline)
    ended = "SELECT year, key_destroyed_at IS NOT NULL FROM retention_year WHERE organisation_id = %s ORDER BY year"
    assert execute(database, ended, PLATFORM) == [(year, True), (year + 1, False)]
    # The store is restored from a backup that still had the file.
    assert first.path is not None
    pipeline.application.store.put_many([(first.path, backup)])
    with pytest.raises(KeyDestroyed):
        read(pipeline, first)
    assert read(pipeline, second)


def test_a_year_s_key_stays_while_a_batch_of_it_waits_for_the_print_house(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    deliver(pipeline, organisation(), "jan")
    pipeline.close_batches()
    for _ in range(3):
        pipeline.skew += timedelta(days=366)
        rounds(pipeline)
    gone = "SELECT rows_gone_at FROM retention_year WHERE organisation_id = %s"
    assert execute(database, gone, PLATFORM) == [(None,)]
    pipeline.work()
    assert execute(database, "SELECT state FROM print_batch") == [("handed_over",)]
    rounds(pipeline)
    assert execute(database, gone, PLATFORM) == [(None,)], "its file is kept for its period"
    rounds(pipeline, days=91)
    assert execute(database, "SELECT rows_gone_at IS NOT NULL FROM retention_year WHERE organisation_id = %s",
                   PLATFORM) == [(True,)]  # fmt: skip


def test_a_file_that_the_release_before_closed_with_the_lasting_key_is_handed_over_and_goes_with_its_period(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    deliver(pipeline, organisation(), "jan")
    pipeline.close_batches()
    with pipeline.context.database.transaction() as session:
        frozen = session.query(PrintBatch).one()
    content = b"the package of the release before"
    prepared = pipeline.context.vault.prepare(PLATFORM, PLATFORM_YEAR, frozen.id, ROLE, content)
    pipeline.context.vault.write(prepared)
    with pipeline.context.database.transaction(organisations=[PLATFORM]) as session:
        rows.intend(session, intents(PLATFORM, frozen.id, [prepared]))
        rows.keep(session, [frozen.id], [prepared.path])
        digest = bytes.fromhex(prepared.sha256)
        made = Content(path=prepared.path, sha256=digest, size=len(content), pages=1, sheets=1, letters=1)
        assert printing.save_content(session, frozen.id, made)
    pipeline.work()
    assert execute(database, "SELECT state FROM print_batch") == [("handed_over",)]
    rounds(pipeline, days=91)
    assert execute(database, "SELECT path FROM print_batch") == [(None,)]
    assert collect(pipeline) > 0
    pipeline.skew += timedelta(days=366)
    rounds(pipeline)
    pipeline.skew += WINDOW + timedelta(hours=1)
    rounds(pipeline)
    # What mailboxes stand under is not a year's, and stays.
    assert pipeline.context.keyring.wrap_key(PLATFORM, PLATFORM_YEAR)
