"""What operators look at before they act, and what they do once only."""

import uuid

import pytest

from printing.exchange import Acknowledgement, encode
from service.domain.errors import (
    Conflict,
    IdempotencyMismatch,
    IdempotencyMissing,
    Invalid,
    NotFound,
)
from service.usecases import (
    claims,
    paper_choices,
    post_pulls,
    post_returned,
    print_desk,
    print_holds,
    print_runs,
    print_views,
    proofs,
    reconciliation,
    reprints,
)
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.post_support import events_file, printer, said
from tests.usecase_support import Sender

ADDRESS = {"name": "Jan Claes", "street": "Dorp", "number": "1", "postcode": "9000", "municipality": "Ergens"}


def letters(pipeline: Pipeline, organisation: Sender, count: int) -> list[str]:
    """Names of letters that wait."""
    sender = organisation()
    ids = [pipeline.hand_in(sender, "jan", postal_address=ADDRESS).delivery_id for _ in range(count)]
    pipeline.work()
    return [f"{each}-1" for each in ids]


def test_an_operator_sees_where_a_letter_is_and_what_holds_it_up(pipeline: Pipeline, organisation: Sender) -> None:
    context = pipeline.context
    held, goes = letters(pipeline, organisation, 2)
    print_holds.hold_letters(context, [held], reason="Its sender asked", actor="cli")
    (coming, other) = print_views.coming(context)
    assert (coming.product, coming.letters, coming.held, other.letters) == ("letter", 1, 1, 0)
    assert coming.sheets == sum(part.sheets for part in coming.parts)
    print_holds.hold_product(context, coming.printer, "letter", reason="The paper jams", actor="cli")
    assert pipeline.close_batches() == 0
    print_holds.release_product(context, coming.printer, "letter", actor="cli")
    assert pipeline.close_batches() == 1
    (batch,) = reconciliation.newest(context, limit=5)
    print_holds.hold_batch(context, batch.number, reason="Look at it first", actor="staff:x")
    holds = print_views.holds(context, limit=1)
    assert [(each.batch, each.held.by, each.held.reason) for each in holds.batches] == [
        (batch.number, "staff:x", "Look at it first")
    ]
    assert [(each.letter, each.held.reason) for each in holds.letters] == [(held, "Its sender asked")]
    assert (holds.letters_held, holds.products) == (1, [])
    assert reconciliation.newest(context, limit=5)[0].held == holds.batches[0].held
    waits, frozen = print_views.look(context, [held, goes])
    assert (waits.state, waits.batch, waits.held is not None) == ("to_print", None, True)
    assert (frozen.state, frozen.batch, frozen.handed_over_at) == ("batched", batch.number, None)
    print_holds.release_batch(context, batch.number, actor="cli")
    pipeline.work()
    assert print_views.holds(context, limit=5).batches == []
    reprints.order(context, [goes], reason="misprinted", actor="cli")
    again = print_views.look(context, [goes])[0]
    assert (again.state, again.attempt, again.batch, again.reprint) == ("handed_over", 2, None, "misprinted")


def test_what_is_asked_to_be_taken_out_is_seen_at_its_letter(pipeline: Pipeline, organisation: Sender) -> None:
    (name,) = letters(pipeline, organisation, 1)
    pipeline.close_batches()
    pipeline.work()
    assert print_views.look(pipeline.context, [name])[0].pull is None
    post_pulls.order(pipeline.context, [name], reason="cancelled", actor="cli")
    assert print_views.look(pipeline.context, [name])[0].pull == "ordered"


def test_a_letter_that_can_not_be_meant_is_named(pipeline: Pipeline, organisation: Sender) -> None:
    context = pipeline.context
    (waits,) = letters(pipeline, organisation, 1)
    none, leg, waiting = f"dlv_{uuid.uuid4().hex}-1", f"{waits[:-1]}7", "not_with_the_print_house"
    acts = {
        "hold": lambda name: print_holds.hold_letters(context, [name], reason="x", actor="cli"),
        "release": lambda name: print_holds.release_letters(context, [name], actor="cli"),
        "reprint": lambda name: reprints.order(context, [name], reason="lost", actor="cli"),
        "pull": lambda name: post_pulls.order(context, [name], reason="x", actor="cli"),
        "give up": lambda name: post_returned.give_up(context, [name], actor="cli"),
        "look": lambda name: print_views.look(context, [name]),
    }
    for act, do in acts.items():
        for name in (none, leg):
            with pytest.raises(Invalid) as refused:
                do(name)
            assert (refused.value.code, name in refused.value.detail) == ("letter_unknown", True), act
        with pytest.raises(Invalid) as refused:
            do("An Peeters, Kerkstraat 12")
        assert (refused.value.code, "Peeters" in refused.value.detail) == ("letter_unknown", False), act
    for act in ("pull", "give up"):
        with pytest.raises(Invalid) as refused:
            acts[act](waits)
        assert (refused.value.code, waits in refused.value.detail) == (waiting, True), act
    with pytest.raises(Conflict, match=waits):
        acts["reprint"](waits)
    with pytest.raises(Invalid) as refused:
        post_pulls.order(context, [waits], reason=" ", actor="cli")
    assert refused.value.code == "reason_missing"


def test_proofs_are_listed_with_what_the_print_house_said(pipeline: Pipeline, organisation: Sender) -> None:
    context = pipeline.context
    (name,) = letters(pipeline, organisation, 1)
    delivery = name.rpartition("-")[0]
    house, file = proofs.send(context, delivery, actor="staff:x")
    (shown,) = print_views.proofs(context, limit=5)
    assert (shown.delivery, shown.printer, shown.file, shown.ordered_by) == (delivery, house, file, "staff:x")
    assert shown.acknowledged_at is None
    number = int(file.split("_")[3])
    told = Acknowledgement(batch=number, file=file, sha256="0" * 64, at=pipeline.now, letters=1, sheets=1)
    assert print_desk.take_in(context, house, "x_1AK_1.JSON", encode(told), actor="cli").effects == {"taken": 1}
    assert print_views.proofs(context, limit=5)[0].acknowledged_at is not None


def test_what_a_person_takes_in_closes_and_scans_stands_in_the_trail(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    context = pipeline.context
    (name,) = letters(pipeline, organisation, 1)
    with pytest.raises(NotFound):
        print_runs.close(context, actor="staff:x", product="parcel")
    assert print_runs.close(context, actor="staff:x", product="letter") == 1
    pipeline.work()
    with pytest.raises(NotFound):
        print_desk.take_in(context, "nobody", "e.json", b"{}", actor="staff:x")
    data = events_file([said(name.rpartition("-")[0], "posted", pipeline.now)], pipeline.now)
    taken = [print_desk.take_in(context, None, "e.json", data, actor="staff:x") for _ in range(2)]
    assert [each.repeated for each in taken] == [False, True]
    given = [post_returned.Returned(name, "M04"), post_returned.Returned("x")]
    assert [each.effect for each in post_returned.take(context, given, actor="staff:x")] == ["taken", "odd"]
    trail = execute(database, "SELECT act, subject, actor FROM audit_entry ORDER BY id")
    assert trail == [
        ("print.close", "*:letter", "staff:x"),
        ("print.file.take", taken[0].id, "staff:x"),
        ("print.file.take", taken[0].id, "staff:x"),
        ("print_letter.return", name, "staff:x"),
    ]
    assert printer(pipeline) == context.printers.first.name


def test_a_call_with_a_key_is_done_once(pipeline: Pipeline) -> None:
    done: list[int] = []

    def act() -> dict[str, int]:
        done.append(1)
        return {"changed": len(done)}

    def call(key: str | None, asked: str = "x") -> bytes:
        return claims.once(pipeline.context, "POST /v1/print/proofs", key, asked, act)

    assert [call("k"), call("k"), call("other")] == [b'{"changed":1}', b'{"changed":1}', b'{"changed":2}']
    with pytest.raises(IdempotencyMismatch):
        call("k", "y")
    with pytest.raises(IdempotencyMissing):
        call(None)

    def fails() -> None:
        raise Conflict("No.")

    with pytest.raises(Conflict):
        claims.once(pipeline.context, "POST /v1/print/proofs", "z", "x", fails)
    # What failed left nothing behind: the key is free.
    assert call("z") == b'{"changed":3}'


def test_a_senders_wishes_are_chosen_for_it_and_each_change_is_recorded(
    pipeline: Pipeline, database: TestDatabase
) -> None:
    slug = f"wishes-{uuid.uuid4().hex[:8]}"
    pipeline.organisation(slug)

    def choose(**wanted: str) -> paper_choices.PaperChoices:
        with pipeline.context.database.transaction() as session:
            return paper_choices.choose(session, slug, actor="staff:x", **wanted)

    assert choose(undeliverable="destroy", share_envelopes="on", returned_mail="ask") == paper_choices.PaperChoices(
        slug, f"Organisation {slug}", "destroy", "ask", "on"
    )
    assert choose(undeliverable="default", share_envelopes="on").undeliverable == "default"
    (shown,) = (each for each in paper_choices.listing(pipeline.context) if each.organisation == slug)
    assert (shown.undeliverable, shown.returned_mail, shown.share_envelopes) == ("default", "ask", "on")
    with pytest.raises(Invalid) as refused:
        choose(returned_mail="burn")
    assert refused.value.code == "choice_unknown"
    with pytest.raises(NotFound), pipeline.context.database.transaction() as session:
        paper_choices.choose(session, "nobody", undeliverable="return", actor="staff:x")
    trail = execute(database, "SELECT act, subject FROM audit_entry ORDER BY id")
    # What was so already is no change.
    assert [act for act, _ in trail] == [
        "organisation.undeliverable",
        "organisation.share_envelopes",
        "organisation.undeliverable",
    ]
