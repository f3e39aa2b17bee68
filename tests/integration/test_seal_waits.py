"""Documents wait while a seal profile has no good certificate, and are sealed by themselves when it has one."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from service.bootstrap import _refuse_file_keys
from service.db.jobs import JobKind
from service.db.models import Organisation
from service.seals import sealers as module
from service.settings import Mode, SettingsRefused
from service.usecases.steps import all_steps
from signing.errors import CertificateRevoked
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
