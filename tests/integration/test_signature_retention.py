"""What is kept of signature requests goes after its period, the key last; an exchanged index key finds them."""

import dataclasses
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest

from service.db.ids import SIGNATURE_REQUEST, parse_id
from service.domain.errors import Erased
from service.domain.identifiers import RecipientId, RecipientKind
from service.usecases.mailbox import Reader
from service.usecases.personal import find_hashes
from service.usecases.signatures import sender, signer
from tests.appearance_support import page
from tests.engine_support import execute
from tests.everything_support import everything
from tests.integration.test_index_key import promoted, walk
from tests.integration.test_retention import WINDOW, collect, rounds, rows, years_pass
from tests.pipeline_support import Pipeline, TestDatabase
from tests.signatures_support import ask, begin, card_of, seen, sign, who
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
