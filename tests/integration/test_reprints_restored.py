"""A letter that was printed again before a restore: adopted as it went out, and nobody waits for it."""

import uuid

from printing.exchange import LetterEvent, Outcome, PostalEvent
from service.usecases import reprints
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.post_support import report
from tests.usecase_support import Sender, events, status

ADDRESS = {"name": "Jan Claes", "street": "Dorp", "number": "1", "postcode": "9000", "municipality": "Ergens"}


def test_a_reprint_that_went_out_before_a_restore_is_adopted_and_others_are_printed(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    again = pipeline.hand_in(sender, "jan", postal_address=ADDRESS).delivery_id
    pipeline.work()
    pipeline.close_batches()
    pipeline.work()
    assert reprints.order(pipeline.context, [f"{again}-1"], reason="damaged", actor="cli") == 1
    other = pipeline.hand_in(sender, "jan", postal_address=ADDRESS).delivery_id
    pipeline.work()
    lost = uuid.uuid4()
    # As a restore leaves it: the order is known, its batch by its receipt alone.
    execute(
        database,
        "INSERT INTO print_batch (id, number, provider, product, state, file_name, frozen_at, letters, deposit_id)"
        f" SELECT '{lost}', nextval('print_batch_number'), provider, product, 'handed_over', file_name || '2',"
        f" frozen_at, 1, NULL FROM print_batch",
    )
    execute(
        database,
        "INSERT INTO gone_out (what, delivery_id, leg, attempt, at, batch_id, sequence)"
        f" SELECT 'letter', delivery_id, leg, attempt, now(), '{lost}', 1 FROM print_letter WHERE attempt = 1",
    )
    assert pipeline.close_batches() == 1
    pipeline.work()
    assert execute(database, "SELECT batch_id FROM print_letter WHERE attempt = 1") == [(lost,)]
    assert status(pipeline, sender, again) == status(pipeline, sender, other) == "handed_over"
    assert events(pipeline, sender, again).count("RelayToNonERDS") == 2
    assert events(pipeline, sender, other).count("RelayToNonERDS") == 1


def test_letters_that_shared_an_envelope_before_a_restore_are_known_by_its_number(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    execute(database, f"UPDATE organisation SET share_envelopes = true WHERE id = '{sender}'")
    first, second = (pipeline.hand_in(sender, "jan", postal_address=ADDRESS).delivery_id for _ in range(2))
    other = pipeline.hand_in(sender, "an", postal_address=ADDRESS, registered=True).delivery_id
    pipeline.work()
    pipeline.close_batches()
    pipeline.work()
    ((envelope, batch, frozen_at),) = execute(
        database,
        "SELECT DISTINCT envelope_set, batch_id, frozen_at FROM print_letter JOIN print_batch b ON b.id = batch_id"
        " WHERE envelope_set IS NOT NULL",
    )
    receipt = pipeline.context.receipts.batch(frozen_at, batch)
    assert receipt is not None
    assert [letter.set for letter in receipt.letters] == [envelope] * 2
    # As a restore leaves it: composed anew, under other numbers, its batch by its receipt alone.
    execute(
        database,
        "INSERT INTO gone_out (what, delivery_id, leg, attempt, at, batch_id, sequence, set_number)"
        " SELECT 'letter', delivery_id, leg, attempt, now(), batch_id, sequence, envelope_set FROM print_letter"
        f" WHERE envelope_set = {envelope}",
    )
    execute(
        database,
        "UPDATE print_letter SET batch_id = NULL, deposit_id = NULL, envelope_set = NULL, envelope_product = NULL,"
        f" set_number = nextval('print_set') WHERE envelope_set = {envelope}",
    )
    execute(database, "UPDATE leg SET state = 'to_print' WHERE kind = 'paper' AND delivery_id IN (SELECT delivery_id"
            " FROM print_letter WHERE batch_id IS NULL)")  # fmt: skip
    pipeline.close_batches()
    pipeline.work()
    posted = LetterEvent(
        set=f"{envelope:012d}", event_id="x-1", event=PostalEvent.POSTED, outcome=Outcome.PROGRESS, at=pipeline.now
    )
    assert report(pipeline, posted).effects == {"taken": 2}
    assert [status(pipeline, sender, each) for each in (first, second)] == ["posted"] * 2
    assert status(pipeline, sender, other) != "posted"
