"""A recipient's own mailbox: theirs alone, nothing before it is there, opened by an act and evidenced once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from service.channels import internal
from service.channels.base import WithdrawResult
from service.db.ids import DELIVERY, EVIDENCE, new_id, parse_id, public_id
from service.db.jobs import JobKind
from service.db.session import enter_delivery
from service.domain.errors import Conflict, Invalid, NotFound
from service.domain.evidence import AssuranceLevel
from service.domain.identifiers import RecipientKind
from service.usecases import deliveries, mailbox
from service.usecases.admission import Upload
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.service_support import DOCUMENTS
from tests.usecase_support import (
    Sender,
    activate,
    deliver,
    events,
    evidence,
    own_messages,
    reader,
    snapshot,
    status,
    with_post,
)

NOW = datetime(2026, 11, 2, 10, tzinfo=UTC)


def test_a_mailbox_shows_its_own_items_and_nobody_elses(pipeline: Pipeline, organisation: Sender) -> None:
    with_post(pipeline)
    sender = organisation()
    an, cem = activate(pipeline, "an"), activate(pipeline, "cem", email="cem@voorbeeld.test")
    first, second = deliver(pipeline, sender, "an"), deliver(pipeline, sender, "an")
    other = deliver(pipeline, sender, "cem")
    assert own_messages(pipeline, an) == [second, first]
    assert own_messages(pipeline, cem) == [other]
    calls = (mailbox.message, mailbox.open_message, mailbox.evidence_list)
    for call in calls:
        with pytest.raises(NotFound):
            call(pipeline.context, an, other)
    with pytest.raises(NotFound):
        mailbox.document(pipeline.context, an, other, 0)
    entry = mailbox.evidence_list(pipeline.context, cem, other)[0]
    with pytest.raises(NotFound):
        mailbox.evidence_one(pipeline.context, an, other, entry.id)
    with pytest.raises(NotFound):
        mailbox.evidence_one(pipeline.context, an, first, entry.id)
    assert mailbox.evidence_one(pipeline.context, cem, other, entry.id)["record"]
    for wrong in ("dlv_x", "", public_id(DELIVERY, new_id())):
        with pytest.raises(NotFound):
            mailbox.message(pipeline.context, an, wrong)
    assert own_messages(pipeline, reader(pipeline, "jan")) == []


def test_nothing_is_seen_before_the_deposit_is_recorded(pipeline: Pipeline, organisation: Sender) -> None:
    with_post(pipeline)
    sender, an = organisation(), activate(pipeline)
    delivery = pipeline.hand_in(sender, "an").delivery_id
    pipeline.work(JobKind.SEAL, JobKind.ROUTE)
    assert own_messages(pipeline, an) == []
    with pytest.raises(NotFound):
        mailbox.message(pipeline.context, an, delivery)
    # The channel took it, and the worker died before it wrote that down.
    with pipeline.context.database.transaction(organisations=[sender]) as session:
        session.connection().exec_driver_sql(
            "INSERT INTO mailbox_item (delivery_id, organisation_id, recipient_hash, leg, deposited_at)"
            " VALUES (%s, %s, %s, 1, now())",
            (parse_id(DELIVERY, delivery), sender, an.recipient_hash),
        )
    assert own_messages(pipeline, an) == []
    with pytest.raises(NotFound):
        mailbox.open_message(pipeline.context, an, delivery)
    pipeline.work()
    assert own_messages(pipeline, an) == [delivery]


def test_looking_opens_nothing_and_opening_is_evidenced_once(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    with_post(pipeline)
    sender, an = organisation(), activate(pipeline)
    pdf = (DOCUMENTS / "receipt-nl-reportlab.pdf").read_bytes()
    uploads = [Upload("document", "a.pdf", pdf), Upload("attachment", "b.pdf", pdf)]
    delivery = deliver(pipeline, sender, "an", uploads=uploads, subject="Aanslag")
    before = snapshot(database)
    seen = mailbox.message(pipeline.context, an, delivery)
    assert (seen.subject, seen.opened_at, seen.documents) == ("Aanslag", None, [])
    with pytest.raises(Conflict) as caught:
        mailbox.document(pipeline.context, an, delivery, 0)
    assert caught.value.code == "not_opened"
    assert snapshot(database) == before

    opened = mailbox.open_message(pipeline.context, an, delivery)
    assert opened.opened_at is not None
    assert [(each.role, each.filename, each.url.rsplit("/", 1)[-1]) for each in opened.documents] == [
        ("main", "a.pdf", "document"),
        ("attachment", "b.pdf", "1"),
    ]
    after = snapshot(database)
    assert mailbox.open_message(pipeline.context, an, delivery).opened_at == opened.opened_at
    assert mailbox.message(pipeline.context, an, delivery) == opened
    assert snapshot(database) == after
    assert status(pipeline, sender, delivery) == "opened"
    record = evidence(pipeline, sender, delivery, "ContentAccessTracking")
    assert record["recipients"][0]["assurance_level"] == "substantial"


def test_the_first_download_is_evidenced_and_no_other(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    with_post(pipeline)
    sender, an = organisation(), activate(pipeline)
    delivery = deliver(pipeline, sender, "an")
    mailbox.open_message(pipeline.context, an, delivery)
    file = mailbox.document(pipeline.context, an, delivery, 0)
    assert file.content == deliveries.document(pipeline.context, sender, delivery, 0).content
    assert events(pipeline, sender, delivery)[-1] == "ContentHandover"
    before = snapshot(database)
    mailbox.document(pipeline.context, an, delivery, 0)
    assert snapshot(database) == before
    for wrong in (1, -1):
        with pytest.raises(NotFound):
            mailbox.document(pipeline.context, an, delivery, wrong)


def test_ten_openings_and_downloads_at_once_leave_one_evidence_of_each(
    pipeline: Pipeline, organisation: Sender
) -> None:
    with_post(pipeline)
    sender, an = organisation(), activate(pipeline)
    delivery = deliver(pipeline, sender, "an")

    def read(_: int) -> int:
        mailbox.open_message(pipeline.context, an, delivery)
        return len(mailbox.document(pipeline.context, an, delivery, 0).content)

    with ThreadPoolExecutor(10) as pool:
        assert len(set(pool.map(read, range(10)))) == 1
    told = [each.event for each in deliveries.timeline(pipeline.context, sender, delivery)]
    assert told.count("ContentAccessTracking") == told.count("ContentHandover") == 1
    assert events(pipeline, sender, delivery).count("ContentHandover") == 1


def test_what_is_withdrawn_shows_nothing(pipeline: Pipeline, organisation: Sender) -> None:
    with_post(pipeline)
    sender, an = organisation(), activate(pipeline)
    gone, stays = deliver(pipeline, sender, "an"), deliver(pipeline, sender, "an")
    reference = internal.reference(parse_id(DELIVERY, gone), 1)
    assert pipeline.context.channel.withdraw(reference, now=NOW) is WithdrawResult.WITHDRAWN
    assert own_messages(pipeline, an) == [stays]
    with pytest.raises(NotFound):
        mailbox.open_message(pipeline.context, an, gone)


def test_an_opening_and_a_withdrawal_exclude_one_another(
    pipeline: Pipeline, organisation: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_post(pipeline)
    sender, an = organisation(), activate(pipeline)
    delivery = deliver(pipeline, sender, "an")
    reference = internal.reference(parse_id(DELIVERY, delivery), 1)
    looked = enter_delivery

    def then_withdrawn(*arguments: Any) -> None:
        # After the first look at the item, and before it is opened.
        looked(*arguments)
        assert pipeline.context.channel.withdraw(reference, now=NOW) is WithdrawResult.WITHDRAWN

    monkeypatch.setattr("service.usecases.mailbox.enter_delivery", then_withdrawn)
    with pytest.raises(NotFound):
        mailbox.open_message(pipeline.context, an, delivery)
    assert "ContentAccessTracking" not in events(pipeline, sender, delivery)


def test_a_page_goes_on_where_the_last_one_ended(pipeline: Pipeline, organisation: Sender) -> None:
    with_post(pipeline)
    sender, an = organisation(), activate(pipeline)
    ids = [pipeline.hand_in(sender, "an").delivery_id for _ in range(5)]
    pipeline.work()
    found, cursor = [], None
    while True:
        page = mailbox.messages(pipeline.context, an, cursor=cursor, limit=2)
        assert len(page.items) <= 2
        found += [each.id for each in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == sorted(ids, reverse=True)
    for limit, wrong in ((0, None), (201, None), (5, "dlv_nothing")):
        with pytest.raises(Invalid):
            mailbox.messages(pipeline.context, an, cursor=wrong, limit=limit)


def test_an_item_whose_leg_is_none_of_the_mailboxs_is_nobodys(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    with_post(pipeline)
    sender, an = organisation(), activate(pipeline)
    delivery = deliver(pipeline, sender, "an")
    execute(database, "UPDATE mailbox_item SET leg = 2")
    with pytest.raises(NotFound):
        mailbox.message(pipeline.context, an, delivery)


@pytest.mark.parametrize(
    ("said", "level"),
    [
        (None, AssuranceLevel.NONE),
        ("whatever", AssuranceLevel.NONE),
        ("http://eidas.europa.eu/LoA/high", AssuranceLevel.HIGH),
        ("Substantial", AssuranceLevel.SUBSTANTIAL),
        ("low", AssuranceLevel.LOW),
    ],
)
def test_evidence_claims_no_more_assurance_than_was_given(said: str | None, level: AssuranceLevel) -> None:
    assert mailbox.Reader(bytes(32), RecipientKind.CITIZEN, said).identification.level is level


def test_an_unknown_evidence_is_not_found(pipeline: Pipeline, organisation: Sender) -> None:
    with_post(pipeline)
    sender = organisation()
    delivery = deliver(pipeline, sender, "jan")
    for wrong in (public_id(EVIDENCE, new_id()), "evd_x", delivery):
        with pytest.raises(NotFound):
            deliveries.evidence_one(pipeline.context, sender, delivery, wrong)
