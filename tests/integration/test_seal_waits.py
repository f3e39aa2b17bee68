"""Documents wait while a seal profile has no good certificate, and are sealed by themselves when it has one."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from service.bootstrap import _refuse_file_keys
from service.db.jobs import JobKind
from service.db.models import Organisation
from service.seals import sealers as module
from service.settings import Mode, SettingsRefused
from service.usecases import seal as seal_step
from service.usecases.steps import all_steps
from signing.errors import CertificateRevoked, PdfUnreadable
from signing.seal import Begun
from tests.csc_support import CLIENT, CREDENTIAL, PIN, SECRET, RemoteService, remote_service
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.signing_support import place_seal_files, tsa_credential
from tests.softhsm_support import MODULE
from tests.usecase_support import Sender, events, never_wait, parked, status, waiting

TOKEN = f'[key]\nprovider = "pkcs11"\nmodule = "{MODULE}"\ntoken = "t"\nlabel = "k"\npin = {{ env = "P" }}\n'


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at again each time."""
    monkeypatch.setattr(module, "LOOKED_AT_EVERY", 0.0)


def test_production_does_not_start_with_seal_keys_in_files(pipeline: Pipeline, organisation: Sender) -> None:
    organisation("tax")
    settings = pipeline.application.settings
    _refuse_file_keys(settings)
    with pytest.raises(SettingsRefused, match=r"tax.*pkcs11 or csc"):
        _refuse_file_keys(settings.model_copy(update={"mode": Mode.PRODUCTION}))
    (settings.keys_folder / "seals" / "tax.toml").write_text(TOKEN)
    _refuse_file_keys(settings.model_copy(update={"mode": Mode.PRODUCTION}))


def test_an_ending_certificate_makes_documents_wait_until_a_good_one_is_there(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sender = organisation("tax")
    folder = pipeline.application.settings.keys_folder / "seals"
    delivery = pipeline.hand_in(sender).delivery_id
    good = {part: (folder / f"tax.{part}.pem").read_bytes() for part in ("key", "cert", "chain")}
    place_seal_files(folder, tsa_credential(tmp_path, usage=None, days=1))
    (folder / "tax.toml").write_text(
        'stop_days = 2\n[key]\nprovider = "pem"\n'
        'key = "tax.key.pem"\ncertificate = "tax.cert.pem"\nchain = "tax.chain.pem"\n'
    )
    never_wait(monkeypatch)
    for _ in range(8):
        pipeline._chunk(all_steps(pipeline.context)[JobKind.SEAL])
    assert waiting(database) == [("seal", "certificate_ending")]
    assert parked(database) == []
    assert status(pipeline, sender, delivery) == "received"
    for part, content in good.items():
        (folder / f"tax.{part}.pem").write_bytes(content)
    execute(database, "UPDATE job SET due_at = now()")
    pipeline.work(JobKind.SEAL)
    assert status(pipeline, sender, delivery) == "sealed"
    assert "SubmissionRejection" not in events(pipeline, sender, delivery)


def test_a_revoked_certificate_makes_documents_wait_until_a_good_one_is_there(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = organisation("tax")
    organisation("other")
    delivery = pipeline.hand_in(sender).delivery_id
    folder = pipeline.application.settings.keys_folder / "seals"
    real = pipeline.application.sealers.of("tax")
    revoked = {real._key.certificate.serial_number}

    class Revoking:
        def data(self, certificate: Any, _: Any, **__: Any) -> Any:
            if certificate.serial_number in revoked:
                raise CertificateRevoked("It was revoked.")
            return None

    monkeypatch.setattr(real, "_revocation", Revoking())
    never_wait(monkeypatch)
    for _ in range(8):
        pipeline._chunk(all_steps(pipeline.context)[JobKind.SEAL])
    assert waiting(database) == [("seal", "certificate_revoked")]
    assert parked(database) == []
    with pipeline.context.database.transaction() as session:
        session.execute(update(Organisation).where(Organisation.id == sender).values(seal_profile="other"))
    assert (folder / "other.key.pem").exists()
    execute(database, "UPDATE job SET due_at = now()")
    pipeline.work(JobKind.SEAL)
    assert status(pipeline, sender, delivery) == "sealed"


@pytest.fixture
def remote(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Iterator[RemoteService]:
    """The profile ``tax`` seals by a remote service."""
    monkeypatch.setenv("R_SECRET", SECRET)
    monkeypatch.setenv("R_PIN", PIN)
    pipeline.organisation("tax")
    folder = pipeline.application.settings.keys_folder / "seals"
    with remote_service(multisign=50) as (service, url):
        # Its certificates lead to another root than the installation's, which is not what is tried here.
        (folder / "tax.toml").write_text(
            f'[key]\nprovider = "csc"\nurl = "{url}"\ncredential = "{CREDENTIAL}"\nclient_id = "{CLIENT}"\n'
            'secret = { env = "R_SECRET" }\npin = { env = "R_PIN" }\n'
        )
        monkeypatch.setattr(pipeline.application.sealers.of("tax"), "_revocation", None)
        yield service
        pipeline.application.sealers.close()


def test_a_chunk_is_signed_together_where_a_key_can(
    pipeline: Pipeline, organisation: Sender, remote: RemoteService
) -> None:
    sender = organisation("tax")
    deliveries = [pipeline.hand_in(sender).delivery_id for _ in range(5)]
    remote.calls.clear()
    pipeline.work(JobKind.SEAL)
    assert remote.calls.count("signatures/signHash") == remote.calls.count("credentials/authorize") == 1
    assert [status(pipeline, sender, each) for each in deliveries] == ["sealed"] * 5


def test_a_document_that_can_not_be_sealed_spoils_it_for_no_other(
    pipeline: Pipeline, organisation: Sender, remote: RemoteService, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = organisation("tax")
    good, bad = (pipeline.hand_in(sender).delivery_id for _ in range(2))
    sealer = pipeline.application.sealers.of("tax")
    real, seen = sealer.begin, itertools.count()

    def begin(pdf: bytes, **named: Any) -> Begun:
        if next(seen) == 1:
            raise PdfUnreadable("The document cannot be read.")
        return real(pdf, **named)

    monkeypatch.setattr(sealer, "begin", begin)
    pipeline.work(JobKind.SEAL)
    assert sorted(status(pipeline, sender, each) for each in (good, bad)) == ["rejected", "sealed"]


def test_signatures_that_do_not_come_are_waited_for_by_all(
    pipeline: Pipeline,
    organisation: Sender,
    database: TestDatabase,
    remote: RemoteService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "REST", 0.0)
    sender = organisation("tax")
    deliveries = [pipeline.hand_in(sender).delivery_id for _ in range(3)]
    never_wait(monkeypatch)
    remote.lie = lambda method, _, honest: (
        {"signatures": honest["signatures"][:-1]} if method == "signatures/signHash" else None
    )
    for _ in range(8):
        pipeline._chunk(all_steps(pipeline.context)[JobKind.SEAL])
    assert waiting(database) == [("seal", "key_unavailable")] * 3
    assert parked(database) == []
    remote.lie = None
    execute(database, "UPDATE job SET due_at = now()")
    pipeline.work(JobKind.SEAL)
    assert [status(pipeline, sender, each) for each in deliveries] == ["sealed"] * 3


def test_documents_that_wait_are_bounded(
    pipeline: Pipeline, organisation: Sender, remote: RemoteService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal_step, "HELD", 1)
    sender = organisation("tax")
    for _ in range(3):
        pipeline.hand_in(sender)
    pipeline.work(JobKind.SEAL)
    assert remote.calls.count("signatures/signHash") == 3
