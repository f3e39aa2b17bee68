"""Print batches: what shares one, what leaves the queue, and that a death at any point prints nothing twice."""

import dataclasses
import hashlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pikepdf
import pytest
from msgspec import structs

from printing import profiles
from printing.errors import Problem, ProviderUnavailable
from printing.manifest import Manifest, read_manifest
from printing.providers.base import Parcel, RemoteState
from printing.providers.directory import DirectoryProvider
from service.db.ids import DELIVERY, parse_id
from service.db.jobs import JobKind
from service.domain.errors import Conflict
from service.printers.wired import Printers
from service.usecases import deliveries
from service.usecases.admission import Upload
from service.usecases.personal import PLATFORM
from tests.engine_support import end_leases, execute, make_due
from tests.pipeline_support import Pipeline, TestDatabase
from tests.service_support import DOCUMENTS
from tests.usecase_support import (
    Sender,
    change,
    change_way,
    deliver,
    events,
    evidence,
    parked,
    put_again,
    snapshot,
    status,
    waiting,
)


def letter(pipeline: Pipeline, sender: Any, postcode: str = "9000", **fields: Any) -> str:
    address = {"name": "Jan Claes", "street": "Dorp", "number": "1", "postcode": postcode, "municipality": "Ergens"}
    return pipeline.hand_in(sender, "jan", postal_address=address, **fields).delivery_id


def files(pipeline: Pipeline) -> list[Path]:
    return sorted(pipeline.application.settings.print_folder.iterdir())


def manifests(pipeline: Pipeline) -> list[Manifest]:
    return [read_manifest(BytesIO(file.read_bytes())) for file in files(pipeline)]


def limited(pipeline: Pipeline, **limits: int) -> None:
    (printer,) = pipeline.context.printers.values()
    profile = profiles.load()
    changed = structs.replace(profile, limits=structs.replace(profile.limits, **limits))
    change(pipeline, printers=Printers([dataclasses.replace(printer, profile=changed)]))


def test_letters_of_a_batch_stand_by_postcode_and_the_manifest_tells_every_page(
    pipeline: Pipeline, organisation: Sender
) -> None:
    first, second = organisation(), organisation()
    given = {
        letter(pipeline, sender, postcode): postcode
        for sender, postcode in ((first, "9000"), (second, "1000"), (first, "4000"), (second, "1000"))
    }
    pipeline.work()
    assert pipeline.close_batches() == 1
    assert JobKind.HAND_OVER in pipeline.woken
    pipeline.work()
    (file,), (manifest,) = files(pipeline), manifests(pipeline)
    told = [entry.id.rsplit("-", 1)[0] for entry in manifest.letters]
    assert sorted(told) == sorted(given)
    assert [given[each] for each in told] == ["1000", "1000", "4000", "9000"]
    with ZipFile(file) as package, pikepdf.open(BytesIO(package.read("letters.pdf"))) as pdf:
        pages = [
            number for entry in manifest.letters for number in range(entry.first_page, entry.first_page + entry.pages)
        ]
        assert pages == list(range(1, len(pdf.pages) + 1))
        assert all(entry.first_page % 2 == 1 for entry in manifest.letters)
    copies = {entry.id: entry.content_sha256 for entry in manifest.letters}
    for delivery, sender in zip(given, (first, second, first, second), strict=True):
        assert status(pipeline, sender, delivery) == "handed_over"
        record = evidence(pipeline, sender, delivery, "RelayToNonERDS")
        assert record["external"]["reference"].startswith("prt_")
        assert record["letter"] == {
            "print_sha256": copies[f"{delivery}-1"],
            "batch_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "registered_number": None,
            "posting_proof_sha256": None,
            "receipt_sha256": None,
        }
        assert deliveries.get(pipeline.context, sender, delivery).effective_at is not None
        told_events = [each.event for each in deliveries.timeline(pipeline.context, sender, delivery)]
        assert told_events[-2:] == ["batched", "RelayToNonERDS"]


def test_a_batch_holds_one_product(pipeline: Pipeline, organisation: Sender) -> None:
    sender = organisation()
    for options in ({}, {"duplex": False}, {"colour": True}, {"colour": True, "duplex": False}):
        letter(pipeline, sender, print=options)
    letter(pipeline, sender, registered=True)
    letter(pipeline, sender, language="fr")
    pipeline.work()
    assert pipeline.close_batches() == 6
    pipeline.work()
    keys = [manifest.key for manifest in manifests(pipeline)]
    assert len(set(keys)) == 6
    assert [len(manifest.letters) for manifest in manifests(pipeline)] == [1] * 6
    assert {(key.duplex, key.colour) for key in keys} == {(a, b) for a in (True, False) for b in (True, False)}
    assert sum(key.registered is not None for key in keys) == 1


def test_a_batch_has_at_most_so_many_letters_and_bytes(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    assert profiles.load().limits.batch_letters <= 1000
    sender = organisation()
    for number in range(5):
        letter(pipeline, sender, f"{1000 + number}")
    pipeline.work()
    limited(pipeline, batch_letters=2)
    assert pipeline.close_batches() == 3
    assert execute(database, "SELECT letters FROM print_batch ORDER BY number") == [(2,), (2,), (1,)]
    # A letter larger than the limit travels alone.
    limited(pipeline, batch_bytes=1)
    for _ in range(2):
        letter(pipeline, sender)
    pipeline.work()
    assert pipeline.close_batches() == 2


def test_a_cancelled_letter_leaves_the_queue(pipeline: Pipeline, organisation: Sender, database: TestDatabase) -> None:
    sender = organisation()
    ids = [letter(pipeline, sender, postcode) for postcode in ("1000", "2000", "3000")]
    pipeline.work()
    for gone in ids[:2]:
        assert deliveries.cancel(pipeline.context, sender, gone).status == "cancelled"
    # Those that stay are found, however many of those in front of them are gone.
    limited(pipeline, batch_letters=2)
    assert pipeline.close_batches() == 1
    assert execute(database, "SELECT delivery_id FROM print_letter") == [(parse_id(DELIVERY, ids[2]),)]
    pipeline.work()
    (manifest,) = manifests(pipeline)
    assert [entry.id for entry in manifest.letters] == [f"{ids[2]}-1"]
    only = letter(pipeline, sender)
    pipeline.work()
    deliveries.cancel(pipeline.context, sender, only)
    assert pipeline.close_batches() == 0
    assert execute(database, "SELECT 1 FROM print_letter WHERE batch_id IS NULL") == []


def closing(pipeline: Pipeline) -> int:
    """Close, unless somebody else is just at it."""
    try:
        return pipeline.close_batches()
    except Conflict:
        return 0


def test_two_closers_at_once_share_no_letter(pipeline: Pipeline, organisation: Sender, database: TestDatabase) -> None:
    sender = organisation()
    for number in range(6):
        letter(pipeline, sender, f"{1000 + number}")
    pipeline.work()
    limited(pipeline, batch_letters=2)
    with ThreadPoolExecutor(4) as pool:
        closed = list(pool.map(lambda _: closing(pipeline), range(4)))
    assert sum(closed) + pipeline.close_batches() == 3
    assert execute(database, "SELECT sum(letters), count(*) FROM print_batch") == [(6, 3)]
    pipeline.work()
    assert sum(len(manifest.letters) for manifest in manifests(pipeline)) == 6


class Died(BaseException):
    """The process died here."""


@dataclasses.dataclass
class Deadly:
    """A provider that dies before or after one of its acts, once."""

    real: Any
    act: str
    after: bool
    taken_away: Path | None = None
    alive: bool = False

    def state(self, parcel: Parcel) -> RemoteState:
        return self.real.state(parcel)  # type: ignore[no-any-return]

    def upload(self, parcel: Parcel, data: bytes | Path) -> RemoteState:
        return self._do("upload", parcel, data)  # type: ignore[no-any-return]

    def publish(self, parcel: Parcel) -> None:
        self._do("publish", parcel)

    def discard(self, parcel: Parcel) -> None:
        self._do("discard", parcel)

    def _do(self, act: str, *arguments: Any) -> Any:
        dies = act == self.act and not self.alive
        self.alive = self.alive or dies
        if dies and not self.after:
            raise Died
        result = getattr(self.real, act)(*arguments)
        if dies:
            if self.taken_away is not None:
                next(self.taken_away.glob("*.ZIP")).unlink()
            raise Died
        return result


def until_it_dies(pipeline: Pipeline, database: TestDatabase) -> None:
    with pytest.raises(Died):
        pipeline.work(JobKind.HAND_OVER)
    assert all(name != "handed_over" for (name,) in execute(database, "SELECT state FROM print_batch"))
    end_leases(database)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("act", ["upload", "publish"])
def test_a_death_on_the_way_to_the_print_house_leaves_exactly_one_file(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, act: str, when: str
) -> None:
    sender = organisation()
    delivery = letter(pipeline, sender)
    pipeline.work()
    pipeline.close_batches()
    real = pipeline.context.printers.first.provider
    change_way(pipeline, Deadly(real, act, after=when == "after"))
    until_it_dies(pipeline, database)
    ((frozen,),) = execute(database, "SELECT sha256 FROM print_batch")
    pipeline.work()
    (file,) = files(pipeline)
    assert file.suffix == ".ZIP"
    assert hashlib.sha256(file.read_bytes()).digest() == bytes(frozen)
    assert status(pipeline, sender, delivery) == "handed_over"
    assert events(pipeline, sender, delivery).count("RelayToNonERDS") == 1
    assert (waiting(database), parked(database)) == ([], [])


def test_a_file_that_the_print_house_took_before_we_knew_is_not_sent_again(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    delivery = letter(pipeline, sender)
    pipeline.work()
    pipeline.close_batches()
    folder = pipeline.application.settings.print_folder
    change_way(pipeline, Deadly(pipeline.context.printers.first.provider, "publish", after=True, taken_away=folder))
    until_it_dies(pipeline, database)
    pipeline.work()
    assert files(pipeline) == []
    assert status(pipeline, sender, delivery) == "handed_over"


@pytest.mark.parametrize("known_by", ["its row", "its receipt"])
def test_a_batch_whose_way_was_changed_before_its_rename_is_not_taken_for_fetched(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, tmp_path: Path, known_by: str
) -> None:
    sender = organisation()
    delivery = letter(pipeline, sender)
    pipeline.work()
    pipeline.close_batches()
    former = pipeline.context.printers.first
    change_way(pipeline, Deadly(former.provider, "publish", after=False))
    until_it_dies(pipeline, database)
    if known_by == "its receipt":
        # A restore brought the database back to the moment before: only the receipt knows.
        execute(database, "UPDATE print_batch SET state = 'frozen', uploaded_at = NULL, place = NULL")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    change_way(pipeline, DirectoryProvider(elsewhere), place=elsewhere.as_uri())
    pipeline.work(JobKind.HAND_OVER)
    assert waiting(database) == [("hand_over", "print_way_changed")]
    assert (list(elsewhere.iterdir()), status(pipeline, sender, delivery)) == ([], "batched")
    # The former way is described again: only now it is renamed there.
    change_way(pipeline, former.provider, place=former.place or "")
    make_due(database)
    pipeline.work()
    assert [file.suffix for file in files(pipeline)] == [".ZIP"]
    assert (status(pipeline, sender, delivery), parked(database)) == ("handed_over", [])


def test_a_death_before_the_bytes_were_named_makes_the_same_bytes_again(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = organisation()
    letter(pipeline, sender)
    pipeline.work()
    pipeline.close_batches()
    made: list[bytes] = []
    prepare = pipeline.context.vault.prepare

    def watching(*arguments: Any) -> Any:
        made.append(arguments[-1])
        return prepare(*arguments)

    def die(*_: Any, **__: Any) -> Any:
        raise Died

    monkeypatch.setattr(pipeline.context.vault, "prepare", watching)
    with monkeypatch.context() as patch:
        patch.setattr("service.db.printing.save_content", die)
        until_it_dies(pipeline, database)
    pipeline.work()
    assert len(made) == 2
    assert made[0] == made[1]
    assert files(pipeline)[0].read_bytes() == made[0]


def test_a_batch_that_somebody_else_holds_by_now_is_left_to_them(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = organisation()
    delivery = letter(pipeline, sender)
    pipeline.work()
    pipeline.close_batches()
    real = pipeline.context.vault.write
    with monkeypatch.context() as patch:

        def taken_over(prepared: Any) -> None:
            real(prepared)
            execute(database, "UPDATE job SET fence = fence + 1, lease_until = now() + interval '1 minute'")

        patch.setattr(pipeline.context.vault, "write", taken_over)
        pipeline.work(JobKind.HAND_OVER)
    assert files(pipeline) == []
    assert execute(database, "SELECT path FROM print_batch") == [(None,)]
    end_leases(database)
    with monkeypatch.context() as patch:
        patch.setattr("service.db.printing.save_content", lambda *_, **__: False)
        pipeline.work(JobKind.HAND_OVER)
    assert files(pipeline) == []
    execute(database, "UPDATE job SET due_at = now()")
    pipeline.work()
    assert len(files(pipeline)) == 1
    assert status(pipeline, sender, delivery) == "handed_over"


def test_a_print_house_that_is_away_is_waited_for(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    delivery = letter(pipeline, sender)
    pipeline.work()
    pipeline.close_batches()
    real = pipeline.context.printers.first.provider

    class Away:
        def state(self, _: Parcel) -> RemoteState:
            raise ProviderUnavailable(Problem("PROVIDER_UNAVAILABLE", "Not now."))

    change_way(pipeline, Away())
    pipeline.work()
    assert waiting(database) == [("hand_over", "print_provider_unavailable")]
    assert status(pipeline, sender, delivery) == "batched"
    change_way(pipeline, real)
    execute(database, "UPDATE job SET due_at = now()")
    pipeline.work()
    assert status(pipeline, sender, delivery) == "handed_over"


def test_handing_over_twice_changes_nothing(pipeline: Pipeline, organisation: Sender, database: TestDatabase) -> None:
    letter(pipeline, organisation())
    pipeline.work()
    pipeline.close_batches()
    pipeline.work()
    before, there = snapshot(database), files(pipeline)
    ((batch,),) = execute(database, "SELECT id FROM print_batch")
    put_again(pipeline, JobKind.HAND_OVER, PLATFORM, batch)
    pipeline.work()
    assert snapshot(database) == before
    assert files(pipeline) == there


def test_attachments_are_printed_after_the_document(pipeline: Pipeline, organisation: Sender) -> None:
    sender = organisation()
    pdf = (DOCUMENTS / "receipt-nl-reportlab.pdf").read_bytes()
    deliver(pipeline, sender, "jan", uploads=[Upload("document", "a.pdf", pdf), Upload("attachment", "b.pdf", pdf)])
    deliver(pipeline, sender, "jan", uploads=[Upload("document", "a.pdf", pdf)])
    pipeline.close_batches()
    pipeline.work()
    sheets = sorted(entry.sheets for manifest in manifests(pipeline) for entry in manifest.letters)
    assert sheets[1] > sheets[0]
