"""Pictures that a print house sends: under their letter, in its evidence, and in nobody else's hands."""

import hashlib
import uuid
from datetime import timedelta
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest

from service.db.ids import DELIVERY, parse_id
from service.domain.errors import NotFound
from service.usecases import deliveries, paper, retention
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.post_support import exceptions, handed_over, scans_file, take
from tests.usecase_support import Sender, at, events, snapshot, status

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 40
PDF = b"%PDF-1.4 a receipt"


def scan(letter: str, what: str, content: bytes, moment: str, **fields: Any) -> dict[str, Any]:
    return {
        "file": f"{what}.bin",
        "sha256": hashlib.sha256(content).hexdigest(),
        "what": what,
        "at": moment,
        "id": letter,
    } | fields


def test_proofs_are_kept_hashed_into_evidence_and_handed_to_the_sender_alone(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    (delivery,) = handed_over(pipeline, sender)
    moment = pipeline.now.isoformat()
    index = {
        "kind": "scans",
        "schema": 1,
        "at": moment,
        "scans": [
            scan(f"{delivery}-1", "posting_proof", PNG, moment),
            scan(f"{delivery}-1", "return_receipt", PDF, moment),
        ],
    }
    files = {"posting_proof.bin": PNG, "return_receipt.bin": PDF}
    taken = take(pipeline, scans_file(index, files))
    assert (taken.kind, taken.effects) == ("scans", {"taken": 2})
    (letter,) = paper.of(pipeline.context, sender, delivery)
    assert [(each.what, each.media_type) for each in letter.scans] == [
        ("posting_proof", "image/png"),
        ("return_receipt", "application/pdf"),
    ]
    file, media_type = paper.scan(pipeline.context, sender, delivery, letter.scans[1].id)
    assert (file.content, media_type) == (PDF, "application/pdf")
    with pytest.raises(NotFound):
        paper.scan(pipeline.context, organisation(), delivery, letter.scans[1].id)
    records = [
        deliveries.evidence_one(pipeline.context, sender, delivery, each.id)["record"]
        for each in deliveries.evidence_list(pipeline.context, sender, delivery)
        if each.event == "ReceivedFromNonERDS"
    ]
    digests: list[Any] = [record["letter"] for record in records if isinstance(record, dict)]
    assert {each["posting_proof_sha256"] for each in digests} == {hashlib.sha256(PNG).hexdigest(), None}
    assert {each["receipt_sha256"] for each in digests} == {hashlib.sha256(PDF).hexdigest(), None}
    assert status(pipeline, sender, delivery) == "handed_over"
    # In another file, the same pictures.
    before = snapshot(database)
    again = take(
        pipeline,
        scans_file(index | {"at": pipeline.now.isoformat()}, {"posting_proof.bin": PNG, "return_receipt.bin": PDF}),
    )
    assert again.effects == {"repeated": 2}
    assert snapshot(database) == before


def test_a_picture_of_a_returned_letter_says_that_it_came_back(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    (delivery,) = handed_over(pipeline, sender)
    moment = pipeline.now.isoformat()
    index = {
        "kind": "scans",
        "schema": 1,
        "at": moment,
        "scans": [scan(f"{delivery}-1", "returned_letter", PNG, moment, cause="M03")],
    }
    assert take(pipeline, scans_file(index, {"returned_letter.bin": PNG})).effects == {"taken": 1}
    assert status(pipeline, sender, delivery) == "returned"
    assert execute(database, "SELECT cause FROM print_return") == [("M03",)]
    assert events(pipeline, sender, delivery).count("ReceivedFromNonERDS") == 1


def test_one_picture_that_does_not_fit_holds_up_no_other(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    (delivery,) = handed_over(pipeline, sender)
    moment = pipeline.now.isoformat()
    letter = f"{delivery}-1"
    html = b"<html>not a picture</html>"
    index = {
        "kind": "scans",
        "schema": 1,
        "at": moment,
        "scans": [
            scan(letter, "posting_proof", PNG, moment, file="gone.png"),
            scan(letter, "posting_proof", PNG, moment, sha256="0" * 64),
            scan(letter, "posting_proof", html, moment, file="html.bin"),
            scan(f"dlv_{uuid.uuid4().hex}-1", "posting_proof", PNG, moment),
            scan(letter, "posting_proof", PNG, moment),
        ],
    }
    taken = take(pipeline, scans_file(index, {"posting_proof.bin": PNG, "html.bin": html}))
    assert taken.effects == {"odd": 4, "taken": 1}
    assert sorted(exceptions(database)) == ["LETTER_UNKNOWN", "SCAN_DIFFERS", "SCAN_UNREADABLE", "SCAN_UNREADABLE"]


def test_pictures_are_in_the_bundle_and_stay_as_long_as_the_evidence(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    (delivery,) = handed_over(pipeline, sender)
    moment = pipeline.now.isoformat()
    index = {"kind": "scans", "schema": 1, "at": moment, "scans": [scan(f"{delivery}-1", "posting_proof", PNG, moment)]}
    take(pipeline, scans_file(index, {"posting_proof.bin": PNG}))
    with ZipFile(BytesIO(b"".join(deliveries.bundle(pipeline.context, sender, delivery).stream()))) as bundle:
        (name,) = [each for each in bundle.namelist() if each.startswith("scans/")]
        assert bundle.read(name) == PNG
        assert "scans/" in bundle.read("README.txt").decode()
    paths = set(execute(database, "SELECT path FROM print_scan UNION SELECT path FROM print_inbound"))
    with at(pipeline, pipeline.now + timedelta(days=1200)):
        retention.run(pipeline.context, retention.Periods(window=timedelta(days=30)))
        gone = set(execute(database, "SELECT path FROM vault_removal"))
        (letter,) = paper.of(pipeline.context, sender, delivery)
        assert paper.scan(pipeline.context, sender, delivery, letter.scans[0].id)[0].content == PNG
    assert len(paths & gone) == 1, "the print house's file, and not the picture"
    assert execute(database, "SELECT path FROM print_inbound") == [(None,)]
    # The database's own clock says when a retention year is over.
    execute(database, "UPDATE delivery SET retention_year = 2020")
    execute(database, f"SELECT zending_erase_deliveries(ARRAY['{parse_id(DELIVERY, delivery)}'::uuid])")
    for table in ("print_scan", "print_report", "print_return", "print_pull_letter"):
        assert execute(database, f"SELECT 1 FROM {table}") == []
    assert paths <= set(execute(database, "SELECT path FROM vault_removal"))
