"""Works that have documents looked at: in step with one another, each for itself, and one organisation at a time."""

import dataclasses
import uuid
from collections.abc import Sequence
from typing import Any, cast

import pytest

from printing.asked import Asked, Look
from printing.checks import Findings
from printing.profiles import load
from service.db.jobs import JobKind, Lane, Leased
from service.domain.errors import Retryable
from service.engine.steps import Outcome
from service.usecases.context import Context
from service.usecases.looking import Looking, look, together

ASKED = Asked("document", load(), duplex=True)
BUSY = Retryable("Too many at the moment.")
ONE, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)


@dataclasses.dataclass
class Letters:
    """Finds as many pages as a document has bytes, and of an empty one nothing just now."""

    groups: list[list[bytes]] = dataclasses.field(default_factory=list)

    def check(self, looks: Sequence[Look]) -> list[Findings | Retryable]:
        self.groups.append([pdf for _, pdf in looks])
        return [Findings(pages=len(pdf)) if pdf else BUSY for _, pdf in looks]


@dataclasses.dataclass(frozen=True)
class Work:
    organisation: uuid.UUID
    documents: tuple[bytes, ...]


def job(number: int) -> Leased:
    values = {"id": uuid.UUID(int=number), "kind": JobKind.LETTER, "lane": Lane.BULK}
    return Leased(**{name: values.get(name, 0) for name in Leased.__dataclass_fields__})  # type: ignore[arg-type]


def counted(work: Work) -> Looking[int]:
    pages = 0
    for pdf in work.documents:
        if pdf == b"unprintable":
            raise ValueError
        pages += (yield ASKED, pdf).pages
    return pages


def done(letters: Letters, *works: Work) -> list[Outcome[Work, int]]:
    context = cast("Context", type("Given", (), {"letters": letters}))
    leased = [(job(number), work) for number, work in enumerate(works)]
    found = together(context, leased, counted, lambda work: work.organisation)
    assert [(each.job, each.work) for each in found] == leased
    return found


def test_works_go_on_in_step_and_each_gets_what_was_found_of_its_own() -> None:
    letters = Letters()
    found = done(letters, Work(ONE, (b"a", b"bb")), Work(ONE, ()), Work(ONE, (b"ccc",)), Work(ONE, (b"d", b"e", b"f")))
    assert [each.result for each in found] == [3, 0, 3, 3]
    assert letters.groups == [[b"a", b"ccc", b"d"], [b"bb", b"e"], [b"f"]]


def test_letters_of_several_organisations_never_share_a_reader() -> None:
    letters = Letters()
    found = done(letters, Work(ONE, (b"a", b"b")), Work(OTHER, (b"ccc",)), Work(ONE, (b"d",)))
    assert [each.result for each in found] == [2, 3, 1]
    assert letters.groups == [[b"a", b"d"], [b"ccc"], [b"b"]]


def test_an_error_stops_the_work_it_belongs_to_and_no_other() -> None:
    found = done(
        Letters(),
        Work(ONE, (b"a", b"unprintable")),
        Work(ONE, (b"",)),
        Work(ONE, (b"a", b"b")),
        Work(ONE, (b"unprintable",)),
    )
    assert [type(each.error) for each in found] == [ValueError, Retryable, type(None), ValueError]
    assert [each.result for each in found] == [None, None, 2, None]


def test_nothing_is_done_for_no_works() -> None:
    letters = Letters()
    assert done(letters) == []
    assert letters.groups == []


def test_one_look_alone_is_answered_or_tried_again_later() -> None:
    context: Any = type("Given", (), {"letters": Letters()})
    assert look(context, ASKED, b"abc").pages == 3
    with pytest.raises(Retryable):
        look(context, ASKED, b"")
