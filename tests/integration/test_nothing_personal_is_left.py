"""After the periods nothing about a person is left anywhere, the keys are gone, and the ledger still verifies."""

import dataclasses
import json
import uuid
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from service.db import ledger
from service.db.ids import public_id
from service.db.jobs import JobKind, Lane
from service.domain.identifiers import RecipientId, RecipientKind
from service.embedded.fictional import RECIPIENTS
from service.ledger import merkle
from service.ledger.verify import verify_evidence
from service.usecases import (
    activation,
    deliveries,
    housekeeping,
    mailbox,
    mandates,
    recipients,
    sessions,
    submission_uploads,
    submissions,
)
from service.usecases.acting import Named, Sides
from service.usecases.admission import Sender as By
from service.usecases.admission import Upload
from service.usecases.hand_in import hand_in
from service.usecases.submission_uploads import SubmissionOptions
from signing.errors import Unsealable
from tests.engine_support import execute
from tests.everything_support import ENCRYPTED, everything, files
from tests.integration.test_retention import WINDOW, rounds, rows, years_pass
from tests.mandate_support import EVERYTHING, as_holder
from tests.pipeline_support import Pipeline, TestDatabase
from tests.submission_support import all_rows, packed, upload
from tests.tenancy_support import tables
from tests.usecase_support import Sender, activate, change, reader, status

NAME, STREET, PLACE = "Zlata Herkenbaar", "Herkenstraat", "Herkendorp"
SUBJECT, FILE, TEXT = "Onderwerp Herkenbaar", "herkenbaar-dossier", "Tekst Herkenbaar in het document"
EMAIL, OTHER_EMAIL, IBAN, REFERENCE = (
    "zlata@herkenbaar.test",
    "nooit@herkenbaar.test",
    "BE68539007547034",
    "REF-HERKENBAAR",
)
NUMBERS = ("85073003328", "17073003384")
PERSON = "persoon-herkenbaar-bij-de-aanmelddienst"
TOKENS = tuple(
    each.encode()
    for each in (NAME, STREET, PLACE, SUBJECT, FILE, TEXT, EMAIL, OTHER_EMAIL, IBAN, REFERENCE, PERSON, *NUMBERS)
)


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture(autouse=True)
def back_to_today(pipeline: Pipeline) -> Iterator[None]:
    yield
    pipeline.skew = timedelta()


def pdf() -> bytes:
    """A page that holds `TEXT`, for anybody who looks into the file."""
    import io

    with pikepdf.new() as document:
        page = document.add_blank_page(page_size=(595, 842))
        # In no font: one that isn't embedded would not be printed, and of one that is, letters are numbers.
        page.Contents = document.make_stream(f"% {TEXT}\n100 500 50 10 re f".encode())
        out = io.BytesIO()
        document.save(out, compress_streams=False)
        return out.getvalue()


def form(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "recipient": {"type": "citizen", "id": NUMBERS[0], "name": NAME},
        "postal_address": {"name": NAME, "street": STREET, "number": "7", "postcode": "9990", "municipality": PLACE},
        "subject": SUBJECT,
        "reference": REFERENCE,
        "document_type": "letter",
        "language": "nl",
        "payment": {"amount": "12.50", "currency": "EUR", "iban": IBAN},
    }
    return fields | changes


def handed_in(pipeline: Pipeline, sender: uuid.UUID, **changes: Any) -> str:
    uploads = [Upload("document", f"{FILE}.pdf", pdf()), Upload("attachment", f"{FILE}-2.pdf", pdf())]
    by = By(sender, Lane.INTERACTIVE)
    body = json.dumps(form(**changes)).encode()
    return hand_in(pipeline.context, by, body, uploads, key=uuid.uuid4().hex).delivery_id


def submitted(pipeline: Pipeline, sender: uuid.UUID) -> str:
    """Many at once in each way it can end: a row that is taken and one that can't be, none taken, and never sent."""
    good, bad = form(document=f"{FILE}.pdf"), form(document=f"{FILE}-weg.pdf", recipient={"type": "postal"})

    def archive(*lines: dict[str, Any]) -> bytes:
        return packed(lines, {f"{FILE}.pdf": pdf()}, method=zipfile.ZIP_STORED)

    taken = upload(pipeline, sender, archive(good, bad), name=f"Lijst {NAME}", on_error="continue")
    upload(pipeline, sender, archive(good | {"subject": f"{SUBJECT} 2"}, bad), name=f"Geweigerd {NAME}")
    begun = submission_uploads.begin(
        pipeline.context, sender, SubmissionOptions(name=f"Half {NAME}"), key=uuid.uuid4().hex, kind="empty"
    )
    unfinished = submission_uploads.find(pipeline.context, sender, public_id("sub", begun.id))
    submission_uploads.append(pipeline.context, unfinished, 0, archive(good)[:2000])
    pipeline.work(JobKind.UNPACK, JobKind.CHECK, JobKind.ADMIT)
    told = {row.state: row for row in all_rows(pipeline, sender, taken)}
    assert told.keys() == {"admitted", "bad"}
    return told["admitted"].delivery_id or ""


def found(pipeline: Pipeline, database: TestDatabase, temporary: Path) -> dict[str, set[str]]:
    """Which of the tokens stand where."""
    seen: dict[str, set[str]] = {}
    for place, content in [*everything(pipeline, database), *files(temporary, set())]:
        for token in TOKENS:
            if token in content or token.hex().encode() in content:
                seen.setdefault(token.decode(), set()).add(place.split(",")[0].rsplit("/", 1)[0])
    return seen


def lead_lives(pipeline: Pipeline, sender: uuid.UUID) -> dict[str, str]:
    """Deliveries by every way there is, and everything else that people leave behind."""
    who = activate(pipeline, email=EMAIL)
    paper = {"type": "citizen", "id": NUMBERS[1], "name": NAME}
    postal = {"type": "postal", "name": NAME}
    clerk = dataclasses.replace(activate(pipeline, "bakery", email=EMAIL), person=PERSON)
    firm = {"type": "enterprise", "id": RECIPIENTS["bakery"].number, "name": NAME}
    ids = {
        "mailbox": handed_in(pipeline, sender),
        "paper": handed_in(pipeline, sender, recipient=paper),
        "registered": handed_in(pipeline, sender, registered=True),
        "postal": handed_in(pipeline, sender, recipient=postal),
        "listed": submitted(pipeline, sender),
        "firm": handed_in(pipeline, sender, recipient=firm),
    }
    about = [("citizen", number) for number in NUMBERS]
    recipients.look_up(pipeline.context, sender, "client", about, f"Brief aan {NAME}")
    pipeline.work()
    mailbox.open_message(pipeline.context, who, ids["mailbox"])
    mailbox.document(pipeline.context, who, ids["mailbox"], 0)
    mailbox.open_message(pipeline.context, clerk, ids["firm"])
    sides = Sides(*(Named(RecipientKind.CITIZEN, number, NAME) for number in NUMBERS))
    given = mandates.give(pipeline.context, who, sides, EVERYTHING)
    mandates.accept(pipeline.context, reader(pipeline, "jan"), given.code)
    mailbox.document(pipeline.context, as_holder(reader(pipeline, "jan"), given.mandate.id), ids["mailbox"], 0)
    pipeline.close_batches()
    pipeline.work()
    ids["cancelled"] = handed_in(pipeline, sender)
    deliveries.cancel(pipeline.context, sender, ids["cancelled"])
    before, sealer = pipeline.context, pipeline.context.sealer

    class Never:
        shows, together = False, 1

        def seal_to_keep(self, *_: Any, **__: Any) -> bytes:
            raise Unsealable("told to")

    ids["rejected"] = handed_in(pipeline, sender)
    change(pipeline, sealer=lambda _: Never())
    pipeline.work()
    pipeline.context = dataclasses.replace(before, sealer=sealer)
    number = RecipientId.parse(RecipientKind.CITIZEN, NUMBERS[0])
    sessions.begin(pipeline.context, b"s" * 32, {"name": NAME, "number": number.value}, lifetime=timedelta(hours=8))
    activation.begin(pipeline.context, reader(pipeline, "jan"), OTHER_EMAIL, "nl")
    return ids


def test_nothing_personal_is_left_after_the_periods_and_the_ledger_still_verifies(
    pipeline: Pipeline,
    organisation: Sender,
    database: TestDatabase,
    own_temporary_folder: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    sender = organisation("herkenbaar")
    change(pipeline, wake=pipeline.application.context.wake)
    ids = lead_lives(pipeline, sender)
    states = {way: status(pipeline, sender, each) for way, each in ids.items()}
    assert states == {"mailbox": "opened", "paper": "handed_over", "registered": "handed_over",
                      "postal": "handed_over", "listed": "available", "firm": "opened", "cancelled": "cancelled",
                      "rejected": "rejected"}  # fmt: skip
    pipeline.sequence()
    proofs = [
        deliveries.evidence_one(pipeline.context, sender, each, entry.id)
        for each in ids.values()
        for entry in deliveries.evidence_list(pipeline.context, sender, each)
    ]
    # Made on request, and kept nowhere.
    assert b"".join(deliveries.bundle(pipeline.context, sender, ids["firm"]).stream())
    record = next(iter(deliveries.evidence_list(pipeline.context, sender, ids["firm"]))).id
    assert deliveries.evidence_pdf(pipeline.context, sender, ids["firm"], record).content
    with pipeline.context.database.transaction() as session:
        old = ledger.newest_checkpoint(session)
    # The search finds what is there: else finding nothing later would say nothing.
    there = found(pipeline, database, own_temporary_folder)
    assert there.keys() == {token.decode() for token in TOKENS}
    assert {"lookup.purpose", "submission.name", "submission_row.reference"} <= there[NAME] | there[REFERENCE]
    assert any("part" in place for place in there[TEXT]), "nobody looked into what was uploaded"

    for key in ("an", "bakery"):
        activation.revoke(pipeline.context, reader(pipeline, key))
    mandates.revoke_all(pipeline.context, reader(pipeline))
    rounds(pipeline, days=1)
    _only_the_content_goes_first(pipeline, database, own_temporary_folder, proofs)
    years_pass(pipeline, database, 12)
    for _ in range(3):
        submissions.tidy(pipeline.context, upload_seconds=3600, keep_seconds=3600)
        rounds(pipeline)
        housekeeping.collect_orphans(pipeline.context, window=WINDOW)
        while housekeeping.collect_removed(pipeline.context, window=WINDOW):
            pass
        with pipeline.context.database.transaction() as session:
            housekeeping.end_sessions(session, now=pipeline.now)
        pipeline.skew += WINDOW + timedelta(hours=1)

    assert found(pipeline, database, own_temporary_folder) == {}
    captured = capfd.readouterr()
    logged = (captured.out + captured.err).encode()
    assert b"chunk" in logged, "there was something to look through"
    assert [token for token in TOKENS if token in logged] == []
    about_somebody = {"delivery_id", "subject_id", "recipient_hash", *(column for _, column in ENCRYPTED)}
    for name, table in tables(database).items():
        if about_somebody & set(table.columns):
            assert rows(database, name) == 0, name
    # The sender's, and the platform's, which closed the files of print batches.
    assert execute(database, "SELECT key_destroyed_at IS NOT NULL FROM retention_year") == [(True,), (True,)]
    assert [each.path for each in pipeline.application.store.listing() if housekeeping.subject_of(each.path)] == []

    _still_verifies(pipeline, organisation("later"), proofs, old)


def _only_the_content_goes_first(
    pipeline: Pipeline, database: TestDatabase, temporary: Path, proofs: list[Any]
) -> None:
    """After the documents' period no copy and no name of a file is left; the evidence is there, unchanged."""
    kept = execute(database, "SELECT record, salt, leaf_hash FROM evidence ORDER BY id")
    rounds(pipeline, days=450)
    for _ in range(3):
        submissions.tidy(pipeline.context, upload_seconds=3600, keep_seconds=3600)
        rounds(pipeline)
        housekeeping.collect_orphans(pipeline.context, window=WINDOW)
        while housekeeping.collect_removed(pipeline.context, window=WINDOW):
            pass
        pipeline.skew += WINDOW + timedelta(hours=1)
    left = found(pipeline, database, temporary)
    assert left.get(TEXT, set()) == left.get(FILE, set()) == set()
    assert {"evidence.record"} <= left[PERSON] & left[NUMBERS[0]] & left[NAME]
    assert execute(database, "SELECT record, salt, leaf_hash FROM evidence ORDER BY id") == kept
    assert len(kept) == len(proofs)


def _still_verifies(
    pipeline: Pipeline, sender: uuid.UUID, proofs: list[Any], old: ledger.StoredCheckpoint | None
) -> None:
    keys = pipeline.application.log_signer.vkeys
    for proof in proofs:
        # What was given out before proves itself for ever.
        assert all(check.ok is not False for check in verify_evidence(json.loads(json.dumps(proof, default=str)), keys))
    pipeline.skew = timedelta()
    delivery = pipeline.hand_in(sender, "jan").delivery_id
    pipeline.work()
    pipeline.sequence()
    entry = deliveries.evidence_list(pipeline.context, sender, delivery)[0]
    fresh = deliveries.evidence_one(pipeline.context, sender, delivery, entry.id)
    assert all(check.ok is not False for check in verify_evidence(json.loads(json.dumps(fresh, default=str)), keys))
    with pipeline.context.database.transaction() as session:
        new = ledger.newest_checkpoint(session)
        assert old is not None
        assert new is not None
        assert new.size > old.size == len(proofs)
        wanted = merkle.tiles_of(merkle.consistency_ranges(old.size, new.size))
        way = merkle.consistency_proof(old.size, new.size, ledger.tiles(session, wanted))
    merkle.verify_consistency(old.size, old.root, new.size, new.root, way)
