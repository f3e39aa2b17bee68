"""What every provider of a seal key must do."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from service.embedded.pki import Algorithm, ensure_pki, ensure_seal
from signing.algorithms import digest, signature_holds
from signing.errors import KeyUnusable
from signing.keys import FileSealKey, SealKey, mechanism_for
from tests.signing_support import pki, seal_key

PASSWORD = b"fictional"


def pem(algorithm: Algorithm, folder: Path) -> SealKey:
    made = ensure_seal(pki().folder, "Gemeente Voorbeeld", f"voorbeeld-{algorithm}", algorithm=algorithm)
    return FileSealKey.from_pem(made.key, made.certificate, made.chain)


def encrypted_pem(algorithm: Algorithm, folder: Path) -> SealKey:
    made = ensure_seal(pki().folder, "Gemeente Voorbeeld", f"voorbeeld-{algorithm}", algorithm=algorithm)
    key = load_pem_private_key(made.key.read_bytes(), None)
    file = folder / "key.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD)))
    return FileSealKey.from_pem(file, made.certificate, made.chain, password=PASSWORD)


def pkcs12(algorithm: Algorithm, folder: Path) -> SealKey:
    return FileSealKey.from_pkcs12(pkcs12_file(algorithm, folder), password=PASSWORD)


def pkcs12_file(algorithm: Algorithm, folder: Path) -> Path:
    made = ensure_seal(pki().folder, "Gemeente Voorbeeld", f"voorbeeld-{algorithm}", algorithm=algorithm)
    key = load_pem_private_key(made.key.read_bytes(), None)
    assert isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey))
    loaded = seal_key(algorithm)
    file = folder / "seal.p12"
    file.write_bytes(
        serialize_key_and_certificates(
            b"seal", key, loaded.certificate, loaded.chain, BestAvailableEncryption(PASSWORD)
        )
    )
    return file


Provider = Callable[[Algorithm, Path], SealKey]


@pytest.fixture(params=["p-256", "rsa-3072"])
def algorithm(request: pytest.FixtureRequest) -> Algorithm:
    chosen: Algorithm = request.param
    return chosen


@pytest.fixture(params=[pem, encrypted_pem, pkcs12], ids=lambda provider: provider.__name__)
def key(request: pytest.FixtureRequest, algorithm: Algorithm, tmp_path: Path) -> SealKey:
    provider: Provider = request.param
    return provider(algorithm, tmp_path)


def verified(key: SealKey, signature: bytes, digested: bytes) -> bool:
    return signature_holds(
        key.certificate.public_key(), key.mechanism.encoded, key.mechanism.digest, signature, digested
    )


def test_a_signature_verifies_under_the_certificate(key: SealKey) -> None:
    digested = digest(key.mechanism.digest, b"a document")
    assert verified(key, key.sign(digested), digested)
    assert not verified(key, key.sign(digested), digest(key.mechanism.digest, b"another"))


def test_the_mechanism_is_the_one_for_the_certificates_key(key: SealKey) -> None:
    assert key.mechanism is mechanism_for(key.certificate.public_key())


def test_the_chain_leads_away_from_the_certificate(key: SealKey) -> None:
    below = key.certificate
    for issuer in key.chain:
        below.verify_directly_issued_by(issuer)
        below = issuer
    assert key.chain


def test_a_digest_of_another_length_is_refused_and_the_key_still_works(key: SealKey) -> None:
    with pytest.raises(KeyUnusable):
        key.sign(b"short")
    digested = digest(key.mechanism.digest, b"")
    assert verified(key, key.sign(digested), digested)


def test_several_threads_may_sign_at_once(key: SealKey) -> None:
    digests = [digest(key.mechanism.digest, bytes([number])) for number in range(16)]
    with ThreadPoolExecutor(4) as pool:
        signatures = list(pool.map(key.sign, digests))
    assert all(verified(key, *pair) for pair in zip(signatures, digests, strict=True))


def test_nothing_of_the_key_shows(key: SealKey) -> None:
    assert "PRIVATE" not in repr(key)
    assert not [name for name in vars(type(key)) if not name.startswith("_") and "private" in name]


def test_a_wrong_password_is_a_coded_error(algorithm: Algorithm, tmp_path: Path) -> None:
    file = pkcs12_file(algorithm, tmp_path)
    with pytest.raises(KeyUnusable) as caught:
        FileSealKey.from_pkcs12(file, password=b"wrong")
    assert caught.value.code == "key_unusable"
    assert "wrong" not in str(caught.value)


def test_a_missing_file_is_a_coded_error(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusable):
        FileSealKey.from_pem(tmp_path / "none.pem", tmp_path / "none.pem")
    with pytest.raises(KeyUnusable):
        FileSealKey.from_pkcs12(tmp_path / "none.p12", password=None)


def test_a_certificate_of_another_key_is_refused() -> None:
    seal = ensure_seal(pki().folder, "Gemeente Voorbeeld", "voorbeeld-p-256")
    with pytest.raises(KeyUnusable):
        FileSealKey.from_pem(seal.key, pki().tsa.certificate)


def test_a_pkcs12_without_a_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "certificate-only.p12"
    loaded = seal_key()
    file.write_bytes(
        serialize_key_and_certificates(b"x", None, None, [loaded.certificate], BestAvailableEncryption(PASSWORD))
    )
    with pytest.raises(KeyUnusable):
        FileSealKey.from_pkcs12(file, password=PASSWORD)


def test_weak_and_unknown_keys_are_refused() -> None:
    with pytest.raises(KeyUnusable):
        mechanism_for(rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key())
    with pytest.raises(KeyUnusable):
        mechanism_for(ec.generate_private_key(ec.SECP256K1()).public_key())
    assert mechanism_for(ec.generate_private_key(ec.SECP384R1()).public_key()).digest == "sha384"


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    file = tmp_path / "key.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(KeyUnusable):
        FileSealKey.from_pem(file, pki().tsa.certificate)


def test_the_test_pki_is_kept_and_its_keys_are_private(tmp_path: Path) -> None:
    first = ensure_pki(tmp_path)
    seal = ensure_seal(tmp_path, "Één organisatie met een heel lange naam die nergens in past, dus gekort", "x-1")
    before = {file.name: file.read_bytes() for file in tmp_path.glob("*.pem")}
    assert ensure_pki(tmp_path) == first
    assert ensure_seal(tmp_path, "Anders", "x-1") == seal
    assert {file.name: file.read_bytes() for file in tmp_path.glob("*.pem")} == before
    assert all(file.stat().st_mode & 0o077 == 0 for file in tmp_path.glob("*.key.pem"))
    assert (
        b"fictional" in FileSealKey.from_pem(seal.key, seal.certificate).certificate.subject.rfc4514_string().encode()
    )


def test_a_slug_cannot_leave_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="slug"):
        ensure_seal(tmp_path, "X", "../x")
