"""Letters of one sender to one addressee in one envelope: made, handed over, posted and returned together."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import psycopg
import pytest
from click.testing import CliRunner
from pypdf import PdfReader

from printing.codes import SheetCode
from printing.exchange import PostalEvent, PullAnswer, PulledLetter, encode
from service.cli.main import zending
from service.db.ids import DELIVERY, parse_id
from service.usecases import (
    deliveries,
    paper,
    post_envelopes,
    post_pulls,
    post_returned,
    print_forecasts,
    print_holds,
    print_runs,
    reconciliation,
    reprints,
)
from service.usecases.post_returned import Returned
from service.usecases.print_runs import cut_all
from tests.embedded_support import until
from tests.engine_support import execute
from tests.envelope_support import OTHER, entries, of_set, packages, print_all, sharing_senders, to
from tests.pipeline_support import Pipeline, TestDatabase
from tests.post_support import exceptions, report, said, scans_file, take
from tests.usecase_support import Sender, status


@pytest.fixture
def sharing(organisation: Sender, database: TestDatabase) -> Sender:
    return sharing_senders(organisation, database)


def test_two_letters_of_one_sender_to_one_addressee_are_one_envelope(
    pipeline: Pipeline, sharing: Sender, organisation: Sender, database: TestDatabase
) -> None:
    sender, third, silent = sharing(), sharing(), organisation()
    first, second = (to(pipeline, sender) for _ in range(2))
    own = [
        to(pipeline, sender, OTHER),
        to(pipeline, sender, print={"share_envelope": False}),
        to(pipeline, sender, print={"undeliverable": "destroy"}),
        to(pipeline, sender, registered=True),
        to(pipeline, third),
        to(pipeline, silent),
        to(pipeline, silent),
    ]
    wished = [to(pipeline, silent, print={"share_envelope": True}) for _ in range(2)]
    print_all(pipeline)
    found = entries(pipeline)
    head, behind = (found[f"{each}/1"] for each in (first, second))
    assert (head.set, head.sequence) == (behind.set, behind.sequence)
    assert [(each.place, each.first_sheet, each.set_sheets) for each in (head, behind)] == [
        (1, 1, head.sheets + behind.sheets),
        (2, head.sheets + 1, head.sheets + behind.sheets),
    ]
    assert len({found[f"{each}/1"].set for each in wished}) == 1
    sets = {found[f"{each}/1"].set for each in (*own, wished[0], first)}
    assert len(sets) == len(own) + 2, "nobody else shares an envelope"
    assert all(found[f"{each}/1"].set_sheets is None for each in own)
    # The whole is weighed and franked once.
    profile = pipeline.context.printers.first.profile
    together = head.sheets + behind.sheets
    kind = profile.envelope_for(together)
    assert kind is not None
    assert head.envelope == behind.envelope == kind.name
    assert head.grams + behind.grams == profile.grams(together)
    cents = profile.postage("letter", profile.grams(together)) or 0
    assert (head.postage_cents or 0) + (behind.postage_cents or 0) == cents > 0
    # Each is printed as it was composed, one behind the other.
    ((pdf, manifest),) = [
        (files[head.file], manifest) for manifest, files in packages(pipeline) if head in manifest.letters
    ]
    assert manifest.schema == 3
    assert behind.first_page == head.first_page + head.pages
    pages = PdfReader(BytesIO(pdf)).pages
    assert all("Jan Claes" in pages[each.first_page - 1].extract_text() for each in (head, behind))
    assert execute(database, "SELECT count(*) FROM print_letter WHERE share_key IS NOT NULL") == [(0,)]
    # One event posts both, and told again it is a repeat.
    assert head.set is not None
    posted = of_set(head.set, PostalEvent.POSTED, pipeline, sheets=together, postage_cents=cents)
    assert report(pipeline, posted).effects == {"taken": 2}
    assert [status(pipeline, sender, each) for each in (first, second)] == ["posted"] * 2
    assert report(pipeline, posted, posted).effects == {"repeated": 4}
    shown = paper.of(pipeline.context, sender, second)[0]
    told_sender = (shown.sheets, shown.postage_cents, [each.delivery for each in shown.envelope])
    assert told_sender == (behind.sheets, behind.postage_cents, [first, second])
    assert exceptions(database) == []
    balances = [each for each in reconciliation.newest(pipeline.context, limit=50) if each.number == manifest.batch]
    assert [(each.posted, each.sheets_posted, each.postage_cents) for each in balances] == [(2, together, cents)]
    told = [(each.set, each.letters, each.sheets) for each in post_envelopes.of_batch(pipeline.context, manifest.batch)]
    assert (head.set, [head.id, behind.id], together) in told
    assert balances[0].envelopes == balances[0].letters - 1 - (found[f"{wished[0]}/1"] in manifest.letters)
    # One picture of the envelope that came back returns both.
    content = b"%PDF-1.4 what came back"
    code = SheetCode(head.set, 1, together, head.sequence, duplex=head.duplex, colour=head.colour)
    picture = {
        "file": "a.pdf", "sha256": hashlib.sha256(content).hexdigest(), "what": "returned_letter",
        "at": pipeline.now.isoformat(), "sheet_code": code.payload, "cause": "M01",
    }  # fmt: skip
    index = {"kind": "scans", "schema": 1, "at": pipeline.now.isoformat(), "scans": [picture]}
    assert take(pipeline, scans_file(index, {"a.pdf": content})).effects == {"taken": 2}
    assert [status(pipeline, sender, each) for each in (first, second)] == ["returned"] * 2
    assert [len(paper.of(pipeline.context, sender, each)[0].scans) for each in (first, second)] == [1, 1]
    assert [
        each.effect for each in post_returned.take(pipeline.context, [Returned(code.payload, "M01")], actor="cli")
    ] == ["repeated"]
    assert {status(pipeline, third, own[4]), status(pipeline, silent, own[5])} == {"handed_over"}


def test_a_letter_that_leaves_before_the_hand_over_leaves_the_others_together(
    pipeline: Pipeline, sharing: Sender, database: TestDatabase
) -> None:
    sender = sharing()
    held, first, second, third = (to(pipeline, sender) for _ in range(4))
    pipeline.work()
    print_holds.hold_letters(pipeline.context, [f"{held}-1"], reason="looked at", actor="tester")
    pipeline.close_batches()
    assert len(set(execute(database, "SELECT envelope_set FROM print_letter WHERE batch_id IS NOT NULL"))) == 1
    # Cancelled in its batch: what is left is numbered by its first letter, counted and franked anew.
    deliveries.cancel(pipeline.context, sender, first)
    pipeline.work()
    found = entries(pipeline)
    two = [found[f"{each}/1"] for each in (second, third)]
    sheets = sum(each.sheets for each in two)
    assert [(each.place, each.set_sheets) for each in two] == [(1, sheets), (2, sheets)]
    number = execute(
        database, f"SELECT set_number FROM print_letter WHERE delivery_id = '{parse_id(DELIVERY, second)}'"
    )
    assert {each.set for each in two} == {f"{number[0][0]:012d}"}
    assert report(pipeline, of_set(two[0].set or "", PostalEvent.POSTED, pipeline)).effects == {"taken": 2}
    # The one that was held goes later, by itself; and one of two that is cancelled leaves an ordinary letter.
    print_holds.release_letters(pipeline.context, [f"{held}-1"], actor="tester")
    late = to(pipeline, sender)
    pipeline.work()
    pipeline.close_batches()
    deliveries.cancel(pipeline.context, sender, held)
    pipeline.work()
    last = entries(pipeline)[f"{late}/1"]
    assert (last.set_sheets, last.place, last.first_sheet) == (None, 1, 1)
    assert last.grams == pipeline.context.printers.first.profile.grams(last.sheets)


def test_letters_of_one_envelope_that_leave_at_the_same_moment_leave_an_ordinary_letter(
    pipeline: Pipeline, sharing: Sender, database: TestDatabase
) -> None:
    sender = sharing()
    first, second, third = (to(pipeline, sender) for _ in range(3))
    pipeline.work()
    pipeline.close_batches()
    of_ours = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    waiting = f"SELECT DISTINCT pid FROM pg_locks WHERE NOT granted AND pid IN ({of_ours})"
    with ThreadPoolExecutor(2) as pool:
        with psycopg.connect(database.owner_url.replace("+psycopg", "", 1)) as holding:
            holding.execute("SELECT FROM print_batch FOR UPDATE")
            # Both have read their letters when they wait for the batch: the second one's has another number by then.
            gone = [pool.submit(deliveries.cancel, pipeline.context, sender, each) for each in (first, second)]
            until(lambda: len(execute(database, waiting)) == 2)
        assert [each.result(timeout=60).status for each in gone] == ["cancelled", "cancelled"]
    assert execute(database, "SELECT envelope_set FROM print_letter") == [(None,)]
    pipeline.work()
    last = entries(pipeline)[f"{third}/1"]
    assert (last.set_sheets, last.place, last.first_sheet) == (None, 1, 1)


def test_a_letter_that_is_held_or_gone_while_its_run_is_open_does_not_take_the_others_along(
    pipeline: Pipeline, sharing: Sender, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = sharing()
    given = [to(pipeline, sender) for _ in range(4)]
    alone = to(pipeline, sender, OTHER)
    pipeline.work()
    # What is told ahead is what would come: letters, envelopes and sheets, by the kind of the envelope.
    (told,) = [each.waiting for each in print_forecasts.outlook(pipeline.context) if each.product == "letter"]
    ((sheets,),) = execute(database, "SELECT DISTINCT sheets FROM print_letter")
    profile = pipeline.context.printers.first.profile
    kinds = [profile.envelope_for(count * sheets) for count in (1, 4)]
    assert {(part.envelope, part.letters, part.envelopes, part.sheets) for part in told.parts} == {
        (kind.name, count, 1, count * sheets) for kind, count in zip(kinds, (1, 4), strict=True) if kind
    }
    assert (told.letters, told.envelopes, told.sheets) == (5, 2, 5 * sheets)
    with monkeypatch.context() as stopped:
        stopped.setattr(print_runs, "cut_all", lambda _: 0)
        pipeline.close_batches()
    print_holds.hold_letters(pipeline.context, [f"{given[0]}-1"], reason="looked at", actor="tester")
    deliveries.cancel(pipeline.context, sender, given[2])
    cut_all(pipeline.context)
    pipeline.work()
    assert entries(pipeline)[f"{alone}/1"].set_sheets is None
    left = [entries(pipeline)[f"{given[number]}/1"] for number in (1, 3)]
    assert [each.place for each in left] == [1, 2]
    assert execute(
        database,
        f"SELECT envelope_set, envelope_product FROM print_letter WHERE delivery_id = '{parse_id(DELIVERY, given[0])}'",
    ) == [(None, None)]


def test_what_is_said_of_an_envelope_is_not_said_of_a_letter_that_was_taken_out_of_it(
    pipeline: Pipeline, sharing: Sender, database: TestDatabase
) -> None:
    sender = sharing()
    first, second, third = (to(pipeline, sender) for _ in range(3))
    print_all(pipeline)
    found = entries(pipeline)
    number = found[f"{first}/1"].set or ""
    left = found[f"{first}/1"].sheets + found[f"{third}/1"].sheets
    assert post_pulls.order(pipeline.context, [f"{second}-1"], reason="wrong", actor="tester") == 1
    (batch,) = {manifest.batch for manifest, _ in packages(pipeline)}
    pulled = PulledLetter(id=f"{second}-1", attempt=1, pulled=True)
    answer = PullAnswer(batch=batch, number=1, at=pipeline.now, letters=(pulled,))
    posted = of_set(number, PostalEvent.POSTED, pipeline, sheets=left, postage_cents=101)
    early = of_set(number, PostalEvent.PRINTED, pipeline)
    # However they come: what was printed with the others was taken out later.
    report(pipeline, early)
    take(pipeline, encode(answer), name="answer.json")
    assert report(pipeline, posted).effects == {"taken": 2}
    assert [status(pipeline, sender, each) for each in (first, second, third)] == ["posted", "undeliverable", "posted"]
    # Its sender sees who lies in the envelope, and none beside the one that was taken out.
    shown = [paper.of(pipeline.context, sender, each)[0].envelope for each in (first, second, third)]
    assert [[one.delivery for one in each] for each in shown] == [[first, third], [], [first, third]]
    (balance, *_) = reconciliation.newest(pipeline.context, limit=1)
    assert (balance.posted, balance.pulled, balance.missing, balance.sheets_posted) == (2, 1, 0, left)
    assert balance.postage_cents == 101
    assert "sheets_differ" not in balance.off
    # A sheet too many is seen, and counted once.
    more = of_set(number, PostalEvent.POSTED, pipeline, sheets=left + 1, at=pipeline.now, event_id="again")
    report(pipeline, more)
    assert exceptions(database) == ["SHEETS_DIFFER"]
    # An envelope that never was, and one named beside a letter.
    report(pipeline, of_set("999999999999", PostalEvent.POSTED, pipeline, event_id="nobody"))
    assert exceptions(database)[-1] == "SET_UNKNOWN"


def test_one_that_is_printed_again_has_an_envelope_of_its_own(pipeline: Pipeline, sharing: Sender) -> None:
    sender = sharing()
    first, second = (to(pipeline, sender) for _ in range(2))
    print_all(pipeline)
    together = entries(pipeline)[f"{first}/1"].set
    assert reprints.order(pipeline.context, [f"{second}-1"], reason="damaged", actor="tester") == 1
    waiting = to(pipeline, sender)
    print_all(pipeline)
    found = entries(pipeline)
    again, other = found[f"{second}/2"], found[f"{waiting}/1"]
    assert (again.set_sheets, other.set_sheets) == (None, None)
    assert len({again.set, other.set, together}) == 3
    assert again.grams == pipeline.context.printers.first.profile.grams(again.sheets)
    # The first printing's events move the one that stayed; of the other the newest printing counts.
    report(pipeline, said(second, PostalEvent.POSTED, pipeline.now, attempt=2))
    report(pipeline, of_set(together or "", PostalEvent.POSTED, pipeline))
    assert [status(pipeline, sender, each) for each in (first, second)] == ["posted"] * 2


def test_an_organisation_allows_it_by_command(pipeline: Pipeline, organisation: Sender, database: TestDatabase) -> None:
    sender = organisation()
    ((slug,),) = execute(database, f"SELECT slug FROM organisation WHERE id = '{sender}'")
    for what, code in (("on", 0), ("off", 0), ("on", 0), ("perhaps", 2)):
        command = ["organisations", "share-envelopes", slug, what]
        assert CliRunner().invoke(zending, command, env={"DATABASE_URL": database.app_url}).exit_code == code
    assert execute(database, f"SELECT share_envelopes FROM organisation WHERE id = '{sender}'") == [(True,)]
    first = to(pipeline, sender)
    kept = execute(
        database,
        f"SELECT print_options->>'share_envelope' FROM delivery WHERE id = '{parse_id(DELIVERY, first)}'",
    )
    assert kept == [("true",)]
