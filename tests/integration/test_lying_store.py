"""A store that lies, loses or dawdles: never a wrong document; work waits with its cause, and goes on by itself."""

import hashlib
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from service.db.ids import DELIVERY, parse_id
from service.db.jobs import JobKind
from service.db.models import VaultObject
from service.db.printing import every_organisation
from service.db.session import widen
from service.domain.errors import ZendingError
from service.embedded.stack import Stack
from service.engine.steps import run_chunk
from service.usecases import deliveries, housekeeping, mailbox
from service.usecases.steps import all_steps
from service.vault.errors import ObjectMissing, StoreUnreachable, VaultIntegrityError
from service.vault.vault import Vault
from tests.engine_support import execute
from tests.lying_store_support import READING, WRITING, LyingProxy, LyingStore, lying_proxy
from tests.pipeline_support import Pipeline, TestDatabase, wired
from tests.s3_support import S3, s3_server
from tests.usecase_support import (
    Sender,
    activate,
    change,
    deliver,
    events,
    evidence,
    never_wait,
    parked,
    status,
    waiting,
)  # fmt: skip

CODES = (VaultIntegrityError.code, ObjectMissing.code, StoreUnreachable.code)


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with s3_server() as running:
        yield running


@pytest.fixture
def proxy(server: S3) -> Iterator[LyingProxy]:
    with lying_proxy(server.endpoint, server.client()) as running:
        yield running


@pytest.fixture
def lying(pipeline: Pipeline) -> LyingStore:
    """The pipeline's own store, which lies when it is told to."""
    store = LyingStore(pipeline.application.store)
    change(pipeline, vault=Vault(store, pipeline.context.keyring))
    return store


@pytest.fixture
def far(
    stack: Stack, database: TestDatabase, tmp_path: Path, server: S3, proxy: LyingProxy, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pipeline]:
    """A pipeline whose store is the S3 server behind the lying proxy."""
    for name, value in server.credentials.items():
        monkeypatch.setenv(name, value)
    url = server.address(
        tmp_path.name.replace("_", "-"), endpoint=proxy.url, retries="0", timeout="1.5", retry_timeout="2"
    )
    with wired(stack, database, tmp_path, quiet_hours=False, storage_url=url) as application:
        yield Pipeline(application, stack.home / "pki")


def go_on(pipeline: Pipeline, database: TestDatabase) -> None:
    """What the scheduler does by itself once the store tells the truth again."""
    execute(database, "UPDATE job SET due_at = now() - interval '1 second'")
    housekeeping.try_stored_again(pipeline.context, rest=timedelta(0))
    pipeline.work()


@pytest.mark.parametrize("lie", READING)
def test_work_waits_or_parks_with_its_cause_and_goes_on_when_the_store_is_right(
    pipeline: Pipeline, lying: LyingStore, organisation: Sender, database: TestDatabase, lie: str
) -> None:
    sender = organisation()
    deliver(pipeline, sender, "jan")  # something else that a liar can give
    delivery = pipeline.hand_in(sender, "jan").delivery_id
    lying.reading = lie
    for _ in range(7):
        # As often as a job may fail for a reason of its own.
        execute(database, "UPDATE job SET due_at = now() - interval '1 second' WHERE kind = 'seal'")
        pipeline.work(JobKind.SEAL)
    assert lying.lies
    assert status(pipeline, sender, delivery) == "received"
    assert events(pipeline, sender, delivery) == [], "nothing was sealed, sent or rejected"
    causes = {*parked(database), *(cause for _, cause in waiting(database) if cause)}
    assert causes <= set(CODES)
    assert causes
    lying.reading = None
    go_on(pipeline, database)
    pipeline.close_batches()
    pipeline.work()
    assert status(pipeline, sender, delivery) == "handed_over"
    assert parked(database) == []


@pytest.mark.parametrize("lie", READING)
def test_no_reader_ever_gets_a_wrong_document(
    pipeline: Pipeline, lying: LyingStore, organisation: Sender, database: TestDatabase, lie: str
) -> None:
    """Every way that leads to stored bytes: senders, recipients, the letter, the batch, the file that was packed."""
    sender, who = organisation(), activate(pipeline)
    digital = deliver(pipeline, sender, "an")
    mailbox.open_message(pipeline.context, who, digital)
    to_print = pipeline.hand_in(sender, "jan").delivery_id
    pipeline.work(JobKind.SEAL, JobKind.ROUTE)
    queued = pipeline.hand_in(sender, "jan").delivery_id
    pipeline.work(JobKind.SEAL, JobKind.ROUTE, JobKind.LETTER)
    pipeline.close_batches()
    before = {path.name for path in pipeline.application.settings.print_folder.iterdir()}
    lying.reading = lie
    readers: list[Callable[[], object]] = [
        lambda: deliveries.document(pipeline.context, sender, digital, 0),
        lambda: deliveries.document(pipeline.context, sender, queued, 0),
        lambda: mailbox.document(pipeline.context, who, digital, 0),
    ]
    for read in readers:
        with pytest.raises(ZendingError) as caught:
            read()
        assert caught.value.code in CODES
    assert "ContentHandover" not in events(pipeline, sender, digital), "what was not given was not handed over"
    pipeline.work(JobKind.LETTER, JobKind.HAND_OVER)
    assert {path.name for path in pipeline.application.settings.print_folder.iterdir()} == before
    for delivery in (to_print, queued):
        assert "RelayToNonERDS" not in events(pipeline, sender, delivery)
    lying.reading = None
    go_on(pipeline, database)
    sealed = deliveries.document(pipeline.context, sender, digital, 0).content
    (part,) = evidence(pipeline, sender, digital, "ContentConsignment")["parts"]
    assert part["sha256"] == hashlib.sha256(sealed).hexdigest()


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_one_flipped_bit_in_any_stored_object_is_found_by_whoever_reads_it(
    pipeline: Pipeline, organisation: Sender, place: str
) -> None:
    sender = organisation()
    deliver(pipeline, sender, "jan")
    pipeline.close_batches()
    pipeline.work()
    vault, store = pipeline.context.vault, pipeline.application.store
    seen = set()
    for found in [each for each in vault.stored() if housekeeping.subject_of(each.path)]:
        subject, role, _ = found.path.split("/")
        content = bytearray(store.get(found.path, limit=10**8))
        content[{"first": 0, "middle": len(content) // 2, "last": -1}[place]] ^= 0x10
        store.delete_many([found.path])
        store.put_new(found.path, bytes(content))
        owner = owner_of(pipeline, found.path)
        with pytest.raises(VaultIntegrityError):
            vault.read(found.path, owner, parse_id(DELIVERY, f"dlv_{subject.replace('-', '')}"), role)
        seen.add(role)
    assert seen == {"original-0", "sealed-0", "print-1", "batch"}


def owner_of(pipeline: Pipeline, path: str) -> uuid.UUID:
    """Whose object it is."""
    with pipeline.context.database.transaction() as session:
        widen(session, every_organisation(session))
        return session.scalars(select(VaultObject.organisation_id).where(VaultObject.path == path)).one()


@pytest.mark.parametrize("lie", WRITING)
def test_what_a_far_store_did_not_take_whole_is_not_acknowledged(
    far: Pipeline, proxy: LyingProxy, database: TestDatabase, lie: str
) -> None:
    sender = far.organisation()
    proxy.writing = lie
    with pytest.raises(ZendingError) as caught:
        far.hand_in(sender, "jan", key="once")
    assert caught.value.code in CODES
    assert proxy.lies
    assert execute(database, "SELECT count(*) FROM delivery") == [(0,)]
    proxy.tell_the_truth()
    delivery = far.hand_in(sender, "jan", key="once").delivery_id
    far.work()
    far.close_batches()
    far.work()
    assert status(far, sender, delivery) == "handed_over"


@pytest.mark.parametrize("lie", ["bit flipped", "cut short", "an older one", "not there", "error", "hang"])
def test_a_far_store_that_lies_holds_work_up_and_nothing_else(
    far: Pipeline, proxy: LyingProxy, database: TestDatabase, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    never_wait(monkeypatch)
    sender = far.organisation()
    first = deliver(far, sender, "jan")
    delivery = far.hand_in(sender, "jan").delivery_id
    proxy.hang, proxy.reading = (True, None) if lie == "hang" else (False, lie)
    far.work(JobKind.SEAL) if lie not in {"hang", "error"} else one_chunk(far)
    assert proxy.lies
    assert status(far, sender, delivery) == "received"
    with pytest.raises(ZendingError) as caught:
        deliveries.document(far.context, sender, first, 0)
    assert caught.value.code in CODES
    proxy.tell_the_truth()
    go_on(far, database)
    far.close_batches()
    far.work()
    assert [status(far, sender, each) for each in (first, delivery)] == ["handed_over"] * 2


def one_chunk(pipeline: Pipeline) -> None:
    """A store that is away is waited for: without the waiting, work would go on for ever."""
    run_chunk(pipeline.context.database, all_steps(pipeline.context)[JobKind.SEAL], lease_seconds=60)
