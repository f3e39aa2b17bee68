"""Letters that wait for more than their next cut-off are seen: why, how many, and since when."""

import dataclasses
from datetime import timedelta

import pytest

from service.printers.wired import Printers
from service.usecases import operations, print_holds, print_runs, print_waiting
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender, at, change


def rings(pipeline: Pipeline) -> dict[str, float]:
    found = operations.status(pipeline.context, pipeline.application.promises, {}).findings
    return {each.code: each.value for each in found if each.code.startswith("PrintLetters")}


def letters(pipeline: Pipeline, organisation: Sender, count: int) -> list[str]:
    sender = organisation()
    ids = [pipeline.hand_in(sender, "jan").delivery_id for _ in range(count)]
    pipeline.work()
    return ids


@pytest.mark.parametrize("what", ["letter", "product"])
def test_what_is_held_rings_until_it_is_released(pipeline: Pipeline, organisation: Sender, what: str) -> None:
    ids = letters(pipeline, organisation, 2)
    context = pipeline.context
    assert (rings(pipeline), print_waiting.stuck(context)) == ({}, [])
    if what == "letter":
        names, held = [f"{ids[0]}-1"], 1
        print_holds.hold_letters(context, names, reason="x", actor="cli")
    else:
        held = 2
        print_holds.hold_product(context, "directory", "letter", reason="x", actor="cli")
    (seen,) = print_waiting.stuck(context)
    assert (seen.why, seen.printer, seen.product, seen.letters) == ("held", "directory", "letter", held)
    with at(pipeline, pipeline.now + timedelta(hours=3)):
        told = rings(pipeline)
    assert told["PrintLettersHeld"] == held
    assert told["PrintLettersHeldSince"] == pytest.approx(3 * 3600, abs=60)
    if what == "letter":
        print_holds.release_letters(context, names, actor="cli")
    else:
        print_holds.release_product(context, "directory", "letter", actor="cli")
    assert rings(pipeline) == {}


def test_what_no_print_house_had_room_for_rings_until_it_went(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    first = pipeline.context.printers.first
    full = dataclasses.replace(first.products["letter"], daily_letters=1)
    change(pipeline, printers=Printers([dataclasses.replace(first, products={**first.products, "letter": full})]))
    letters(pipeline, organisation, 3)
    assert rings(pipeline) == {}, "their cut-off is still to come"
    assert print_runs.close(pipeline.context, actor="cli") == 1
    (seen,) = print_waiting.stuck(pipeline.context)
    assert (seen.why, seen.letters) == ("left", 2)
    # One that came after the run was planned only waits for its own cut-off.
    pipeline.skew += timedelta(seconds=1)
    letters(pipeline, organisation, 1)
    assert rings(pipeline)["PrintLettersLeft"] == 2
    assert "PrintLettersLeftSince" in rings(pipeline)
    change(pipeline, printers=Printers([first]))
    assert print_runs.close(pipeline.context, actor="cli") == 1
    assert execute(database, "SELECT count(*) FROM print_letter WHERE batch_id IS NULL") == [(0,)]
    assert rings(pipeline) == {}
