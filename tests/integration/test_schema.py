"""The tables as the code sees them are the tables that there are; and the queries beside them."""

import dataclasses
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import ARRAY, inspect, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from service.db import deliveries, ids, ledger, mailbox_models, mailboxes, models, print_models, print_runs, printing
from service.db import mandates as _mandates  # noqa: F401  its tables must be known
from service.db import reindex as _reindex  # noqa: F401  its tables must be known
from service.db import retention as _retention  # noqa: F401  its tables must be known
from service.db import webhooks as _webhooks  # noqa: F401  its tables must be known
from service.db.base import Base
from service.db.writing import values_of, write
from service.domain.errors import NotFound
from service.domain.print_envelopes import enveloped
from service.embedded.postgres import DATABASE
from service.embedded.stack import Stack
from tests.engine_support import organisations
from tests.pipeline_support import TestDatabase, fresh_database

NOW = datetime.now(UTC)
RECIPIENT = b"r" * 32
CLASSES = [each.class_ for each in Base.registry.mappers]


@pytest.fixture(scope="module")
def shared(stack: Stack) -> Iterator[TestDatabase]:
    """One database for all of this file: each test has an organisation of its own."""
    assert stack.urls is not None
    with fresh_database(stack.urls, DATABASE) as made:
        yield made


@pytest.fixture
def sender(shared: TestDatabase) -> uuid.UUID:
    return organisations(shared, 1)[0]


def _name(kind: TypeEngine[object]) -> str:
    if isinstance(kind, ARRAY):
        return f"{_name(kind.item_type)}[]"
    return kind.compile(dialect=postgresql.dialect()).lower()  # type: ignore[no-untyped-call]


def test_the_classes_are_known() -> None:
    assert {models.Job, models.DeliveryRow, ledger.LedgerLeaf} <= set(CLASSES)


@pytest.mark.parametrize("table", sorted(Base.metadata.tables))
def test_the_code_and_the_database_name_the_same_columns(shared: TestDatabase, table: str) -> None:
    look = inspect(shared.database.engine)
    found = {each["name"]: (_name(each["type"]), bool(each["nullable"])) for each in look.get_columns(table)}
    expected = Base.metadata.tables[table]
    assert found == {each.name: (_name(each.type), bool(each.nullable)) for each in expected.columns}
    assert set(look.get_pk_constraint(table)["constrained_columns"]) == {each.name for each in expected.primary_key}


def test_every_table_of_the_database_is_known_to_the_code(shared: TestDatabase) -> None:
    with shared.database.session() as session:
        names = {
            name
            for (name,) in session.connection().exec_driver_sql(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
                " AND NOT relispartition"
            )
        }
    assert names == set(Base.metadata.tables) | {"alembic_version"}


def test_ids_sort_by_time_and_are_read_back_from_their_public_form() -> None:
    made = [ids.new_id() for _ in range(50)]
    assert [each.version for each in made] == [7] * 50
    assert [each.int >> 80 for each in made] == sorted(each.int >> 80 for each in made)
    public = ids.public_id(ids.DELIVERY, made[0])
    assert ids.parse_id(ids.DELIVERY, public) == made[0]


@pytest.mark.parametrize(
    "text", ["", "dlv", "dlv_", "evd_" + "0" * 32, "dlv_" + "0" * 31, "dlv_" + "0" * 33, "dlv_" + "G" * 32,
             "dlv_" + "A" * 32, "dlv_" + "٣" * 32]
)  # fmt: skip
def test_what_is_no_id_of_its_kind_names_nothing(text: str) -> None:
    with pytest.raises(NotFound):
        ids.parse_id(ids.DELIVERY, text)


def delivery(session: Session, sender: uuid.UUID, **changes: object) -> models.DeliveryRow:
    """A delivery with everything it needs."""
    each = ids.new_id()
    row = models.DeliveryRow(
        id=each, organisation_id=sender, submission_id=each, mark="live", lane=1, reference="R", document_type="letter",
        language="nl", registered=False, recipient_kind="citizen", recipient_hash=RECIPIENT, personal=b"x",
        print_options={}, policy="1", state="received", status="received", problems=[], retention_year=2036,
        created_at=NOW, updated_at=NOW,
    )  # fmt: skip
    for name, value in changes.items():
        setattr(row, name, value)
    session.add(models.Submission(id=each, organisation_id=sender, mark="live", lane=1, created_at=NOW))
    session.flush()
    session.add(row)
    session.flush()
    return row


def leg(row: models.DeliveryRow, number: int = 1) -> models.LegRow:
    return models.LegRow(
        delivery_id=row.id, number=number, organisation_id=row.organisation_id, kind="paper", state="pending", since=NOW
    )


def test_states_of_locked_deliveries_and_legs_are_written(shared: TestDatabase, sender: uuid.UUID) -> None:
    with shared.database.transaction(organisations=[sender]) as session:
        made = [delivery(session, sender) for _ in range(2)]
        keys = [row.id for row in made]
        legs_made = [values_of(leg(made[0], number), deliveries.LEGS) for number in (1, 2)]
        write(session, (deliveries.LEGS, legs_made))
    with shared.database.transaction(organisations=[sender]) as session:
        rows = deliveries.by_ids(session, keys, lock=True)
        legs = deliveries.legs(session, keys)
        assert [each.number for each in legs[keys[0]]] == [1, 2]
        assert legs[keys[1]] == []
        rows[keys[0]].state, rows[keys[0]].problems = "sealed", [{"code": "x"}]
        legs[keys[0]][1].state = "to_print"
        deliveries.save(session, rows.values(), [legs[keys[0]][1]])
        deliveries.save(session, [])
    with shared.database.transaction(organisations=[sender]) as session:
        again = deliveries.by_ids(session, keys)
        assert [again[key].state for key in keys] == ["sealed", "received"]
        assert [each.state for each in deliveries.legs(session, keys)[keys[0]]] == ["pending", "to_print"]
        assert again[keys[0]].problems == [{"code": "x"}]


def test_a_page_is_filtered_newest_first_and_goes_on_where_it_ended(shared: TestDatabase, sender: uuid.UUID) -> None:
    with shared.database.transaction(organisations=[sender]) as session:
        made = [delivery(session, sender, reference=f"R{number % 2}") for number in range(5)]
        delivery(session, sender, status="sealed", created_at=NOW - timedelta(days=1))
    newest = [row.id for row in made][::-1]
    with shared.database.transaction(organisations=[sender]) as session:

        def page(before: uuid.UUID | None = None, limit: int = 9, **filters: object) -> list[uuid.UUID]:
            wanted = deliveries.Filters(**filters)  # type: ignore[arg-type]
            return [row.id for row in deliveries.page(session, sender, wanted, before=before, limit=limit)]

        assert page(limit=3, status="received") == newest[:3]
        assert page(newest[2], status="received") == newest[3:]
        assert page(reference="R1") == [newest[1], newest[3]]
        assert page(since=NOW - timedelta(hours=1)) == newest
        assert len(page(to=NOW)) == 1
        assert deliveries.organisation(session, sender) is not None
        assert set(deliveries.organisations(session, [sender, ids.new_id()])) == {sender}


def test_evidence_is_written_once_and_read_in_order(shared: TestDatabase, sender: uuid.UUID) -> None:
    with shared.database.transaction(organisations=[sender]) as session:
        row = delivery(session, sender)

        def evidence(event: str, seconds: int) -> dict[str, object]:
            return {
                "delivery_id": row.id, "id": ids.new_id(), "organisation_id": sender, "leg": 0, "event": event,
                "attempt": 1, "at": NOW + timedelta(seconds=seconds), "record": b"r", "salt": b"s",
                "leaf_hash": b"h" * 32,
            }  # fmt: skip

        later, sooner = evidence("B", 5), evidence("A", 1)
        assert deliveries.add_evidence(session, [later, sooner]) == {later["id"], sooner["id"]}
        assert deliveries.add_evidence(session, [evidence("B", 9)]) == set()
        assert deliveries.add_evidence(session, []) == set()
        assert [each.event for each in deliveries.evidence_of(session, row.id)] == ["A", "B"]
        assert isinstance(later["id"], uuid.UUID)
        assert deliveries.evidence(session, row.id, later["id"]) is not None
        assert deliveries.evidence(session, ids.new_id(), later["id"]) is None
        event = {
            "delivery_id": row.id, "id": ids.new_id(), "organisation_id": sender, "event": "routed", "at": NOW,
            "status": "sealed", "channel": None, "actor": "service", "reason": None,
        }  # fmt: skip
        write(session, (deliveries.EVENTS, []))
        write(session, (deliveries.EVENTS, [event]))
        assert [each.event for each in deliveries.timeline(session, row.id)] == ["routed"]


def test_objects_count_once_they_are_kept_and_documents_name_the_newest(
    shared: TestDatabase, sender: uuid.UUID
) -> None:
    with shared.database.transaction(organisations=[sender]) as session:
        row = delivery(session, sender)
        intents = [
            {"subject_id": row.id, "path": path, "organisation_id": sender, "role": "x", "sha256": b"h", "size": 1}
            for path in ("a", "b")
        ]
        deliveries.intend(session, intents)
        deliveries.intend(session, [])
        deliveries.keep(session, [row.id], ["a"])
        deliveries.keep(session, [row.id], [])
        found = session.scalars(select(models.VaultObject.path).where(models.VaultObject.kept_at.is_not(None))).all()
        assert found == ["a"]
        document = models.DocumentRow(
            delivery_id=row.id, position=0, organisation_id=sender, role="main", filename=b"f", pages=1, size=1,
            sha256=b"1", submitted_sha256=b"1", path="a", sealed=False,
        )  # fmt: skip
        session.add(document)
        session.flush()
        document.path, document.sealed, document.size = "b", True, 2
        deliveries.replace_documents(session, [document])
        deliveries.replace_documents(session, [])
        (again,) = deliveries.documents(session, [row.id])[row.id]
        assert (again.path, again.sealed, again.size) == ("b", True, 2)


def test_an_item_is_deposited_once_opened_once_and_withdrawn_only_unopened(
    shared: TestDatabase, sender: uuid.UUID
) -> None:
    with shared.database.transaction(organisations=[sender], recipients=[RECIPIENT]) as session:
        opened, taken_back, early = (delivery(session, sender) for _ in range(3))
        rows = [(row.id, sender, RECIPIENT, 1) for row in (opened, taken_back)]
        mailboxes.deposit(session, rows, now=NOW)
        mailboxes.deposit(session, rows, now=NOW + timedelta(hours=1))
        mailboxes.deposit(session, [], now=NOW)
        mailboxes.open_item(session, opened.id, now=NOW)
        mailboxes.open_item(session, opened.id, now=NOW + timedelta(hours=1))
        assert not mailboxes.withdraw(session, opened.id, now=NOW)
        assert mailboxes.withdraw(session, taken_back.id, now=NOW)
        assert mailboxes.withdraw(session, early.id, now=NOW), "it never comes, though it was not there yet"
        mailboxes.deposit(session, [(early.id, sender, RECIPIENT, 1)], now=NOW)
        session.expire_all()
        items = mailboxes.items(session, [opened.id, taken_back.id, early.id])
        assert items[opened.id].deposited_at == items[opened.id].opened_at == NOW
        assert items[early.id].deposited_at is None
        assert mailboxes.page(session, [RECIPIENT], before=None, limit=9) == [opened.id]
        assert mailboxes.page(session, [RECIPIENT], before=opened.id, limit=9) == []


def test_a_mailbox_its_code_and_its_proofs_are_found_by_their_recipient(shared: TestDatabase) -> None:
    who = uuid.uuid4().bytes * 2
    with shared.database.transaction(recipients=[who]) as session:
        assert mailboxes.code(session, [who]) is None
        assert mailboxes.mailboxes(session, [who]) == {}
        session.add(mailbox_models.Mailbox(recipient_hash=who, recipient_kind="citizen", personal=b"x", language="nl"))
        session.flush()
        for hours, act in enumerate(("activated", "revoked")):
            at = NOW + timedelta(hours=hours)
            session.add(mailbox_models.Activation(id=ids.new_id(), recipient_hash=who, act=act, at=at, proof=b"p"))
        session.add(
            mailbox_models.ActivationCode(
                recipient_hash=who, personal=b"x", code_hash=b"c", attempts_left=3, expires_at=NOW, sent_at=NOW
            )
        )
        session.flush()
        assert mailboxes.code(session, [who], lock=True) is not None
        assert [each.act for each in mailboxes.proofs(session, who)] == ["revoked", "activated"]
        assert mailboxes.mailboxes(session, [who])[who].activated_at is None
        assert mailboxes.activated(session, [who]) == frozenset()


def letter(row: models.DeliveryRow, postcode: str) -> dict[str, object]:
    return {
        "delivery_id": row.id, "leg": 1, "attempt": 0, "organisation_id": row.organisation_id, "product": "P",
        "path": "p", "sha256": b"h", "pages": 2, "sheets": 1, "grams": 5, "size": 9, "postcode": postcode,
        "queued_at": NOW,
    }  # fmt: skip


def batch(session: Session) -> models.PrintBatch:
    each, number = ids.new_id(), printing.next_number(session)
    return models.PrintBatch(
        id=each, number=number, provider="directory", product={}, state="frozen", file_name=f"{each}.ZIP",
        frozen_at=NOW, letters=2,
    )  # fmt: skip


def test_letters_wait_are_frozen_in_order_and_never_leave_a_batch(shared: TestDatabase, sender: uuid.UUID) -> None:
    with shared.database.transaction(organisations=[sender]) as session:
        assert sender in printing.every_organisation(session)
        far, near, gone = (delivery(session, sender) for _ in range(3))
        rows = [letter(far, "9000"), letter(near, "1000"), letter(gone, "1000")]
        printing.queue(session, rows)
        printing.queue(session, rows)
        printing.queue(session, [])
        printing.withdraw(session, [gone.id])
        assert print_runs.products(session) == ["P"]
        ordered = enveloped(print_runs.waiting(session, ["P"], limit=9), None)
        assert [each.letters[0].delivery_id for each in ordered] == [near.id, far.id]
        run = print_models.PrintDeposit(
            id=ids.new_id(), printer="directory", product="P", planned_at=NOW, planned_on=NOW.date(), due_at=NOW,
            letters=2, sheets=2, second=0, waiting=0, actor="clock",
        )  # fmt: skip
        print_runs.plan(session, run, ordered, [None, None])
        assert print_runs.products(session) == []
        waiting = print_runs.next_letters(session, run.id, limit=9)
        assert [(each.delivery_id, each.run_sequence) for each in waiting] == [(near.id, 1), (far.id, 2)]
        assert len({each.set_number for each in waiting} - {None}) == 2
        closed = batch(session)
        printing.freeze(session, closed, waiting)
        assert print_runs.next_letters(session, run.id, limit=9) == []
        printing.withdraw(session, [near.id])
        session.expire_all()
        assert [each.delivery_id for each in printing.letters(session, closed.id)] == [near.id, far.id]
        assert [each.sequence for each in printing.letters(session, closed.id)] == [1, 2]


def test_a_batch_gets_its_bytes_once_and_keeps_the_first_time_of_each_state(shared: TestDatabase) -> None:
    with shared.database.transaction() as session:
        one, two = batch(session), batch(session)
        session.add_all([one, two])
        session.flush()
        content = printing.Content(path="p", sha256=b"h", size=1, pages=2, sheets=1, letters=2)
        assert not printing.save_content(session, one.id, dataclasses.replace(content, letters=3))
        assert printing.save_content(session, one.id, content)
        assert not printing.save_content(session, one.id, dataclasses.replace(content, path="q"))
        assert not printing.fix(session, one.id, path="q", now=NOW)
        assert printing.fix(session, one.id, path="p", now=NOW)
        printing.mark(session, one.id, "uploaded", now=NOW)
        printing.mark(session, one.id, "uploaded", now=NOW + timedelta(hours=1))
        printing.mark(session, one.id, "handed_over", now=NOW)
        found = printing.batch(session, one.id, lock=True)
        assert found is not None
        assert (found.path, found.state, found.uploaded_at, found.handed_over_at) == ("p", "handed_over", NOW, NOW)
        assert [each.number for each in printing.batches(session, limit=2)] == [two.number, one.number]


def test_only_one_scheduler_acts_on_a_cut_off_and_only_one_freezes(shared: TestDatabase) -> None:
    later = NOW + timedelta(hours=1)
    with shared.database.transaction() as session:
        assert not printing.take_cutoff(session, "post", now=NOW, next_at=later)
        assert printing.take_cutoff(session, "post", now=later, next_at=later + timedelta(hours=1))
        assert not printing.take_cutoff(session, "post", now=later, next_at=later + timedelta(hours=1))
    with shared.database.transaction() as first, shared.database.transaction() as second:
        assert printing.lock_freezing(first)
        assert not printing.lock_freezing(second)
    with shared.database.transaction() as session:
        assert printing.lock_freezing(session)
