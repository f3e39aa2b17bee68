"""Letters that wait while print houses are described anew: who is there for them now gets them; none strands."""

import contextlib
import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest

from service.embedded.stack import Stack
from service.printers import opening
from service.usecases import operations, print_forecasts, print_runs, print_waiting
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase, wired

HOUSE = """
name = "{name}"
sender = "ZENDING1"
[way]
kind = "directory"
folder = "out"
[[products]]
name = "letter"
cut_offs = ["17:30"]
{second}
[[products]]
name = "registered_letter"
cut_offs = ["17:30"]
{second}
"""
ADDRESS = {"name": "Jan Claes", "street": "Dorp", "number": "1", "postcode": "9000", "municipality": "Ergens"}


def describe(folder: Path, name: str, second: str = "") -> None:
    (folder / "out").mkdir(exist_ok=True)
    (folder / f"{name}.toml").write_text(HOUSE.format(name=name, second=second))


@pytest.mark.parametrize("becomes", ["a second", "nothing"])
def test_letters_of_a_print_house_that_is_no_longer_first_go_to_who_is(
    stack: Stack, database: TestDatabase, tmp_path: Path, becomes: str
) -> None:
    folder = tmp_path / "printers"
    folder.mkdir()
    (tmp_path / "wired").mkdir()
    describe(folder, "old")
    with (
        wired(stack, database, tmp_path / "wired", printers=folder) as application,
        contextlib.ExitStack() as closing,
    ):
        pipeline = Pipeline(application, stack.home / "pki")
        pipeline.hand_in(pipeline.organisation(), "jan", postal_address=ADDRESS)
        pipeline.work()
        if becomes == "nothing":
            (folder / "old.toml").unlink()
        # A second has no cut-offs of its own: what still named it would wait for ever.
        describe(folder, "new", 'second = "old"' if becomes == "a second" else "")
        printers = opening.open_all(folder, encrypted=False, closing=closing)
        context = dataclasses.replace(pipeline.context, printers=printers)
        (seen, _) = print_forecasts.outlook(context)
        assert (seen.printer, seen.waiting.letters) == ("new", 1)
        assert print_runs.close(context, actor="cli") == 1
    assert execute(database, "SELECT provider, letters FROM print_batch") == [("new", 1)]


def test_letters_that_nobody_prints_any_more_are_an_alarm_with_how_many_and_since_when(
    stack: Stack, database: TestDatabase, tmp_path: Path
) -> None:
    folder = tmp_path / "printers"
    folder.mkdir()
    (tmp_path / "wired").mkdir()
    describe(folder, "old")
    with (
        wired(stack, database, tmp_path / "wired", printers=folder) as application,
        contextlib.ExitStack() as closing,
    ):
        pipeline = Pipeline(application, stack.home / "pki")
        pipeline.hand_in(pipeline.organisation(), "jan", postal_address=ADDRESS)
        pipeline.work()
        assert print_waiting.stuck(pipeline.context) == []
        text = (folder / "old.toml").read_text()
        (folder / "old.toml").write_text(text.replace('"letter"', '"postcard"'))
        printers = opening.open_all(folder, encrypted=False, closing=closing)
        context = dataclasses.replace(pipeline.context, printers=printers)
        pipeline.skew += timedelta(hours=2)
        context = dataclasses.replace(context, clock=pipeline.context.clock)
        (seen,) = print_waiting.stuck(context)
        assert (seen.why, seen.product, seen.letters) == ("unprinted", "letter", 1)
        found = {each.code: each for each in operations.status(context, application.promises, {}).findings}
    assert found["PrintLettersUnprinted"].value == 1
    assert "1 letter(s)" in found["PrintLettersUnprinted"].what
    assert found["PrintLettersUnprintedSince"].value == pytest.approx(7200, abs=60)
