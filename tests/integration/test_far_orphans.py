"""The collectors over S3: what is old and counts for nothing goes, everything else stays, whatever LIST says."""

import itertools
import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import pytest

from service.db import deliveries as rows
from service.db.ids import new_id
from service.embedded.stack import Stack
from service.usecases import deliveries, housekeeping
from service.usecases.admission import intents
from service.vault.errors import ObjectMissing
from tests.engine_support import execute
from tests.lying_store_support import LISTING, LyingProxy, lying_proxy
from tests.pipeline_support import Pipeline, TestDatabase, wired
from tests.s3_support import S3, s3_server
from tests.usecase_support import deliver, orphans

WINDOW = timedelta(hours=2)
LATER = WINDOW + timedelta(minutes=1)
LIMIT = 10_000_000


@pytest.fixture(scope="module", params=["moto", "ceph"])
def server(request: pytest.FixtureRequest) -> Iterator[S3]:
    with s3_server() if request.param == "moto" else nullcontext(request.getfixturevalue("ceph")) as running:
        yield running


@pytest.fixture
def proxy(server: S3) -> Iterator[LyingProxy]:
    with lying_proxy(server.endpoint, server.client()) as running:
        yield running


@pytest.fixture
def far(
    stack: Stack, database: TestDatabase, tmp_path: Path, server: S3, proxy: LyingProxy, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pipeline]:
    """A pipeline whose store is the S3 server behind a proxy that lies when it is told to."""
    for name, value in server.credentials.items():
        monkeypatch.setenv(name, value)
    url = server.address(uuid.uuid4().hex, endpoint=proxy.url)
    with wired(stack, database, tmp_path, quiet_hours=False, storage_url=url) as application:
        yield Pipeline(application, stack.home / "pki")


def there(far: Pipeline) -> set[str]:
    """What the server has, by itself and not by its listing."""
    return {each.path for each in far.context.vault.stored()}


def left_behind(far: Pipeline, sender: uuid.UUID, *, known: bool = True) -> str:
    """An object of a hand-in that died; where it isn't ``known``, a restore forgot its intent too."""
    subject = new_id()
    prepared = far.context.vault.prepare(sender, 2036, subject, "original-0", b"x")
    if known:
        with far.context.database.transaction(organisations=[sender]) as session:
            rows.intend(session, intents(sender, subject, [prepared]))
    far.context.vault.write(prepared)
    return prepared.path


def collect(far: Pipeline) -> int:
    """What the scheduler does by itself and, for what a restore forgot, a person; returns how many went."""
    gone = housekeeping.collect_orphans(far.context, window=WINDOW)
    unknown = housekeeping.unknown_objects(far.context, window=WINDOW)
    while chunk := list(itertools.islice(unknown, housekeeping.COLLECT)):
        far.context.vault.remove_many(chunk)
        gone += len(chunk)
    return gone


def test_old_orphans_go_young_ones_and_what_is_named_stay(far: Pipeline, database: TestDatabase) -> None:
    sender = far.organisation()
    delivery = deliver(far, sender, "jan")
    named = there(far)
    assert orphans(database) == 0, execute(database, "SELECT path FROM vault_object WHERE kept_at IS NULL")
    old, forgotten = left_behind(far, sender), left_behind(far, sender, known=False)
    assert collect(far) == 0, "all of it is younger than the window"
    assert there(far) == named | {old, forgotten}
    young = left_behind(far, sender)
    # The row says how old an object is, and not the store.
    made = "UPDATE vault_object SET intended_at = now() - interval '3 hours' WHERE path = ANY(%s)"
    execute(database, made, [old, *named])
    assert collect(far) == 1
    assert there(far) == named | {forgotten, young}
    far.skew = LATER
    assert collect(far) == 2
    assert there(far) == named
    assert orphans(database) == 0
    assert deliveries.document(far.context, sender, delivery, 0).content.startswith(b"%PDF")


@pytest.mark.parametrize("lie", LISTING)
def test_a_listing_that_lies_costs_nothing_that_counts(far: Pipeline, proxy: LyingProxy, lie: str) -> None:
    sender = far.organisation()
    delivery = deliver(far, sender, "jan")
    kept = there(far) | {left_behind(far, sender), left_behind(far, sender, known=False)}
    proxy.listing = lie
    collect(far)
    assert proxy.lies
    proxy.tell_the_truth()
    assert there(far) == kept, "nothing that is younger than the window was removed"
    assert deliveries.document(far.context, sender, delivery, 0).content.startswith(b"%PDF")
    far.skew = LATER
    proxy.listing = lie
    collect(far)
    proxy.tell_the_truth()
    assert deliveries.document(far.context, sender, delivery, 0).content.startswith(b"%PDF")
    # What a lie hid is found once the truth is told.
    collect(far)
    assert len(there(far)) == len(kept) - 2


def test_an_object_that_went_already_is_no_trouble(far: Pipeline, database: TestDatabase) -> None:
    sender = far.organisation()
    paths = [left_behind(far, sender) for _ in range(3)]
    far.context.vault.remove(paths[1])
    far.skew = LATER
    assert housekeeping.collect_orphans(far.context, window=WINDOW) == 3
    assert orphans(database) == 0
    for path in paths:
        with pytest.raises(ObjectMissing):
            far.application.store.get(path, limit=LIMIT)
