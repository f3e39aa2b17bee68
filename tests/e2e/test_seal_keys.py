"""A running service takes up a key in a token: nothing is started again, and each process signs with it for itself."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from asn1crypto import cms
from cryptography import x509

from service.seals.sealers import LOOKED_AT_EVERY
from tests.service_support import RunningService
from tests.signing_support import certificate_of, extracted
from tests.softhsm_support import MODULE, PIN, import_key, new_token, remove_token

SENDER = "voorbeeldegem"


@pytest.fixture
def seals(service: RunningService) -> Iterator[Path]:
    """The folder of profiles, and a token that is made; both are left as they were."""
    folder = Path(service.environment["ZENDING_KEYS_FOLDER"]) / "seals"
    new_token("e2e")
    import_key("e2e", folder / f"{SENDER}.key.pem", SENDER)
    yield folder
    (folder / f"{SENDER}.toml").unlink(missing_ok=True)
    (folder / "e2e-pin").unlink(missing_ok=True)
    remove_token("e2e")


def test_a_profile_that_names_a_token_is_taken_up_while_everything_runs(
    service: RunningService, seals: Path, tmp_path: Path
) -> None:
    before = service.hand_in("an", sender=SENDER)
    service.until_status(before["id"], "available", "opened", sender=SENDER)
    (seals / "e2e-pin").write_text(PIN)
    draft = seals / f"{SENDER}.new"
    draft.write_text(
        f'[key]\nprovider = "pkcs11"\nmodule = "{MODULE}"\ntoken = "e2e"\nlabel = "{SENDER}"\n'
        'mechanism = "ecdsa-sha512"\npin = { file = "e2e-pin" }\n'
        f'certificate = "{SENDER}.cert.pem"\nchain = "{SENDER}.chain.pem"\n'
    )
    draft.replace(seals / f"{SENDER}.toml")
    time.sleep(2 * LOOKED_AT_EVERY)
    handed = [service.hand_in("an", sender=SENDER) for _ in range(6)]
    for each in handed:
        service.until_status(each["id"], "available", "opened", sender=SENDER)
    known = x509.load_pem_x509_certificate((seals / f"{SENDER}.cert.pem").read_bytes())
    for each in handed:
        sealed = service.agency(SENDER).sealed(each["id"])
        assert certificate_of(sealed) == known
        signed = cms.ContentInfo.load(extracted(sealed, tmp_path)[1].read_bytes())["content"]["signer_infos"][0]
        assert signed["signature_algorithm"]["algorithm"].native == "sha512_ecdsa"
