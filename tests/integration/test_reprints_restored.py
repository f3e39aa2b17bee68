"""A letter that was printed again before a restore: adopted as it went out, and nobody waits for it."""

import uuid

from service.usecases import reprints
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
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
