"""What waits for a print house that is down goes to another that offers the product, when an operator says so."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.domain.errors import Conflict, Invalid, NotFound
from service.embedded.stack import Stack
from service.usecases import print_holds, print_moves
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase, wired
from tests.usecase_support import status

HOUSE = """
name = "{name}"
sender = "ZENDING1"
[way]
kind = "directory"
folder = "{name}"
[[products]]
name = "letter"
cut_offs = ["17:30"]
{more}
"""
REGISTERED = '[[products]]\nname = "registered_letter"\ncut_offs = ["17:30"]'


@pytest.fixture
def houses(stack: Stack, database: TestDatabase, tmp_path: Path) -> Iterator[Pipeline]:
    """The first print house has a second, which takes two letters a day."""
    (tmp_path / "wired").mkdir()
    folder = tmp_path / "printers"
    for name, more in (("alpha", f'second = "beta"\n{REGISTERED}'), ("beta", "daily_letters = 2")):
        (folder / name).mkdir(parents=True)
        (folder / f"{name}.toml").write_text(HOUSE.format(name=name, more=more))
    with wired(stack, database, tmp_path / "wired", printers=folder) as application:
        yield Pipeline(application, stack.home / "pki")


def test_what_waits_goes_to_the_other_as_far_as_that_has_room(houses: Pipeline, database: TestDatabase) -> None:
    sender = houses.organisation()
    ids = [houses.hand_in(sender, "jan").delivery_id for _ in range(4)]
    houses.work()
    context = houses.context
    print_holds.hold_letters(context, [f"{ids[0]}-1"], reason="x", actor="cli")
    print_holds.hold_product(context, "alpha", "letter", reason="It burnt down", actor="cli")
    assert print_moves.move(context, "alpha", "beta", product="letter", actor="staff:x") == 2
    assert print_moves.move(context, "alpha", "beta", actor="staff:x") == 0
    houses.work()
    assert execute(database, "SELECT provider, letters, state FROM print_batch") == [("beta", 2, "handed_over")]
    # The oldest went; one is held, and one has no room.
    assert [status(houses, sender, each) == "handed_over" for each in ids] == [False, True, True, False]
    told = execute(database, "SELECT actor, subject, details FROM audit_entry WHERE act = 'print.move'")
    assert told == [("staff:x", "alpha:beta", {"letters": 2, "product": "letter"})]


def test_what_can_not_be_moved_is_refused(houses: Pipeline) -> None:
    context = houses.context
    with pytest.raises(NotFound):
        print_moves.move(context, "alpha", "gamma", actor="x")
    with pytest.raises(Invalid):
        print_moves.move(context, "alpha", "alpha", actor="x")
    with pytest.raises(Conflict) as refused:
        print_moves.move(context, "alpha", "beta", product="registered_letter", actor="x")
    assert refused.value.code == "product_not_offered"
    print_holds.hold_product(context, "beta", "letter", reason="x", actor="cli")
    with pytest.raises(Conflict) as held:
        print_moves.move(context, "alpha", "beta", actor="x")
    assert held.value.code == "product_held"
