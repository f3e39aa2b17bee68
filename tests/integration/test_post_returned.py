"""Returned mail: once however often scanned, its sender asked, and sent again to another address."""

import hashlib
import uuid
from typing import Any

import pytest

from printing.codes import SheetCode
from printing.exchange import PostalEvent
from service.db.ids import DELIVERY, parse_id
from service.domain.addresses import PostalAddress
from service.domain.errors import Conflict, Invalid, NotFound
from service.usecases import paper, post_returned
from service.usecases.post_returned import Returned, read_list
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.post_support import handed_over, report, said, scans_file, take
from tests.usecase_support import Sender, deliver, events, status

NEW = PostalAddress(name="Jan Claes", street="Nieuwstraat", number="7", postcode="9000", municipality="Gent")


def test_a_letter_that_is_scanned_often_came_back_once(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    (delivery,) = handed_over(pipeline, sender)
    letter = f"{delivery}-1"
    effects = [
        post_returned.take(pipeline.context, [Returned(letter, cause)], actor="cli")[0].effect
        for cause in ("M04", "M04", "M01")
    ]
    assert effects == ["taken", "repeated", "repeated"]
    report(pipeline, said(delivery, PostalEvent.RETURNED, pipeline.now, cause="M04"))
    assert status(pipeline, sender, delivery) == "returned"
    assert events(pipeline, sender, delivery).count("ReceivedFromNonERDS") == 1
    assert execute(database, "SELECT cause, decision FROM print_return") == [("M04", "asked")]
    (shown,) = paper.of(pipeline.context, sender, delivery)
    assert shown.returned is not None
    assert (shown.returned.cause, shown.returned.meaning) == ("M04", "addressee moved")


def test_what_is_none_of_ours_is_said_to_be(pipeline: Pipeline, organisation: Sender) -> None:
    waiting = deliver(pipeline, organisation(), "jan")
    given = [Returned(f"dlv_{uuid.uuid4().hex}-1"), Returned("junk"), Returned(f"{waiting}-1"), Returned("")]
    assert [each.effect for each in post_returned.take(pipeline.context, given, actor="cli")] == ["odd"] * 4
    with pytest.raises(Invalid):
        post_returned.take(pipeline.context, [Returned("x", "M99")], actor="cli")


def test_the_sender_sends_it_again_to_another_address(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    (delivery,) = handed_over(pipeline, sender)
    row = parse_id(DELIVERY, delivery)
    with pytest.raises(Conflict):
        post_returned.send_again(pipeline.context, sender, row, NEW)
    post_returned.take(pipeline.context, [Returned(f"{delivery}-1", "M04")], actor="cli")
    with pytest.raises(NotFound):
        post_returned.send_again(pipeline.context, organisation(), row, NEW)
    with pytest.raises(Invalid) as refused:
        post_returned.send_again(
            pipeline.context, sender, row, PostalAddress(name="", street="", postcode="1", municipality="")
        )
    assert refused.value.errors
    assert post_returned.send_again(pipeline.context, sender, row, NEW) == 2
    with pytest.raises(Conflict):
        post_returned.send_again(pipeline.context, sender, row, NEW)
    pipeline.work()
    assert status(pipeline, sender, delivery) == "to_print"
    assert execute(database, "SELECT leg, postcode FROM print_letter ORDER BY leg") == [(1, "8500"), (2, "9000")]
    pipeline.close_batches()
    pipeline.work()
    report(pipeline, said(delivery, PostalEvent.DELIVERED, pipeline.now, leg=2))
    assert [(each.leg, each.state) for each in paper.of(pipeline.context, sender, delivery)] == [
        (1, "returned"),
        (2, "delivered"),
    ]
    first, second = paper.of(pipeline.context, sender, delivery)
    assert first.returned is not None
    assert (first.returned.decision, first.returned.next_leg, second.returned) == ("sent_again", 2, None)


def test_a_sender_may_leave_it_at_that_or_have_said_so_before(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    asked, silent = organisation(), organisation()
    execute(database, f"UPDATE organisation SET returned_mail = 'end' WHERE id = '{silent}'")
    decisions: dict[Any, str] = {}
    for sender in (asked, silent):
        (delivery,) = handed_over(pipeline, sender)
        post_returned.take(pipeline.context, [Returned(f"{delivery}-1")], actor="cli")
        for _ in range(2):
            if sender == asked:
                post_returned.end(pipeline.context, sender, parse_id(DELIVERY, delivery))
        (letter,) = paper.of(pipeline.context, sender, delivery)
        assert letter.returned is not None
        decisions[sender] = letter.returned.decision
    assert decisions == {asked: "ended", silent: "ended"}
    assert execute(database, "SELECT decided_by FROM print_return ORDER BY 1") == [("sender",), ("service",)]


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("letter;cause;day\ndlv_1-1;m04;2026-11-01\n\nVL1|1|2;;\n", [("dlv_1-1", "M04"), ("VL1|1|2", None)]),
        (f"dlv_{'0' * 32}-1\n", [(f"dlv_{'0' * 32}-1", None)]),
        ("letter,cause\nx,M01\n", [("x", "M01")]),
    ],
)
def test_a_list_is_read(text: str, letters: list[tuple[str, str | None]]) -> None:
    assert [(each.letter, each.cause) for each in read_list(text)] == letters


@pytest.mark.parametrize("text", ["a\nb;M99\n", "a\nb,M01,31.12.2026\n", "a\nb,M01,2026-01-01,more\n", "a\n" * 6000])
def test_a_list_that_is_none_is_refused_whole(text: str) -> None:
    with pytest.raises(Invalid):
        read_list(text)


def sheet(database: TestDatabase, delivery: str, number: int = 1) -> str:
    """What the code on a sheet of a letter says."""
    ((found, sequence),) = execute(
        database,
        f"SELECT set_number, coalesce(run_sequence, sequence) FROM print_letter"
        f" WHERE delivery_id = '{parse_id(DELIVERY, delivery)}'",
    )
    return SheetCode(f"{found:012}", number, 9, sequence, duplex=True, colour=False).payload


def test_a_letter_is_found_by_the_code_on_each_of_its_sheets(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    first, second = handed_over(pipeline, sender, 2)
    given = [Returned(sheet(database, first, number), "M07") for number in (1, 2)]
    given.append(Returned(SheetCode("999999999999", 1, 1, 1, duplex=False, colour=False).payload))
    assert [each.effect for each in post_returned.take(pipeline.context, given, actor="cli")] == [
        "taken",
        "repeated",
        "odd",
    ]
    assert [status(pipeline, sender, each) for each in (first, second)] == ["returned", "handed_over"]
    content = b"%PDF-1.4 what came back"
    picture = {
        "file": "a.pdf",
        "sha256": hashlib.sha256(content).hexdigest(),
        "what": "returned_letter",
        "at": pipeline.now.isoformat(),
        "sheet_code": sheet(database, second),
        "cause": "M01",
    }
    index = {"kind": "scans", "schema": 1, "at": pipeline.now.isoformat(), "scans": [picture]}
    assert take(pipeline, scans_file(index, {"a.pdf": content})).effects == {"taken": 1}
    assert status(pipeline, sender, second) == "returned"
