"""What is held back, taken out, or printed again: letters and batches, up to the moment from which a batch is fixed."""

import hashlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from printing.manifest import Manifest, read_manifest
from printing.providers.base import Parcel, RemoteState
from service.db.jobs import JobKind
from service.domain.errors import Conflict, Invalid, NotFound
from service.usecases import deliveries, print_holds, print_runs, reprints
from tests.engine_support import end_leases, execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender, change_way, events, parked, status

REASON = "The paper jams"


def letter(pipeline: Pipeline, sender: Any, postcode: str = "9000", **fields: Any) -> str:
    address = {"name": "Jan Claes", "street": "Dorp", "number": "1", "postcode": postcode, "municipality": "Ergens"}
    return pipeline.hand_in(sender, "jan", postal_address=address, **fields).delivery_id


def files(pipeline: Pipeline) -> list[Path]:
    return sorted(pipeline.application.settings.print_folder.glob("*.ZIP"))


def manifests(pipeline: Pipeline) -> list[Manifest]:
    return [read_manifest(BytesIO(file.read_bytes())) for file in files(pipeline)]


def number(database: TestDatabase) -> int:
    ((found,),) = execute(database, "SELECT number FROM print_batch")
    return int(found)


class Act:
    """A way on which something happens just before a batch is uploaded, or after."""

    def __init__(self, real: Any, act: Callable[[], None], *, after: bool) -> None:
        self._real, self._act, self._after, self._done = real, act, after, False

    def state(self, parcel: Parcel) -> RemoteState:
        return self._real.state(parcel)  # type: ignore[no-any-return]

    def upload(self, parcel: Parcel, data: bytes | Path) -> RemoteState:
        if not self._after:
            self._once()
        made: RemoteState = self._real.upload(parcel, data)
        if self._after:
            self._once()
        return made

    def publish(self, parcel: Parcel) -> None:
        self._real.publish(parcel)

    def discard(self, parcel: Parcel) -> None:
        self._real.discard(parcel)

    def _once(self) -> None:
        if not self._done:
            self._done = True
            self._act()


def test_a_held_letter_stays_behind_until_it_is_released(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    held, other = letter(pipeline, sender), letter(pipeline, sender)
    pipeline.work()
    assert print_holds.hold_letters(pipeline.context, [f"{held}-1"], reason=REASON, actor="cli") == 1
    assert print_holds.hold_letters(pipeline.context, [f"{held}-1"], reason=REASON, actor="cli") == 0
    assert pipeline.close_batches() == 1
    pipeline.work()
    assert [entry.id for each in manifests(pipeline) for entry in each.letters] == [f"{other}-1"]
    with pytest.raises(Invalid) as refused:
        print_holds.hold_letters(pipeline.context, [f"{other}-1"], reason=REASON, actor="cli")
    assert refused.value.code == "letter_not_waiting"
    assert print_holds.release_letters(pipeline.context, [f"{held}-1"], actor="cli") == 1
    assert pipeline.close_batches() == 1
    pipeline.work()
    assert status(pipeline, sender, held) == "handed_over"
    trail = "SELECT act, subject, details::text FROM audit_entry WHERE act <> 'print.close' ORDER BY id"
    told = execute(database, trail)
    assert [row[:2] for row in told] == [
        ("print_letter.hold", f"{held}-1"),
        ("print_letter.release", f"{held}-1"),
    ]
    assert REASON not in str(told)


def test_holds_need_a_reason_and_something_to_hold(pipeline: Pipeline) -> None:
    context = pipeline.context
    with pytest.raises(Invalid, match="1 to 200"):
        print_holds.hold_letters(context, [], reason=" ", actor="cli")
    with pytest.raises(Invalid, match="named as manifests"):
        print_holds.hold_letters(context, ["x"], reason=REASON, actor="cli")
    with pytest.raises(NotFound):
        print_holds.hold_batch(context, 4711, reason=REASON, actor="cli")
    with pytest.raises(NotFound):
        print_holds.hold_product(context, "directory", "parcel", reason=REASON, actor="cli")
    with pytest.raises(Conflict):
        print_holds.release_product(context, "directory", "letter", actor="cli")


@pytest.mark.parametrize("moment", ["before", "during"])
def test_a_held_batch_is_handed_over_once_it_is_released(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, moment: str
) -> None:
    sender = organisation()
    delivery = letter(pipeline, sender)
    pipeline.work()
    pipeline.close_batches()

    def hold() -> None:
        print_holds.hold_batch(pipeline.context, number(database), reason=REASON, actor="cli")

    if moment == "before":
        hold()
    else:
        change_way(pipeline, Act(pipeline.context.printers.first.provider, hold, after=True))
    pipeline.work()
    execute(database, "UPDATE job SET due_at = now()")
    pipeline.work()
    assert files(pipeline) == []
    assert execute(database, "SELECT count(*) FROM job") == [(0,)]
    with pytest.raises(Conflict):
        print_holds.hold_batch(pipeline.context, number(database), reason=REASON, actor="cli")
    print_holds.release_batch(pipeline.context, number(database), actor="cli")
    pipeline.work()
    assert len(files(pipeline)) == 1
    assert status(pipeline, sender, delivery) == "handed_over"
    with pytest.raises(Conflict) as late:
        print_holds.hold_batch(pipeline.context, number(database), reason=REASON, actor="cli")
    assert late.value.code == "batch_fixed"


@pytest.mark.parametrize("way", ["cancel", "withdraw"])
@pytest.mark.parametrize("moment", ["frozen", "made", "uploaded"])
def test_a_sender_takes_a_letter_out_of_a_batch_that_is_not_fixed(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, way: str, moment: str
) -> None:
    sender = organisation()
    gone, stays = letter(pipeline, sender, "1000"), letter(pipeline, sender, "2000")
    pipeline.work()
    pipeline.close_batches()

    def take_out() -> None:
        if way == "cancel":
            assert deliveries.cancel(pipeline.context, sender, gone).status == "cancelled"
        else:
            deliveries.withdraw(pipeline.context, sender, gone, "wrong_document")

    if moment == "frozen":
        take_out()
    else:
        real = pipeline.context.printers.first.provider
        change_way(pipeline, Act(real, take_out, after=moment == "uploaded"))
    pipeline.work()
    execute(database, "UPDATE job SET due_at = now()")
    pipeline.work()
    (manifest,) = manifests(pipeline)
    assert [entry.id for entry in manifest.letters] == [f"{stays}-1"]
    ((sha256, letters),) = execute(database, "SELECT sha256, letters FROM print_batch")
    assert (hashlib.sha256(files(pipeline)[0].read_bytes()).digest(), letters) == (bytes(sha256), 1)
    assert status(pipeline, sender, stays) == "handed_over"
    assert status(pipeline, sender, gone) in {"cancelled", "withdrawn"}
    assert "RelayToNonERDS" not in events(pipeline, sender, gone)
    assert parked(database) == []


def test_a_batch_that_everybody_left_is_handed_over_to_nobody(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    delivery = letter(pipeline, sender)
    pipeline.work()
    pipeline.close_batches()
    deliveries.cancel(pipeline.context, sender, delivery)
    pipeline.work()
    assert files(pipeline) == []
    assert execute(database, "SELECT emptied_at IS NOT NULL, letters, state FROM print_batch") == [(True, 0, "frozen")]
    assert execute(database, "SELECT count(*) FROM job") == [(0,)]


def test_a_batch_that_is_fixed_lets_no_letter_go(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    delivery = letter(pipeline, sender)
    pipeline.work()
    pipeline.close_batches()
    execute(database, "UPDATE print_batch SET fixed_at = now()")
    with pytest.raises(Conflict):
        deliveries.cancel(pipeline.context, sender, delivery)
    with pytest.raises(Conflict):
        deliveries.withdraw(pipeline.context, sender, delivery, "wrong_document")
    pipeline.work()
    assert status(pipeline, sender, delivery) == "handed_over"


def test_a_letter_is_printed_again_as_another_attempt_with_evidence(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    delivery, other = letter(pipeline, sender), letter(pipeline, sender)
    pipeline.work()
    with pytest.raises(Conflict):
        reprints.order(pipeline.context, [f"{delivery}-1"], reason="damaged", actor="cli")
    pipeline.close_batches()
    pipeline.work()
    assert reprints.order(pipeline.context, [f"{delivery}-1"], reason="damaged", actor="cli") == 1
    assert reprints.order(pipeline.context, [f"{delivery}-1"], reason="damaged", actor="cli") == 0
    with pytest.raises(Invalid, match="A reason is one of"):
        reprints.order(pipeline.context, [f"{other}-1"], reason="because", actor="cli")
    assert pipeline.close_batches() == 1
    pipeline.work()
    first, again = manifests(pipeline)
    assert [(entry.id, entry.attempt) for entry in again.letters] == [(f"{delivery}-1", 2)]
    before = next(entry for entry in first.letters if entry.id == f"{delivery}-1")
    assert before.attempt == 1
    assert before.content_sha256 == again.letters[0].content_sha256
    assert before.set != again.letters[0].set
    assert status(pipeline, sender, delivery) == "handed_over"
    assert events(pipeline, sender, delivery).count("RelayToNonERDS") == 2
    assert events(pipeline, sender, other).count("RelayToNonERDS") == 1
    assert execute(database, "SELECT attempt, reprint_reason FROM print_letter WHERE attempt > 0") == [(1, "damaged")]
    timeline = execute(database, "SELECT reason FROM delivery_event WHERE event = 'reprint_ordered'")
    assert timeline == [("damaged",)]


def test_letters_that_were_queued_before_sheets_had_codes_are_printed(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    old, new = letter(pipeline, sender, "1000"), letter(pipeline, sender, "2000")
    pipeline.work()
    execute(database, "UPDATE print_letter SET set_number = NULL, postage_cents = NULL WHERE postcode = '1000'")
    assert print_runs.close(pipeline.context, actor="cli", printer="directory", product="letter") == 1
    pipeline.work(JobKind.HAND_OVER)
    (manifest,) = manifests(pipeline)
    sets = {entry.id: entry.set for entry in manifest.letters}
    assert sets[f"{old}-1"] is None
    assert sets[f"{new}-1"] is not None


class Died(BaseException):
    """The process died here."""


def die() -> None:
    raise Died


def left(pipeline: Pipeline) -> list[str]:
    return sorted(file.name for file in pipeline.application.settings.print_folder.iterdir())


@pytest.mark.parametrize("dies", [False, True], ids=["goes on", "dies after the upload"])
@pytest.mark.parametrize("act", ["taken back", "held"])
def test_nothing_of_a_batch_that_does_not_go_stays_at_the_print_house(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, act: str, *, dies: bool
) -> None:
    sender = organisation()
    delivery = letter(pipeline, sender)
    pipeline.work()
    pipeline.close_batches()
    real = pipeline.context.printers.first.provider

    def stop() -> None:
        if act == "held":
            print_holds.hold_batch(pipeline.context, number(database), reason=REASON, actor="cli")
        else:
            deliveries.cancel(pipeline.context, sender, delivery)

    change_way(pipeline, Act(real, die if dies else stop, after=True))
    if dies:
        with pytest.raises(Died):
            pipeline.work()
        assert left(pipeline)[0].endswith(".TMP")
        stop()
        end_leases(database)
    change_way(pipeline, Act(pipeline.context.printers.first.provider, lambda: None, after=True))
    pipeline.work()
    execute(database, "UPDATE job SET due_at = now()")
    pipeline.work()
    assert left(pipeline) == []
    assert execute(database, "SELECT count(*) FROM job") == [(0,)]
    if act == "held":
        print_holds.release_batch(pipeline.context, number(database), actor="cli")
        pipeline.work()
        assert len(files(pipeline)) == 1
        assert status(pipeline, sender, delivery) == "handed_over"
