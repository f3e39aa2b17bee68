"""What is kept of signature requests goes after its period, the key last; an exchanged index key finds them."""

import dataclasses
import uuid
from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from service.db.ids import SIGNATURE_REQUEST, parse_id
from service.domain import calendar
from service.domain.errors import Conflict, Erased, Invalid, NotFound
from service.domain.identifiers import RecipientId, RecipientKind
from service.usecases import erasure, holds, retention
from service.usecases.mailbox import Reader
from service.usecases.personal import find_hashes
from service.usecases.signatures import sender, signer
from tests.appearance_support import page
from tests.engine_support import execute
from tests.everything_support import everything
from tests.integration.test_holds_and_erasure import hold, release
from tests.integration.test_index_key import promoted, walk
from tests.integration.test_retention import PERIODS, WINDOW, collect, rounds, rows, years_pass
from tests.pipeline_support import Pipeline, TestDatabase
from tests.signatures_support import ask, begin, card_of, person, seen, sign, who
from tests.usecase_support import Sender

TOKENS = (
    b"85073003328",
    b"Overeenkomst",
    b"overeenkomst.pdf",
    b"An Peeters",
    b"bijlage-2.pdf",
    b"Bedrag klopt niet",
    b"2026-OVK-1",
)


@pytest.fixture(autouse=True)
def back_to_today(pipeline: Pipeline) -> Iterator[None]:
    yield
    pipeline.skew = timedelta()


def objects(pipeline: Pipeline, request: str) -> set[str]:
    found = pipeline.context.vault.stored(parse_id(SIGNATURE_REQUEST, request))
    return {each.path.split("/")[1] for each in found}


def test_what_came_to_nothing_goes_soon_and_results_stay_their_period(pipeline: Pipeline, organisation: Sender) -> None:
    agency = organisation()
    done, refused, open_ = ask(pipeline, agency), ask(pipeline, agency), ask(pipeline, agency, days=90)
    sign(pipeline, done)
    pipeline.work()
    signer.refuse(pipeline.context, who(pipeline), refused, "Bedrag klopt niet")
    assert objects(pipeline, done) == {"request-original", "request-signed-1", "request-sealed", "request-report"}
    collect(pipeline)
    assert objects(pipeline, done) == {"request-sealed", "request-report"}, "each holds what was before it"
    rounds(pipeline, days=31)
    collect(pipeline)
    assert objects(pipeline, refused) == set()
    with pytest.raises(Erased):
        sender.document(pipeline.context, agency, refused)
    assert seen(pipeline, agency, refused).state == "refused"
    assert objects(pipeline, open_) == {"request-original"}
    assert sender.report(pipeline.context, agency, done).content.startswith(b"%PDF")
    rounds(pipeline, days=380)
    collect(pipeline)
    assert objects(pipeline, done) == set()
    with pytest.raises(Erased):
        sender.report(pipeline.context, agency, done)


def test_after_its_year_nothing_of_a_request_is_left(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    agency = organisation()
    done, refused = ask(pipeline, agency, more=[page(text_to=400)]), ask(pipeline, agency)
    sign(pipeline, done)
    pipeline.work()
    begin(pipeline, refused, card_of(pipeline))
    held = b"".join(content for _, content in everything(pipeline, database))
    assert [token for token in TOKENS if token not in held and token != b"Bedrag klopt niet"] == []
    signer.refuse(pipeline.context, who(pipeline), refused, "Bedrag klopt niet")
    years_pass(pipeline, database, 12)
    rounds(pipeline)
    collect(pipeline)
    rounds(pipeline, days=WINDOW.days + 1)
    for table in (
        "signature_request",
        "signature_document",
        "signature_signer",
        "signature_evidence",
        "idempotency_key",
    ):
        assert rows(database, table) == 0, table
    destroyed = execute(database, "SELECT key_destroyed_at FROM retention_year WHERE organisation_id = %s", agency)
    assert destroyed
    assert all(at is not None for (at,) in destroyed)
    left = [(where, token) for where, content in everything(pipeline, database) for token in TOKENS if token in content]
    assert left == []


def test_what_is_held_stays_through_every_period_and_goes_after_its_release(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    agency = organisation()
    kept, refused, other = (ask(pipeline, agency, more=[page(text_to=400)]) for _ in range(3))
    for each in (kept, other):
        sign(pipeline, each)
    pipeline.work()
    signer.refuse(pipeline.context, who(pipeline), refused, "Bedrag klopt niet")
    before = objects(pipeline, kept)
    hold(pipeline, kept)
    assert not hold(pipeline, refused).content_erased
    with pytest.raises(Conflict):
        hold(pipeline, kept)
    with pytest.raises(NotFound):
        hold(pipeline, kept.replace("sgr_", "dlv_"))
    rounds(pipeline, days=401)
    assert sender.document(pipeline.context, agency, kept, 2).content.startswith(b"%PDF")
    assert sender.document(pipeline.context, agency, refused).content.startswith(b"%PDF")
    with pytest.raises(Erased):
        sender.document(pipeline.context, agency, other)
    assert hold(pipeline, other).content_erased
    release(pipeline, other)
    years_pass(pipeline, database, 12)
    rounds(pipeline)
    assert rows(database, "signature_request") == 2
    pipeline.skew += timedelta(days=10)
    rounds(pipeline)
    destroyed = "SELECT bool_or(key_destroyed_at IS NOT NULL) FROM retention_year WHERE organisation_id = %s"
    assert execute(database, destroyed, agency) == [(False,)]
    assert {f"{each}" for each in before} >= objects(pipeline, kept) > set()
    with pipeline.context.database.transaction() as session:
        assert {each.subject for each in holds.listed(session)} == {kept, refused}
    for each in (kept, refused):
        release(pipeline, each)
    rounds(pipeline, days=2)
    assert rows(database, "signature_request") == rows(database, "signature_hold") == 0
    collect(pipeline)
    assert objects(pipeline, kept) == objects(pipeline, refused) == set()
    rounds(pipeline, days=1)
    assert execute(database, destroyed, agency) == [(True,)]


def test_a_held_one_keeps_no_other_of_its_year(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 1)
    agency = organisation()
    first, second = ask(pipeline, agency), ask(pipeline, agency)
    for each in (first, second):
        signer.refuse(pipeline.context, who(pipeline), each, "Bedrag klopt niet")
    hold(pipeline, first)
    years_pass(pipeline, database, 12)
    rounds(pipeline)
    (left,) = execute(database, "SELECT id FROM signature_request")
    assert left == (parse_id(SIGNATURE_REQUEST, first),)


def test_an_organisation_keeps_results_for_a_period_of_its_own(pipeline: Pipeline, organisation: Sender) -> None:
    longer, shorter, usual = organisation(), organisation(), organisation()
    requests = {agency: ask(pipeline, agency) for agency in (longer, shorter, usual)}
    for request in requests.values():
        sign(pipeline, request)
    pipeline.work()

    def gone() -> set[uuid.UUID]:
        found = set()
        for agency, request in requests.items():
            try:
                sender.document(pipeline.context, agency, request)
            except Erased:
                found.add(agency)
        return found

    with pipeline.context.database.transaction() as session:
        for agency, days in ((longer, 500), (shorter, 10)):
            own = {"print_days": None, "content_days": None, "signature_days": days}
            retention.set_periods(session, agency, now=pipeline.now, **own)
        with pytest.raises(Invalid) as caught:
            retention.set_periods(
                session, usual, document_type="permit", print_days=None, content_days=None, signature_days=1,
                now=pipeline.now,
            )  # fmt: skip
    assert caught.value.code == "period_not_of_type"
    for days, over in ((9, set()), (11, {shorter}), (401, {shorter, usual}), (501, {shorter, usual, longer})):
        pipeline.skew = timedelta()
        rounds(pipeline, days=days)
        assert gone() == over, days


def test_a_person_is_told_until_when_their_signature_requests_stay(pipeline: Pipeline, organisation: Sender) -> None:
    agency, other = organisation(), organisation()
    done, refused, held, open_ = (ask(pipeline, agency) for _ in range(4))
    short = ask(pipeline, other)
    ask(pipeline, agency, [person("cem"), person("an")])
    for each in (done, held, short):
        sign(pipeline, each)
    pipeline.work()
    signer.refuse(pipeline.context, who(pipeline), refused, "Bedrag klopt niet")
    hold(pipeline, held)
    with pipeline.context.database.transaction() as session:
        retention.set_periods(session, other, print_days=None, content_days=None, signature_days=7, now=pipeline.now)
    recipient = RecipientId.parse(RecipientKind.CITIZEN, "85073003328")
    told = erasure.erase(pipeline.context, recipient, PERIODS, actor="operator-1").kept
    days = {
        each.subject: ((each.documents_until or date.min) - calendar.local_date(pipeline.now)).days for each in told
    }
    assert days == {done: 400, refused: 30, held: 400, open_: 430, short: 7}
    assert [each.subject for each in told if each.held] == [held]
    rounds(pipeline, days=31)
    again = {
        each.subject: each.documents_until
        for each in erasure.erase(pipeline.context, recipient, PERIODS, actor="x").kept
    }
    assert (again[refused], again[short]) == (None, None)
    assert again[done] is not None


def test_an_open_request_keeps_its_years_key(pipeline: Pipeline, organisation: Sender, database: TestDatabase) -> None:
    agency = organisation()
    request = ask(pipeline, agency)
    years_pass(pipeline, database, 12)
    rounds(pipeline)
    assert seen(pipeline, agency, request).state == "open"
    assert rows(database, "signature_request") == 1


def test_a_signer_is_found_under_an_exchanged_key(pipeline: Pipeline, organisation: Sender) -> None:
    agency: uuid.UUID = organisation()
    request = ask(pipeline, agency)
    promoted(pipeline)
    assert [each.id for each in signer.waiting(pipeline.context, _both(pipeline))] == [request]
    assert signer.waiting(pipeline.context, who(pipeline)) == [], "the present key alone does not find it yet"
    walk(pipeline)
    assert [each.id for each in signer.waiting(pipeline.context, who(pipeline))] == [request]


def _both(pipeline: Pipeline) -> Reader:
    own = find_hashes(pipeline.context, RecipientId.parse(RecipientKind.CITIZEN, "85073003328"))
    return dataclasses.replace(who(pipeline), others=own[1:])
