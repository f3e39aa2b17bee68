"""What is known of shared envelopes: while letters come and go, and when rows of their letters are gone."""

import hashlib
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, text

from printing.codes import SheetCode
from printing.exchange import PostalEvent
from service.db import printing
from service.db.ids import DELIVERY, parse_id
from service.db.session import widen
from service.domain.errors import Conflict
from service.usecases import (
    post_envelopes,
    post_returned,
    print_forecasts,
    print_holds,
    reprints,
    retention,
)
from service.usecases.post_returned import Returned
from service.usecases.retention import Periods
from tests.engine_support import execute
from tests.envelope_support import HOME, OTHER, entries, of_set, print_all, sharing_senders, to
from tests.pipeline_support import Pipeline, TestDatabase
from tests.post_support import exceptions, report, said, scans_file, take
from tests.usecase_support import Sender, status


@pytest.fixture
def sharing(organisation: Sender, database: TestDatabase) -> Sender:
    return sharing_senders(organisation, database)


@pytest.mark.parametrize("they", ["come", "leave"])
def test_what_changes_while_it_is_counted_makes_no_forecast_fail_or_count_below_nothing(
    pipeline: Pipeline, sharing: Sender, monkeypatch: pytest.MonkeyPatch, they: str
) -> None:
    sender = sharing()
    names = [f"{to(pipeline, sender)}-1" for _ in range(2)]
    pipeline.work()

    def hold() -> None:
        print_holds.hold_letters(pipeline.context, names, reason="looked at", actor="tester")

    def release() -> None:
        print_holds.release_letters(pipeline.context, names, actor="tester")

    change = [hold if they == "leave" else release]
    if they == "come":
        hold()

    def after(query: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*given: Any, **more: Any) -> Any:
            found = query(*given, **more)
            # Between the first question and the second, by somebody else.
            while change:
                change.pop()()
            return found

        return asked

    for name in ("counted", "with_kin"):
        monkeypatch.setattr(print_forecasts.rows, name, after(getattr(print_forecasts.rows, name)))
    (told,) = [each.waiting for each in print_forecasts.outlook(pipeline.context) if each.product == "letter"]
    assert (told.letters, [(part.letters, part.envelopes) for part in told.parts]) in [
        (2, [(2, 1)]),
        (2, [(2, 2)]),
        (0, []),
    ]
    assert change == []


def test_an_envelope_is_known_for_as_long_as_one_of_its_letters_is_kept(
    pipeline: Pipeline, sharing: Sender, database: TestDatabase
) -> None:
    sender = sharing()
    first = to(pipeline, sender, document_type="permit")
    second = to(pipeline, sender)
    print_all(pipeline)
    found = entries(pipeline)
    number, sheets = found[f"{first}/1"].set or "", found[f"{first}/1"].sheets + found[f"{second}/1"].sheets
    with pipeline.context.database.transaction() as session:
        periods = {"print_days": 20, "content_days": None}
        retention.set_periods(session, sender, document_type="permit", now=pipeline.now, **periods)

    def days(count: int) -> None:
        pipeline.skew += timedelta(days=count)
        while retention.run(pipeline.context, Periods(window=timedelta(days=7))):
            pass

    try:
        days(30)
        # Of the copy nothing is left, and nobody prints it again; its row says no more than that it lies there.
        own = f"WHERE delivery_id = '{parse_id(DELIVERY, first)}'"
        assert execute(database, "SELECT count(*) FROM vault_removal WHERE strpos(path, 'print-') > 0") == [(1,)]
        assert execute(database, f"SELECT path, postcode FROM print_letter {own}") == [("", "")]
        with pytest.raises(Conflict) as refused:
            reprints.order(pipeline.context, [f"{first}-1"], reason="damaged", actor="tester")
        assert refused.value.code == "reprint_refused"
        report(pipeline, of_set(number, PostalEvent.POSTED, pipeline, sheets=sheets, postage_cents=200))
        assert [status(pipeline, sender, each) for each in (first, second)] == ["posted"] * 2
        assert exceptions(database) == []
        # An attempt of which no row is left is believed, as it was before.
        report(pipeline, said(first, PostalEvent.DELIVERED, pipeline.now, attempt=2))
        assert exceptions(database) == []
        days(80)
        assert execute(database, "SELECT count(*) FROM print_letter") == [(0,)]
    finally:
        pipeline.skew = timedelta()


def test_letters_of_an_envelope_that_end_at_the_same_time_leave_nothing(
    pipeline: Pipeline, sharing: Sender, database: TestDatabase
) -> None:
    sender = sharing()
    first, second = (parse_id(DELIVERY, to(pipeline, sender)) for _ in range(2))
    print_all(pipeline)

    def let_go(delivery: uuid.UUID) -> None:
        with pipeline.context.database.transaction(organisations=[sender]) as session:
            printing.forget(session, [delivery])

    with ThreadPoolExecutor() as other:
        with pipeline.context.database.transaction(organisations=[sender]) as session:
            printing.forget(session, [first])
            late = other.submit(let_go, second)
            with pytest.raises(TimeoutError):
                late.result(timeout=0.3)
        late.result(timeout=60)
    assert execute(database, "SELECT count(*) FROM print_letter") == [(0,)]


@pytest.mark.parametrize("gone", [0, 1])
def test_of_an_envelope_that_is_known_in_part_the_rest_is_believed_and_an_operator_told(
    pipeline: Pipeline, sharing: Sender, database: TestDatabase, gone: int
) -> None:
    sender = sharing()
    both = [to(pipeline, sender) for _ in range(2)]
    print_all(pipeline)
    head = entries(pipeline)[f"{both[0]}/1"]
    together = head.set_sheets or 0
    execute(database, f"DELETE FROM print_letter WHERE delivery_id = '{parse_id(DELIVERY, both[gone])}'")
    kept = both[1 - gone]
    report(pipeline, of_set(head.set or "", PostalEvent.POSTED, pipeline, sheets=together, event_id="one"))
    assert status(pipeline, sender, kept) == "posted"
    code = SheetCode(head.set or "", 1, together, head.sequence, duplex=head.duplex, colour=head.colour)
    content = b"%PDF-1.4 what came back"
    picture = {
        "file": "a.pdf", "sha256": hashlib.sha256(content).hexdigest(), "what": "returned_letter",
        "at": pipeline.now.isoformat(), "sheet_code": code.payload, "cause": "M01",
    }  # fmt: skip
    index = {"kind": "scans", "schema": 1, "at": pipeline.now.isoformat(), "scans": [picture]}
    assert take(pipeline, scans_file(index, {"a.pdf": content})).effects == {"odd": 1, "taken": 1}
    post_returned.take(pipeline.context, [Returned(code.payload, "M01")], actor="cli")
    assert status(pipeline, sender, kept) == "returned"
    # Which sheets are missing is seen by the first letter, or by the sheets that are told.
    first = "SET_PARTLY_KNOWN" if gone == 0 else "SHEETS_DIFFER"
    assert exceptions(database) == [first, "SET_PARTLY_KNOWN", "SET_PARTLY_KNOWN"]
    ((detail,),) = execute(
        database, "SELECT DISTINCT detail FROM print_exception WHERE starts_with(statement, 'scan:')"
    )
    assert f"{together - head.sheets if gone == 0 else head.sheets} of {together} sheets" in detail


def test_envelopes_are_found_together_however_many_are_told_of(
    pipeline: Pipeline, sharing: Sender, database: TestDatabase
) -> None:
    sender = sharing()
    for address in (HOME, HOME, OTHER, OTHER):
        to(pipeline, sender, address)
    print_all(pipeline)
    numbers = sorted({entry.set or "" for entry in entries(pipeline).values()})
    assert len(numbers) == 2
    asked: list[tuple[str, Any]] = []

    def count(_connection: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
        asked.append((statement, values))

    with pipeline.context.database.transaction() as session:
        widen(session, printing.every_organisation(session))
        connection = session.connection()
        event.listen(connection, "before_cursor_execute", count)
        for told in (numbers[:1], [*numbers, "999999999999"]):
            asked.clear()
            events = [of_set(number, PostalEvent.POSTED, pipeline) for number in told]
            statements, odd = post_envelopes.said(session, events)
            assert (len(statements), len(odd)) == (2 * len(numbers[: len(told)]), len(told) // 3)
            assert len(asked) == 2, "the letters, and what was told of them"
        event.remove(connection, "before_cursor_execute", count)
        session.execute(text("SET LOCAL enable_seqscan = off"))
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        condition = asked[0][0].split("WHERE")[1].split("ORDER BY")[0]
        for plan in ("force_custom_plan", "force_generic_plan"):
            driver.execute(f"SET LOCAL plan_cache_mode = {plan}".encode())
            query = f"EXPLAIN SELECT FROM print_letter WHERE {condition}".encode()
            told_plan = str(driver.execute(query, asked[0][1], prepare=True).fetchall())
            # Row-level security lets nothing be looked up that a function of it might tell of to somebody else.
            for column in ("envelope_set", "set_number"):
                assert f"Index Cond: ({column} = ANY" in told_plan, plan
