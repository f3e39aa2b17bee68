"""The index key is exchanged while everybody goes on: nothing is lost from sight, then nothing needs the former key."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from service.channels.internal import InternalChannel
from service.db.ids import public_id
from service.domain.errors import Conflict, Forbidden
from service.domain.identifiers import RecipientId, RecipientKind
from service.embedded.fictional import RECIPIENTS
from service.identity.tokens import AccessToken
from service.usecases import access, activation, audit, mailbox, mandates, recipients, reindex, repair
from service.usecases.mailbox import Reader
from service.usecases.personal import find_hash, find_hashes
from service.usecases.receipts import NoticesReceipt, Receipts
from service.vault import crypto
from service.vault.keyring.file import FileKeyRing
from tests.engine_support import execute
from tests.mandate_support import accepted, as_holder, give
from tests.pipeline_support import Pipeline, TestDatabase
from tests.registered_support import agreed
from tests.usecase_support import activate, at, deliver, own_messages, status, with_post

WINDOW = timedelta(days=7)
Organisation = Callable[..., uuid.UUID]


def ring(pipeline: Pipeline) -> FileKeyRing:
    return FileKeyRing(pipeline.application.settings.keys_folder / "keyring")


def start_again(pipeline: Pipeline) -> None:
    """As if every process had been started anew: they read the key ring when they start."""
    index = ring(pipeline).index_keys()

    def hashes(recipient: RecipientId) -> tuple[bytes, ...]:
        return crypto.recipient_hashes(index, recipient.kind.value, recipient.value)

    before = pipeline.context
    pipeline.context = replace(
        before,
        index=index,
        channel=InternalChannel(before.database, hashes),
        receipts=Receipts(pipeline.application.store, index),
    )


def promoted(pipeline: Pipeline) -> None:
    for stage in (ring(pipeline).begin_index, ring(pipeline).promote_index):
        stage()
        start_again(pipeline)


def walk(pipeline: Pipeline) -> reindex.Standing:
    while reindex.round_(pipeline.context):
        pass
    found = reindex.standing(pipeline.context)
    assert found is not None
    return found


def number(key: str) -> RecipientId:
    known = RECIPIENTS[key]
    assert known.number is not None
    return RecipientId.parse(RecipientKind(known.kind), known.number)


def reader(pipeline: Pipeline, key: str = "an") -> Reader:
    """Somebody who has logged in with the processes as they are now."""
    written, *others = find_hashes(pipeline.context, number(key))
    return Reader(written, RecipientKind(RECIPIENTS[key].kind), "substantial", tuple(others))


def stored(database: TestDatabase, table: str) -> set[bytes]:
    return {bytes(each) for (each,) in execute(database, f"SELECT recipient_hash FROM {table}")}


TABLES = ("delivery", "mailbox_item", "mailbox", "activation", "lookup_recipient")


@pytest.fixture
def world(pipeline: Pipeline, organisation: Organisation) -> tuple[Pipeline, uuid.UUID, str]:
    """An activated mailbox with a letter in it, and a look-up: all with the first key."""
    sender = organisation()
    activate(pipeline, "an")
    delivery = deliver(pipeline, sender, "an")
    recipients.look_up(pipeline.context, sender, "c", [("citizen", number("an").value)], "p")
    return pipeline, sender, delivery


def test_at_every_stage_mail_is_found_comes_in_and_is_told_of(
    world: tuple[Pipeline, uuid.UUID, str], database: TestDatabase
) -> None:
    pipeline, sender, first = world
    mine = [first]
    for stage in (ring(pipeline).begin_index, ring(pipeline).promote_index, lambda: walk(pipeline)):
        stage()
        start_again(pipeline)
        assert own_messages(pipeline, reader(pipeline)) == mine
        post, before = with_post(pipeline), pipeline.context
        mine.insert(0, deliver(pipeline, sender, "an"))
        assert status(pipeline, sender, mine[0]) == "available"
        assert [notice.to for notice in post.sent] == ["an@voorbeeld.test"]
        pipeline.context = replace(before, notifier=pipeline.application.context.notifier)
        asked = recipients.look_up(pipeline.context, sender, "c", [("citizen", number("an").value)], "p")
        assert asked[0]["channel"] == "digital"
        assert activation.state(pipeline.context, reader(pipeline)).active
        assert mailbox.open_message(pipeline.context, reader(pipeline), mine[0]).opened_at is not None
    assert own_messages(pipeline, reader(pipeline)) == mine
    walk(pipeline)
    now = find_hash(pipeline.context, number("an"))
    assert [stored(database, table) for table in TABLES] == [{now}] * len(TABLES)


def test_a_walk_that_breaks_off_goes_on_where_it_was_and_a_second_one_does_no_harm(
    world: tuple[Pipeline, uuid.UUID, str], database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, sender, _ = world
    for _ in range(3):
        deliver(pipeline, sender, "jan")
    promoted(pipeline)
    monkeypatch.setattr(reindex, "CHUNK", 2)
    assert reindex.round_(pipeline.context)
    before = execute(database, "SELECT upto, deliveries FROM index_walk")
    assert before[0][1] == 2

    def dies(*_: object, **__: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(reindex.rows, "further", dies)
        with pytest.raises(RuntimeError):
            reindex.round_(pipeline.context)
    assert execute(database, "SELECT upto, deliveries FROM index_walk") == before
    found = walk(pipeline)
    assert (found.deliveries, found.unreadable, found.mailboxes) == (4, 0, 0)
    assert walk(pipeline) == found
    assert stored(database, "delivery") == {find_hash(pipeline.context, number(each)) for each in ("an", "jan")}


def test_a_mailbox_without_mail_moves_when_its_owner_logs_in_and_until_then_holds_the_key(
    pipeline: Pipeline, database: TestDatabase
) -> None:
    agreed(pipeline, "an")
    agreed_since = activation.state(pipeline.context, reader(pipeline)).registered_since
    promoted(pipeline)
    assert walk(pipeline).mailboxes == 1
    with at(pipeline, datetime.now(UTC) + WINDOW * 2), pytest.raises(Conflict, match="1 mailboxes"):
        reindex.refuse_retiring(pipeline.context, WINDOW)
    assert activation.state(pipeline.context, reader(pipeline)).email == "an@voorbeeld.test"
    reindex.follow(pipeline.context, number("an"))
    assert walk(pipeline).mailboxes == 0
    now = find_hash(pipeline.context, number("an"))
    assert stored(database, "mailbox") == stored(database, "activation") == {now}
    assert activation.state(pipeline.context, reader(pipeline)).email == "an@voorbeeld.test"
    assert activation.state(pipeline.context, reader(pipeline)).registered_since == agreed_since is not None
    activation.revoke(pipeline.context, reader(pipeline))
    assert stored(database, "activation") == {now}


def test_consent_given_and_taken_back_meanwhile_is_of_one_mailbox(pipeline: Pipeline, database: TestDatabase) -> None:
    activate(pipeline, "an")
    promoted(pipeline)
    activation.revoke(pipeline.context, reader(pipeline))
    assert not activation.state(pipeline.context, reader(pipeline)).active
    post = with_post(pipeline)
    activation.begin(pipeline.context, reader(pipeline), "an@nieuw.test", "nl")
    activation.confirm(pipeline.context, reader(pipeline), post.code, consent_version=activation.CONSENT_VERSION)
    assert len(stored(database, "mailbox")) == 1
    walk(pipeline)
    reindex.follow(pipeline.context, number("an"))
    assert activation.state(pipeline.context, reader(pipeline)).email == "an@nieuw.test"
    assert execute(database, "SELECT count(*) FROM activation") == [(3,)]


def test_the_former_key_goes_only_when_nothing_needs_it(
    world: tuple[Pipeline, uuid.UUID, str], database: TestDatabase
) -> None:
    pipeline, sender, delivery = world
    recipients.look_up(pipeline.context, sender, "c", [("citizen", number("cem").value)], "p")
    with pytest.raises(Conflict) as none:
        reindex.refuse_retiring(pipeline.context, WINDOW)
    assert none.value.code == "index_not_promoted"
    promoted(pipeline)
    for _ in range(2):
        with pytest.raises(Conflict, match="not all deliveries"):
            reindex.refuse_retiring(pipeline.context, WINDOW)
        reindex.round_(pipeline.context)
    walk(pipeline)
    with pytest.raises(Conflict, match="look-ups from before"):
        reindex.refuse_retiring(pipeline.context, WINDOW)
    with pytest.raises(Conflict, match="a restore may go back"):
        reindex.refuse_retiring(pipeline.context, WINDOW, leave_lookups=True)
    with at(pipeline, datetime.now(UTC) + WINDOW + timedelta(minutes=1)):
        reindex.refuse_retiring(pipeline.context, WINDOW, leave_lookups=True)
    ring(pipeline).retire_index()
    start_again(pipeline)
    assert own_messages(pipeline, reader(pipeline)) == [delivery]
    assert len(reader(pipeline).hashes) == 1


def test_whoever_proposes_under_one_key_confirms_nothing_under_the_next(
    pipeline: Pipeline, organisation: Organisation, database: TestDatabase
) -> None:
    pipeline.hand_in(organisation())
    ((job_id,),) = execute(
        database, "UPDATE job SET parked_at = now(), last_error = 'workers_lost', failures = 5 RETURNING id"
    )
    job = public_id(repair.JOB, job_id)
    olga = audit.staff_actor(pipeline.context.index.writing, "olga")
    repair.propose_end(pipeline.context, job, reason="seal_failed", actor=olga, valid_seconds=3600)
    promoted(pipeline)
    again, otto = (audit.staff_actor(pipeline.context.index.writing, each) for each in ("olga", "otto"))
    assert again != olga
    with pytest.raises(Forbidden) as refused:
        repair.confirm_end(pipeline.context, job, actor=again, subject="olga")
    assert refused.value.code == "second_person_needed"
    assert repair.confirm_end(pipeline.context, job, actor=otto, subject="otto") == "SubmissionRejection"


def test_receipts_of_the_former_key_are_believed_and_of_no_other(pipeline: Pipeline) -> None:
    now = pipeline.now
    pipeline.context.receipts.noticed([(uuid.uuid4(), 1)], now=now)
    promoted(pipeline)
    pipeline.context.receipts.noticed([(uuid.uuid4(), 1)], now=now)
    assert [type(each) for each in pipeline.context.receipts.notices()] == [NoticesReceipt] * 2
    ring(pipeline).retire_index()
    start_again(pipeline)
    with pytest.raises(Exception, match="A receipt was changed"):
        list(pipeline.context.receipts.notices())


def test_a_token_finds_its_owners_rows_under_every_key(pipeline: Pipeline) -> None:
    promoted(pipeline)
    who = replace(reader(pipeline), person="an")
    issued = pipeline.application.tokens.issue(
        now=datetime.now(UTC), subject="an", client_id="c", scopes=[], recipient=access.recipient_reference(who),
        assurance_level="substantial",
    )  # fmt: skip
    token: AccessToken = pipeline.application.verifier.verify(issued.token, datetime.now(UTC))
    assert access.reader_of(token) == who
    assert len(who.hashes) == 2


def test_nobody_is_moved_unless_an_exchange_was_begun(pipeline: Pipeline, database: TestDatabase) -> None:
    activate(pipeline, "an")
    old = find_hash(pipeline.context, number("an"))
    reindex.follow(pipeline.context, number("an"))
    promoted(pipeline)
    reindex.follow(pipeline.context, number("an"))
    assert stored(database, "mailbox") == {old}
    with (
        pytest.raises(Exception, match="no exchange of the index key"),
        pipeline.context.database.transaction() as session,
    ):
        reindex.rows.move(session, old, bytes(32), b"x", "none")


def test_mandates_are_found_at_every_stage_and_a_code_that_waits_keeps_the_former_key(
    world: tuple[Pipeline, uuid.UUID, str], database: TestDatabase
) -> None:
    pipeline, _, delivery = world
    mandate, waiting = accepted(pipeline), give(pipeline)
    for stage in (ring(pipeline).begin_index, ring(pipeline).promote_index, lambda: walk(pipeline)):
        stage()
        start_again(pipeline)
        holder = as_holder(reader(pipeline, "cem"), mandate)
        assert own_messages(pipeline, holder) == [delivery]
        assert len(mandates.given(pipeline.context, reader(pipeline))) == 2
    present = {find_hash(pipeline.context, number(key)) for key in ("an", "cem")}
    columns = execute(database, "SELECT mandator_hash, mandatary_hash FROM mandate")
    assert {bytes(each) for row in columns for each in row} == present
    assert walk(pipeline).mandates == 1
    with at(pipeline, datetime.now(UTC) + WINDOW * 2), pytest.raises(Conflict, match="1 mandates"):
        reindex.refuse_retiring(pipeline.context, WINDOW, leave_lookups=True)
    mandates.accept(pipeline.context, reader(pipeline, "cem"), waiting.code)
    assert walk(pipeline).mandates == 0
    with at(pipeline, datetime.now(UTC) + WINDOW * 2):
        reindex.refuse_retiring(pipeline.context, WINDOW, leave_lookups=True)
