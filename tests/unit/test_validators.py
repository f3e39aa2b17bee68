"""Which seals count as our own when signatures are judged."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from structlog.testing import capture_logs

from service.settings import SettingsRefused
from service.validators import _own_seals
from tests.signing_support import seal_key

KINDS = ("p-256", "p-384", "rsa-3072")


def own(folder: Path, named: str = "") -> set[str]:
    settings = SimpleNamespace(own_seals=named)
    return {each.fingerprint(SHA256()).hex() for each in _own_seals(settings, folder)}  # type: ignore[arg-type]


def put(file: Path, kind: str) -> str:
    certificate = seal_key(kind).certificate  # type: ignore[arg-type]
    file.write_bytes(certificate.public_bytes(Encoding.PEM))
    return str(certificate.fingerprint(SHA256()).hex())


def test_seals_in_files_named_by_profiles_and_set_by_hand_are_ours(tmp_path: Path) -> None:
    lying = put(tmp_path / "tax.cert.pem", "p-256")
    named = put(tmp_path / "hsm-certificate.pem", "p-384")
    (tmp_path / "hsm.toml").write_text(
        '[key]\nprovider = "pkcs11"\nmodule = "/m.so"\ntoken = "t"\nlabel = "k"\npin = { env = "P" }\n'
        'certificate = "hsm-certificate.pem"\n'
    )
    by_hand = put(tmp_path / "former.pem", "rsa-3072")
    assert own(tmp_path) == {lying, named}
    assert own(tmp_path, str(tmp_path / "former.pem")) == {lying, named, by_hand}


def test_a_profile_that_cannot_be_read_is_told_and_stops_nothing(tmp_path: Path) -> None:
    lying = put(tmp_path / "tax.cert.pem", "p-256")
    (tmp_path / "bad.toml").write_text("what is this")
    (tmp_path / "gone.toml").write_text('[key]\nprovider = "pem"\nkey = "k.pem"\ncertificate = "not-there.pem"\n')
    with capture_logs() as logs:
        assert own(tmp_path) == {lying}
    assert [each["profile"] for each in logs] == ["bad"]


def test_what_is_set_by_hand_must_be_there(tmp_path: Path) -> None:
    for file in ("not-there.pem", "empty.pem"):
        (tmp_path / "empty.pem").write_text("")
        with pytest.raises(SettingsRefused, match="ZENDING_OWN_SEALS"):
            own(tmp_path, str(tmp_path / file))
