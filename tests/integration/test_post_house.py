"""The whole way with a simulated print house: letters go out, what it tells comes back, and everything balances."""

import dataclasses
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from printing.providers.directory import DirectoryProvider
from printing.simulator.fates import Rates
from printing.simulator.house import Manner, PrintHouse
from service.domain import calendar
from service.printers.wired import Printers
from service.usecases import deliveries, paper, post_inbox, post_pulls, print_desk, reconciliation
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.post_support import exceptions, handed_over, printer
from tests.usecase_support import Sender, at, change, status

RATES = Rates(reject=0.1, lose=0.1, give_back=0.3, replay=0.4, reorder=0.3, unknown=0.2)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_a_house_tells_in_disorder_leads_each_letter_to_its_end(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, tmp_path: Path, seed: int
) -> None:
    sender = organisation()
    folder, told = pipeline.application.settings.print_folder, tmp_path / "told"
    told.mkdir()
    first = pipeline.context.printers.first
    change(pipeline, printers=Printers([dataclasses.replace(first, provider=DirectoryProvider(folder, told))]))
    ids = handed_over(pipeline, sender, 12)
    post_pulls.order(pipeline.context, [f"{ids[0]}-1"], reason="sent twice", actor="staff:x")
    assert post_pulls.send(pipeline.context) == 1
    begun = pipeline.now
    house = PrintHouse(
        folder,
        told,
        tmp_path / "house",
        Manner(seed=seed, rates=RATES, tracked=True, keep_days=20, clock=lambda: pipeline.now),
    )
    try:
        for day in range(45):
            with at(pipeline, begun + timedelta(days=day, minutes=day)):
                house.round()
                post_inbox.read_all(pipeline.context, printer(pipeline))
                reconciliation.round_(pipeline.context)
    finally:
        house.close()
    assert list(told.iterdir()) == []
    assert execute(database, "SELECT state, count(*) FROM print_inbound WHERE state <> 'taken' GROUP BY state") == []
    states = Counter(status(pipeline, sender, each) for each in ids)
    rejected = exceptions(database).count("LETTER_REJECTED")
    assert states["handed_over"] == rejected, "what was rejected waits for an operator, all others have their end"
    assert set(states) <= {"delivered", "returned", "undeliverable", "handed_over", "posted"}
    (pull,) = print_desk.pulls(pipeline.context, limit=5)
    assert pull.answered_at is not None
    (balance,) = reconciliation.of_day(pipeline.context, calendar.local_date(begun))[1]
    parts = balance.posted + balance.pulled + balance.rejected + balance.given_up + balance.missing
    assert (balance.letters, balance.missing) == (parts, 0)
    assert balance.sheets_of_posted == balance.sheets_posted > 0
    assert balance.acknowledged_at is not None
    assert balance.deleted_at is not None
    assert balance.off == (["letters_rejected"] if rejected else [])
    strange = set(exceptions(database)) - {"LETTER_REJECTED"}
    assert strange <= {"LETTER_UNKNOWN", "PULL_TOO_LATE"}
    for each in ids:
        (letter,) = paper.of(pipeline.context, sender, each)
        assert (letter.returned is not None) == (status(pipeline, sender, each) == "returned")
        assert deliveries.timeline(pipeline.context, sender, each)
