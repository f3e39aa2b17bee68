"""A proof print: looked at, never posted, and never taken for the letter itself."""

from dataclasses import replace
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from pyrage import x25519

from printing.codes import read_payload
from printing.encryption import open_with
from printing.exchange import (
    OUTCOMES,
    Acknowledgement,
    Deleted,
    Events,
    LetterAnswer,
    LetterEvent,
    Message,
    PostalEvent,
    Response,
    encode,
)
from printing.manifest import is_file_name, is_proof_name, read_manifest
from printing.providers.parts import WHOLE
from printing.simulator.intake import examine, front
from printing.simulator.pictures import sheet_code
from service.db.ids import DELIVERY, new_id, public_id
from service.domain.errors import Conflict, NotFound, Retryable
from service.printers.wired import Printers
from service.usecases import post_reports, proofs
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.print_house_support import Place
from tests.print_http_support import http_house
from tests.printing_support import texts_of
from tests.usecase_support import Sender, status

FILES = "*_0PROOF.ZIP"
ADDRESS = {"name": "Jan Claes", "street": "Dorp", "number": "1", "postcode": "9000", "municipality": "Ergens"}


def letter(pipeline: Pipeline, sender: Any) -> str:
    delivery = pipeline.hand_in(sender, "jan", postal_address=ADDRESS).delivery_id
    pipeline.work()
    return str(delivery)


def out(pipeline: Pipeline) -> Path:
    return pipeline.application.settings.print_folder


def state(database: TestDatabase) -> list[Any]:
    """All that could move by a proof."""
    rows = [
        f"SELECT to_jsonb(t)::text FROM {table} t ORDER BY 1"
        for table in ("delivery", "leg", "print_letter", "print_batch", "job")
    ]
    return [execute(database, query) for query in rows]


def claims(letter: str, batch: int, now: datetime) -> tuple[Message, ...]:
    """That a letter was printed, posted, delivered, and that it is rejected."""
    kinds = (PostalEvent.PRINTED, PostalEvent.POSTED, PostalEvent.DELIVERED)
    events = [
        LetterEvent(id=letter, event_id=f"e-{kind}", event=kind, outcome=OUTCOMES[kind], at=now) for kind in kinds
    ]
    answer = LetterAnswer(id=letter, accepted=False, code="X")
    return Events(at=now, events=tuple(events)), Response(batch=batch, at=now, letters=(answer,))


def test_a_proof_is_printed_and_told_and_changes_nothing(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, tmp_path: Path
) -> None:
    sender = organisation()
    delivery = letter(pipeline, sender)
    before = state(database)
    printer, name = proofs.send(pipeline.context, delivery, actor="cli")
    assert state(database) == before
    assert (printer, is_proof_name(name), is_file_name(name)) == (pipeline.context.printers.first.name, True, False)
    (file,) = out(pipeline).iterdir()
    data = file.read_bytes()
    manifest = read_manifest(BytesIO(data))
    (entry,) = manifest.letters
    assert (manifest.proof, entry.set, file.name) == (True, "000000000000", name)
    assert entry.id.startswith("proof-")
    package = examine(name, data, pipeline.context.printers.first.profile, None)
    code = sheet_code(front(package, entry))
    assert code is not None
    assert read_payload(code).set == "000000000000"
    told = execute(database, "SELECT act, subject, details::text FROM audit_entry WHERE act = 'print_letter.proof'")
    assert [row[:2] for row in told] == [("print_letter.proof", delivery)]
    assert name in str(told)

    place = Place(tmp_path, {"keep_days": 2})
    place.bring(name, data)
    with place.house() as house:
        (said,) = house.round()
        assert "is a proof" in said
        place.bring(name, data)
        assert "not printed again" in house.round()[0]
        place.days(10, house)
        assert (house.counts.letters, house.counts.printed, house.counts.posted) == (0, 0, 0)
    assert {type(message) for message in place.messages()} == {Acknowledgement, Deleted}
    received = place.of(Acknowledgement)[0]
    assert (received.file, received.letters, received.sheets) == (name, 1, entry.sheets)
    for each, content in place.files().items():
        post_reports.take(pipeline.context, printer, each, content, pipeline.context.clock())
    assert execute(database, "SELECT DISTINCT state FROM print_inbound") == [("taken",)]
    assert execute(database, "SELECT count(*) FROM print_exception") == [(0,)]

    # Whoever posts it all the same and tells so moves nothing: neither by its name nor by the file's number.
    for number, message in enumerate(claims(entry.id, manifest.batch, pipeline.context.clock())):
        post_reports.take(pipeline.context, printer, f"CLAIM-{number}", encode(message), pipeline.context.clock())
    assert state(database) == before
    codes = execute(database, "SELECT DISTINCT code FROM print_exception")
    assert codes
    assert {code for (code,) in codes} <= {"LETTER_UNKNOWN", "BATCH_UNKNOWN"}

    # The letter itself goes its way as if nothing had been, and the house that had the proof prints it.
    assert pipeline.close_batches() == 1
    pipeline.work()
    assert status(pipeline, sender, delivery) == "handed_over"
    (batch,) = (each for each in out(pipeline).iterdir() if is_file_name(each.name))
    assert b'"proof"' not in ZipFile(batch).read("manifest.json")
    place.bring(batch.name, batch.read_bytes())
    with place.house() as house:
        house.round()
        place.days(4, house)
        assert (house.counts.letters, house.counts.printed, house.counts.posted) == (1, 1, 1)


def test_a_proof_of_what_is_handed_over_goes_to_the_same_print_house(pipeline: Pipeline, organisation: Sender) -> None:
    delivery = letter(pipeline, organisation())
    pipeline.close_batches()
    pipeline.work()
    names = {proofs.send(pipeline.context, delivery, actor="cli")[1] for _ in range(2)}
    assert {path.name for path in out(pipeline).glob(FILES)} == names
    assert len(names) == 2


def test_what_has_no_letter_or_bears_a_number_of_the_post_has_no_proof(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    delivery = pipeline.hand_in(organisation(), "jan", postal_address=ADDRESS).delivery_id
    with pytest.raises(NotFound):
        proofs.send(pipeline.context, public_id(DELIVERY, new_id()), actor="cli")
    with pytest.raises(Conflict, match="no letter"):
        proofs.send(pipeline.context, delivery, actor="cli")
    pipeline.work()
    execute(database, "UPDATE print_letter SET mail_id = 'x'")
    with pytest.raises(Conflict, match="number of the post"):
        proofs.send(pipeline.context, delivery, actor="cli")
    assert list(out(pipeline).iterdir()) == []
    assert execute(database, "SELECT count(*) FROM audit_entry") == [(0,)]


@pytest.mark.parametrize("by_letter", [False, True], ids=["folder", "http"])
def test_a_proof_is_sealed_and_marked_over_each_way(
    pipeline: Pipeline, organisation: Sender, tmp_path: Path, *, by_letter: bool
) -> None:
    own = x25519.Identity.generate()
    sealed = replace(pipeline.context.printers.first, recipients=(str(own.to_public()),), by_letter=by_letter)
    delivery = letter(pipeline, organisation())
    with http_house() as remote:
        if by_letter:
            sealed = replace(sealed, provider=remote.provider())
        context = replace(pipeline.context, printers=Printers([sealed]))
        _, name = proofs.send(context, delivery, actor="cli")
        if by_letter:
            batch = remote.house.batches[name]
            data = batch.parts[WHOLE]
            # Complete, and nothing of it is a letter: there is nothing that could be posted.
            assert (batch.complete, batch.letters, remote.house.printed) == (True, {}, [])
        else:
            data = (out(pipeline) / name).read_bytes()
    assert name.endswith("_0PROOF.ZIP.age")
    place = Place(tmp_path, {"identity": str(own)})
    place.bring(name, data)
    with place.house() as house:
        assert "is a proof" in house.round()[0]
        assert house.counts.letters == 0
    with ZipFile(BytesIO(open_with(str(own), data))) as archive:
        pages = texts_of(archive.read("letters.pdf"))
    assert len(pages) >= 2
    assert all("PROEFDRUK" in page and "PROOF" in page for page in pages)


def test_a_print_house_that_is_away_gets_none_later(pipeline: Pipeline, organisation: Sender) -> None:
    delivery = letter(pipeline, organisation())
    out(pipeline).rename(out(pipeline).with_name("elsewhere"))
    with pytest.raises(Retryable):
        proofs.send(pipeline.context, delivery, actor="cli")
