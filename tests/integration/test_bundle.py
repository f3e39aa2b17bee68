"""The bundle of a delivery: complete, the same each time, and checked by itself in an empty folder."""

import io
import json
import shutil
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from jsonschema import Draft202012Validator

from service.bootstrap import retention_periods
from service.db.ids import DELIVERY, ORGANISATION, public_id
from service.domain.errors import Conflict, NotFound
from service.identity.scopes import Scope
from service.usecases import deliveries, mailbox, organisations, retention
from service.usecases.bundle import Bundle
from signing.trust import load_certificates
from signing.validate import validate
from tests.api_support import bearer, door
from tests.bundle_support import check, judged, listed_again, unpacked
from tests.ledger_support import TestAuthority
from tests.pipeline_support import Pipeline
from tests.tools_support import program
from tests.usecase_support import Sender, activate, at, deliver, events, with_post

EVENTS = ["SubmissionAcceptance", "ContentConsignment", "ConsignmentNotification", "ContentAccessTracking"]


@pytest.fixture
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that nothing of the application lies in."""
    return tmp_path_factory.mktemp("unpacked")


@pytest.fixture
def opened(pipeline: Pipeline, organisation: Sender) -> tuple[uuid.UUID, str, Bundle]:
    """A sender, a delivery that was opened and whose evidence is published, and its bundle."""
    with_post(pipeline)
    sender, an = organisation(), activate(pipeline)
    delivery = deliver(pipeline, sender, "an", subject="Geheimzinnig")
    mailbox.open_message(pipeline.context, an, delivery)
    pipeline.sequence()
    return sender, delivery, deliveries.bundle(pipeline.context, sender, delivery)


def test_everything_holds_in_an_empty_folder_without_us(
    pipeline: Pipeline, opened: tuple[uuid.UUID, str, Bundle], empty: Path
) -> None:
    sender, delivery, bundle = opened
    assert bundle.filename == f"{delivery}.zip"
    folder = unpacked(bundle, empty)
    done = check(folder)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    proofs = {f"evidence/{number:02}-{event}.json" for number, event in enumerate(EVENTS, start=1)}
    said = judged(done.stdout)
    assert said == dict.fromkeys({*proofs, "evidence", "documents/document.pdf"}, "ok")
    assert "compare them with keys that you have from elsewhere" in done.stdout
    # The keys and the authority from elsewhere.
    keys, authority = empty.parent / "own-keys.txt", empty.parent / "own-ca.pem"
    keys.write_text("\n".join(pipeline.application.log_signer.vkeys))
    shutil.copy(folder / "certificates" / "timestamp-ca.pem", authority)
    done = check(folder, "--keys", str(keys), "--tsa-ca", str(authority))
    assert done.returncode == 0, done.stdout
    assert "compare them" not in done.stdout
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} - proofs
    checkpoints = {name for name in files if name.startswith("checkpoints/")}
    assert {name.rpartition(".")[2] for name in checkpoints} == {"note", "txt", "tst"}
    assert files - checkpoints == {
        "README.txt", "SHA256SUMS", "check.py", "verify.py", "documents/document.pdf", "keys/ledger.txt",
        "schema/evidence.schema.json", "certificates/roots.pem", "certificates/seal.pem",
        "certificates/timestamp.pem", "certificates/timestamp-ca.pem",
    }  # fmt: skip
    assert (folder / "documents/document.pdf").read_bytes() == deliveries.document(
        pipeline.context, sender, delivery, 0
    ).content
    judge = Draft202012Validator(json.loads((folder / "schema/evidence.schema.json").read_text()))
    for name in proofs:
        judge.validate(json.loads((folder / name).read_text()))


def test_other_programs_agree(pipeline: Pipeline, opened: tuple[uuid.UUID, str, Bundle], empty: Path) -> None:
    folder = unpacked(opened[2], empty)
    sums = [program("sha256sum"), "-c", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(sums, cwd=folder, check=False, capture_output=True).returncode == 0
    tokens = sorted(folder.glob("checkpoints/*.tst"))
    assert tokens
    for token in tokens:
        text = token.with_suffix(".txt")

        def stamped(data: Path, token: Path = token) -> subprocess.CompletedProcess[str]:
            command = [program("openssl"), "ts", "-verify", "-token_in", "-in", str(token), "-data", str(data)]
            command += ["-CAfile", "certificates/roots.pem", "-untrusted", "certificates/timestamp.pem"]
            return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

        assert "Verification: OK" in stamped(text).stdout + stamped(text).stderr
        other = empty / "other.txt"
        other.write_bytes(text.read_bytes() + b" ")
        assert stamped(other).returncode != 0
    roots = load_certificates(folder / "certificates" / "roots.pem")
    report = validate((folder / "documents/document.pdf").read_bytes(), trust_roots=roots, at=pipeline.now)
    assert report.valid


def _edit(name: str, old: str, new: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


FIRST, OPENED = "evidence/01-SubmissionAcceptance.json", "evidence/04-ContentAccessTracking.json"
FORGERIES: dict[str, Callable[[Path], object]] = {
    "a document": lambda folder: (folder / "documents/document.pdf").write_bytes(b"%PDF-1.7\n%%EOF\n"),
    "how surely somebody was identified": _edit(OPENED, "substantial", "high"),
    "when": _edit(OPENED, '"event_time": "2', '"event_time": "1'),
    "the place in the log": _edit(FIRST, '"log_index": 0', '"log_index": 1'),
    "the delivery": _edit(FIRST, '"message_id": "dlv_', '"message_id": "dlv_0'),
    "no keys": lambda folder: (folder / "keys/ledger.txt").write_text(""),
    "the authority": lambda folder: (folder / "certificates/timestamp-ca.pem").write_bytes(
        TestAuthority().ca.public_bytes(Encoding.PEM)
    ),
}


@pytest.mark.parametrize("mended", [False, True], ids=["as it is", "with a mended list"])
def test_a_forged_bundle_is_found(opened: tuple[uuid.UUID, str, Bundle], empty: Path, *, mended: bool) -> None:
    for number, (name, forge) in enumerate(FORGERIES.items()):
        folder = unpacked(opened[2], empty / str(number))
        forge(folder)
        if mended:
            listed_again(folder)
        done = check(folder)
        assert done.returncode == 1, (name, done.stdout)
        assert "FAILED" in done.stdout, name


def test_a_file_too_many_and_a_file_too_few_are_told(opened: tuple[uuid.UUID, str, Bundle], empty: Path) -> None:
    folder = unpacked(opened[2], empty)
    (folder / "documents" / "attachment-01.pdf").write_bytes(b"%PDF")
    (folder / "README.txt").unlink()
    said = judged(check(folder).stdout)
    assert said["documents/attachment-01.pdf"] == said["README.txt"] == "FAILED"


def test_the_same_delivery_gives_the_same_bytes_and_names_tell_nothing(
    pipeline: Pipeline, opened: tuple[uuid.UUID, str, Bundle]
) -> None:
    sender, delivery, bundle = opened
    first, again = b"".join(bundle.stream()), deliveries.bundle(pipeline.context, sender, delivery)
    assert first == b"".join(again.stream())
    with ZipFile(io.BytesIO(first)) as archive:
        names = " ".join([bundle.filename, *archive.namelist()])
        assert archive.namelist()[0] == "README.txt"
        assert not any(word in names for word in ("An", "Peeters", "brief", "Geheimzinnig", "85073003328"))
    assert "Geheimzinnig" not in repr(bundle)


def test_a_recipient_gets_it_once_the_message_is_opened_and_that_is_a_handover(
    pipeline: Pipeline, organisation: Sender, empty: Path
) -> None:
    with_post(pipeline)
    sender, an = organisation(), activate(pipeline)
    delivery = deliver(pipeline, sender, "an", language="fr")
    with pytest.raises(Conflict) as caught:
        mailbox.bundle(pipeline.context, an, delivery)
    assert caught.value.code == "not_opened"
    mailbox.open_message(pipeline.context, an, delivery)
    pipeline.sequence()
    with pytest.raises(NotFound):
        mailbox.bundle(pipeline.context, replace(an, recipient_hash=bytes(32)), delivery)
    folder = unpacked(mailbox.bundle(pipeline.context, an, delivery), empty / "1")
    assert (folder / "README.txt").read_text().startswith(f"Preuve de l’envoi {delivery}")
    assert check(folder).returncode == 0
    assert events(pipeline, sender, delivery)[-1] == "ContentHandover"
    # The handover is not in the log yet; nothing is left out for that.
    early = unpacked(mailbox.bundle(pipeline.context, an, delivery), empty / "2")
    done = check(early)
    assert (done.returncode, judged(done.stdout)["pending/05-ContentHandover.json"]) == (0, "not checked")
    assert "pending/" in (early / "README.txt").read_text()
    pipeline.sequence()
    assert events(pipeline, sender, delivery).count("ContentHandover") == 1
    late = unpacked(mailbox.bundle(pipeline.context, an, delivery), empty / "3")
    assert judged(check(late).stdout)["evidence/05-ContentHandover.json"] == "ok"


def test_the_proof_outlives_the_documents(
    pipeline: Pipeline, opened: tuple[uuid.UUID, str, Bundle], empty: Path
) -> None:
    sender, delivery, _ = opened
    with at(pipeline, pipeline.now + timedelta(days=1200)):
        while retention.run(pipeline.context, retention_periods(pipeline.application.settings)):
            pass
        folder = unpacked(deliveries.bundle(pipeline.context, sender, delivery), empty)
    assert not (folder / "documents").exists()
    assert "documents/" not in (folder / "README.txt").read_text()
    assert "bewaartermijn" in (folder / "README.txt").read_text()
    assert check(folder).returncode == 0


def test_of_what_has_not_happened_there_is_no_proof(pipeline: Pipeline, organisation: Sender) -> None:
    sender = organisation()
    delivery = pipeline.hand_in(sender, "jan").delivery_id
    with pytest.raises(Conflict) as caught:
        deliveries.bundle(pipeline.context, sender, delivery)
    assert caught.value.code == "evidence_none"
    with pytest.raises(NotFound):
        deliveries.bundle(pipeline.context, organisation(), delivery)


def test_a_program_downloads_it(pipeline: Pipeline, opened: tuple[uuid.UUID, str, Bundle]) -> None:
    sender, delivery, bundle = opened
    wired: Any = pipeline.application
    with wired.context.database.transaction() as session:
        organisations.ensure_client(session, sender, organisations.NewClient("program", "Program", "s" * 40, {*Scope}))
    asking = bearer(wired, organisation=public_id(ORGANISATION, sender))
    with door(wired) as client:
        answer = client.get(f"/v1/deliveries/{delivery}/bundle", headers=asking)
        missing = client.get(f"/v1/deliveries/{public_id(DELIVERY, uuid.uuid4())}/bundle", headers=asking)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/zip")
    assert f'filename="{delivery}.zip"' in answer.headers["Content-Disposition"]
    assert answer.content == b"".join(bundle.stream())
    assert missing.status_code == 404
