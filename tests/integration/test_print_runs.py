"""Runs of print houses: once at a cut-off, sorted over all letters, held to a day's room, gone on with after deaths."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from pyrage import x25519

from printing.encryption import open_with
from printing.manifest import Manifest, read_manifest
from service.db import printing
from service.domain.errors import Conflict
from service.embedded.stack import Stack
from service.printers.wired import Printers
from service.usecases import print_forecasts, print_holds, print_runs
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase, wired
from tests.usecase_support import change, status

ALPHA = """
name = "alpha"
sender = "ALPHA001"
files_per_batch = 3
[way]
kind = "directory"
folder = "out-alpha"
[[products]]
name = "letter"
cut_offs = ["11:00", "17:30"]
hand_over_minutes = 0
daily_letters = {letters}
second = "beta"
[[products]]
name = "registered_letter"
cut_offs = ["16:00"]
"""
BETA = """
name = "beta"
sender = "BETA0001"
[way]
kind = "directory"
folder = "out-beta"
[[products]]
name = "letter"
cut_offs = ["17:30"]
daily_sheets = {sheets}
"""
# A Monday; the winter's 11:00 in Brussels.
CUT_OFF = datetime(2026, 11, 30, 10, tzinfo=UTC)


class Died(BaseException):
    """A scheduler that vanished at this line."""


def describe(folder: Path, *, letters: int = 100, sheets: int = 100) -> Path:
    folder.mkdir()
    for name in ("out-alpha", "out-beta"):
        (folder / name).mkdir()
    (folder / "alpha.toml").write_text(ALPHA.format(letters=letters))
    (folder / "beta.toml").write_text(BETA.format(sheets=sheets))
    return folder


@pytest.fixture
def houses(stack: Stack, database: TestDatabase, tmp_path: Path) -> Iterator[Pipeline]:
    """The application with two print houses: three letters a day fit the first, two sheets the second."""
    (tmp_path / "wired").mkdir()
    folder = describe(tmp_path / "printers", letters=3, sheets=2)
    with wired(stack, database, tmp_path / "wired", printers=folder) as application:
        yield Pipeline(application, stack.home / "pki")


def letter(pipeline: Pipeline, sender: Any, postcode: str = "9000", **fields: Any) -> str:
    address = {"name": "Jan Claes", "street": "Dorp", "number": "1", "postcode": postcode, "municipality": "Ergens"}
    return pipeline.hand_in(sender, "jan", postal_address=address, **fields).delivery_id


def go_to(pipeline: Pipeline, moment: datetime) -> None:
    pipeline.skew += moment - pipeline.now


def manifests(pipeline: Pipeline, house: str) -> list[Manifest]:
    folder = pipeline.application.settings.printers
    assert folder is not None
    files = sorted((folder / f"out-{house}").glob("*.ZIP"))
    return [read_manifest(BytesIO(file.read_bytes())) for file in files]


def test_a_run_is_sorted_before_it_is_cut_and_its_rest_goes_to_the_second_and_waits(
    houses: Pipeline, database: TestDatabase
) -> None:
    sender = houses.organisation()
    given = [letter(houses, sender, postcode) for postcode in ("9000", "1000", "4000", "2000", "3000", "8000")]
    houses.work()
    print_runs.close_due(houses.context)
    go_to(houses, CUT_OFF + timedelta(seconds=5))
    assert print_runs.close_due(houses.context) == 2
    assert print_runs.close_due(houses.context) == 0
    rows = execute(
        database, "SELECT printer, letters, second, waiting, cut_off_at IS NOT NULL FROM print_deposit ORDER BY printer"
    )
    assert [row[:1] + row[4:] for row in rows] == [("alpha", True), ("beta", True)]
    assert rows[0][1] == 3
    sheets = execute(database, "SELECT max(sheets) FROM print_letter")[0][0]
    to_second = 2 // sheets
    assert (rows[0][2], rows[0][3], rows[1][1]) == (to_second, 3 - to_second, to_second)
    execute(database, "UPDATE job SET due_at = now()")
    houses.work()
    (first,) = manifests(houses, "alpha")
    # The oldest three, in the order of the post.
    assert [entry.id for entry in first.letters] == [f"{given[number]}-1" for number in (1, 2, 0)]
    assert [(entry.sequence, entry.presort) for entry in first.letters] == [(1, "BXL-1"), (2, "LIE-1"), (3, "OVL-1")]
    assert (first.key.provider, first.sender) == ("alpha", "ALPHA001")
    assert len({entry.set for entry in first.letters} - {None}) == 3
    assert all(entry.postage_cents for entry in first.letters)
    (second,) = manifests(houses, "beta")
    assert (second.key.provider, second.sender) == ("beta", "BETA0001")
    assert [entry.id for entry in second.letters] == [f"{given[number]}-1" for number in (3, 4)[:to_second]]
    # Tomorrow there is room again, and who waited longest goes.
    go_to(houses, CUT_OFF + timedelta(days=1, seconds=5))
    assert print_runs.close_due(houses.context) == 1
    assert execute(database, "SELECT count(*) FROM print_letter WHERE batch_id IS NULL") == [(0,)]
    execute(database, "UPDATE job SET due_at = now()")
    houses.work()
    everything = [
        entry.id for house in ("alpha", "beta") for each in manifests(houses, house) for entry in each.letters
    ]
    assert sorted(everything) == sorted(f"{each}-1" for each in given)


def test_several_schedulers_begin_a_run_once_and_one_that_was_missed_is_made_up_once(
    houses: Pipeline, database: TestDatabase
) -> None:
    sender = houses.organisation()
    for postcode in ("1000", "2000"):
        letter(houses, sender, postcode)
    houses.work()
    print_runs.close_due(houses.context)
    # Away for days: several cut-offs were missed.
    go_to(houses, CUT_OFF + timedelta(days=3, seconds=5))
    with ThreadPoolExecutor(4) as pool:
        closed = list(pool.map(lambda _: print_runs.close_due(houses.context), range(8)))
    assert sum(closed) + print_runs.close_due(houses.context) == 1
    assert execute(database, "SELECT count(*), sum(letters) FROM print_deposit") == [(1, 2)]
    ((following,),) = execute(database, "SELECT next_at FROM print_cutoff WHERE provider = 'alpha/letter'")
    assert following == CUT_OFF + timedelta(days=3, hours=6, minutes=30)


def test_an_operators_run_waits_for_one_that_is_being_planned_and_not_for_ever(
    houses: Pipeline, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter(houses, houses.organisation(), "1000")
    houses.work()
    with ThreadPoolExecutor(1) as pool, database.database.transaction() as planning:
        assert printing.lock_freezing(planning)
        monkeypatch.setattr(print_runs, "PATIENCE", 0.1)
        with pytest.raises(Conflict) as refused:
            print_runs.close(houses.context, actor="olga")
        assert refused.value.code == "run_under_way"
        monkeypatch.setattr(print_runs, "PATIENCE", 60.0)
        closing = pool.submit(print_runs.close, houses.context, actor="olga")
        assert wait([closing], timeout=0.5).done == set()
        planning.commit()
        assert closing.result(timeout=60) == 1


def test_a_scheduler_that_dies_in_a_run_leaves_it_to_the_next(
    houses: Pipeline, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = houses.organisation()
    letter(houses, sender, "3000", print={"duplex": False})
    letter(houses, sender, "1000")
    letter(houses, sender, "2000", print={"duplex": False})
    houses.work()
    print_runs.close_due(houses.context)
    go_to(houses, CUT_OFF + timedelta(seconds=5))
    freeze, calls = print_runs._freeze, list[int]()

    def second_dies(*arguments: Any) -> bool:
        calls.append(1)
        if len(calls) == 2:
            raise Died
        return freeze(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(print_runs, "_freeze", second_dies)
        with pytest.raises(Died):
            print_runs.close_due(houses.context)
    # What comes in between belongs to the next run.
    letter(houses, sender, "1000")
    houses.work()
    assert print_runs.close_due(houses.context) == 1
    assert print_runs.close_due(houses.context) == 0
    batches = execute(
        database,
        "SELECT array_agg(l.run_sequence ORDER BY l.sequence) FROM print_batch b"
        " JOIN print_letter l ON l.batch_id = b.id GROUP BY b.number ORDER BY b.number",
    )
    # By presort code 2000 comes before 1000, and letters of one kind share a batch.
    assert batches == [([1, 3],), ([2],)]
    assert execute(database, "SELECT letters, closed_at IS NOT NULL FROM print_deposit") == [(3, True)]


def test_a_print_house_is_told_once_what_waits_for_a_cut_off(houses: Pipeline, database: TestDatabase) -> None:
    sender = houses.organisation()
    for duplex in (True, True, False):
        letter(houses, sender, print={"duplex": duplex})
    houses.work()
    print_runs.close_due(houses.context)
    assert print_forecasts.tell_due(houses.context) == 0
    go_to(houses, CUT_OFF - timedelta(minutes=59))
    with ThreadPoolExecutor(3) as pool:
        told = list(pool.map(lambda _: print_forecasts.tell_due(houses.context), range(3)))
    assert sum(told) + print_forecasts.tell_due(houses.context) == 1
    folder = houses.application.settings.printers
    assert folder is not None
    (file,) = (folder / "out-alpha").iterdir()
    assert file.name.startswith("PRT_0100_ALPHA001_0000000000_261130100000_8FC")
    said = json.loads(file.read_bytes())
    assert (said["kind"], said["letters"], said["cut_off"]) == ("forecast", 3, "2026-11-30T10:00:00Z")
    assert [(part["duplex"], part["letters"]) for part in said["parts"]] == [(False, 1), (True, 2)]
    (first, *_) = print_forecasts.outlook(houses.context)
    assert (first.printer, first.waiting.letters, first.left_letters, first.held) == ("alpha", 3, 3, 0)


def test_a_held_product_waits_at_its_cut_off_and_goes_with_the_next(houses: Pipeline, database: TestDatabase) -> None:
    sender = houses.organisation()
    delivery = letter(houses, sender)
    houses.work()
    print_runs.close_due(houses.context)
    print_holds.hold_product(houses.context, "alpha", "letter", reason="No paper", actor="cli")
    go_to(houses, CUT_OFF + timedelta(seconds=5))
    assert print_runs.close_due(houses.context) == 0
    assert execute(database, "SELECT count(*) FROM print_deposit") == [(0,)]
    print_holds.release_product(houses.context, "alpha", "letter", actor="cli")
    assert print_runs.close_due(houses.context) == 0
    go_to(houses, CUT_OFF + timedelta(hours=6, minutes=31))
    assert print_runs.close_due(houses.context) == 1
    execute(database, "UPDATE job SET due_at = now()")
    houses.work()
    assert status(houses, sender, delivery) == "handed_over"
    acts = execute(database, "SELECT act FROM audit_entry WHERE starts_with(act, 'print_') ORDER BY id")
    assert acts == [("print_product.hold",), ("print_product.release",)]


def test_letters_of_a_print_house_that_was_taken_out_are_planned_anew(houses: Pipeline, database: TestDatabase) -> None:
    sender = houses.organisation()
    letter(houses, sender)
    houses.work()
    execute(database, "UPDATE print_letter SET product = replace(product, 'alpha', 'gone')")
    print_runs.close_due(houses.context)
    go_to(houses, CUT_OFF + timedelta(seconds=5))
    assert print_runs.close_due(houses.context) == 1
    assert execute(database, "SELECT provider FROM print_batch") == [("alpha",)]


def test_a_batch_holds_several_files_in_the_order_of_the_run_encrypted_to_its_print_house(
    houses: Pipeline, database: TestDatabase
) -> None:
    identity = x25519.Identity.generate()
    alpha = houses.context.printers.named("alpha")
    small = structs.replace(alpha.profile, limits=structs.replace(alpha.profile.limits, batch_letters=2))
    changed = replace(
        alpha,
        profile=small,
        recipients=(str(identity.to_public()),),
        products={"letter": replace(alpha.products["letter"], daily_letters=None, second=None)},
    )
    change(houses, printers=Printers([changed]))
    sender = houses.organisation()
    postcodes = ("9000", "1000", "4000", "2000", "3000", "8000", "5000")
    given = {letter(houses, sender, postcode): postcode for postcode in postcodes}
    houses.work()
    assert houses.close_batches() == 2
    houses.work()
    folder = houses.application.settings.printers
    assert folder is not None
    files = sorted((folder / "out-alpha").iterdir())
    assert [file.name.endswith("_0RQ.ZIP.age") for file in files] == [True, True]
    frozen = execute(database, "SELECT sha256 FROM print_batch ORDER BY number")
    assert [hashlib.sha256(file.read_bytes()).digest() for file in files] == [bytes(row[0]) for row in frozen]
    first, second = [read_manifest(BytesIO(open_with(str(identity), file.read_bytes()))) for file in files]
    assert [(file.name, file.letters) for file in first.files] == [
        ("letters-1.pdf", 2),
        ("letters-2.pdf", 2),
        ("letters-3.pdf", 2),
    ]
    assert [file.name for file in second.files] == ["letters.pdf"]
    entries = [*first.letters, *second.letters]
    table = alpha.presort
    assert [given[entry.id.removesuffix("-1")] for entry in entries] == sorted(
        postcodes, key=lambda postcode: (table.code(postcode), postcode)
    )
    assert [entry.sequence for entry in entries] == list(range(1, 8))
    assert [entry.file for entry in entries] == [f"letters-{number}.pdf" for number in (1, 1, 2, 2, 3, 3)] + [
        "letters.pdf"
    ]
