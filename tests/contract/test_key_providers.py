"""What every provider of a seal key must do."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
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
from signing.algorithms import Mechanism, digest, signature_holds
from signing.errors import KeyUnusable
from signing.keys import FileSealKey, SealKey, mechanism_for
from signing.seal import Sealer
from signing.validate import validate
from tests.csc_support import certomancers_key, certomancers_service, remote_key, remote_service
from tests.signing_support import InProcessAuthority, credential, pki, plain_pdf, roots, seal_key
from tests.softhsm_support import hsm_key

PASSWORD = b"fictional"
Provider = Callable[[Algorithm, Mechanism | None, Path, ExitStack], SealKey]


def pem(algorithm: Algorithm, mechanism: Mechanism | None, folder: Path, stack: ExitStack) -> SealKey:
    made = credential(algorithm)
    return FileSealKey.from_pem(made.key, made.certificate, made.chain, mechanism=mechanism)


def encrypted_pem(algorithm: Algorithm, mechanism: Mechanism | None, folder: Path, stack: ExitStack) -> SealKey:
    made = credential(algorithm)
    key = load_pem_private_key(made.key.read_bytes(), None)
    file = folder / "key.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD)))
    return FileSealKey.from_pem(file, made.certificate, made.chain, password=PASSWORD, mechanism=mechanism)


def pkcs12(algorithm: Algorithm, mechanism: Mechanism | None, folder: Path, stack: ExitStack) -> SealKey:
    return FileSealKey.from_pkcs12(pkcs12_file(algorithm, folder), password=PASSWORD, mechanism=mechanism)


def pkcs11(algorithm: Algorithm, mechanism: Mechanism | None, folder: Path, stack: ExitStack) -> SealKey:
    return hsm_key(algorithm, mechanism)


def csc_v1(algorithm: Algorithm, mechanism: Mechanism | None, folder: Path, stack: ExitStack) -> SealKey:
    return certomancers_key(stack.enter_context(certomancers_service()), algorithm, mechanism)


def csc_v2(algorithm: Algorithm, mechanism: Mechanism | None, folder: Path, stack: ExitStack) -> SealKey:
    _, url = stack.enter_context(remote_service(algorithm=algorithm))
    return remote_key(url, mechanism)


PROVIDERS: tuple[Provider, ...] = (pem, encrypted_pem, pkcs12, pkcs11, csc_v1, csc_v2)


def pkcs12_file(algorithm: Algorithm, folder: Path) -> Path:
    key = load_pem_private_key(credential(algorithm).key.read_bytes(), None)
    assert isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey))
    loaded = seal_key(algorithm)
    file = folder / "seal.p12"
    file.write_bytes(
        serialize_key_and_certificates(
            b"seal", key, loaded.certificate, loaded.chain, BestAvailableEncryption(PASSWORD)
        )
    )
    return file


KINDS: tuple[tuple[Algorithm, Mechanism | None], ...] = (
    ("p-256", None),
    ("p-256", Mechanism.ECDSA_SHA512),
    ("p-384", None),
    ("rsa-3072", None),
    ("rsa-3072", Mechanism.PSS_SHA384),
)


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind[0]}-{kind[1] or 'usual'}")
def kind(request: pytest.FixtureRequest) -> tuple[Algorithm, Mechanism | None]:
    chosen: tuple[Algorithm, Mechanism | None] = request.param
    return chosen


@pytest.fixture(params=PROVIDERS, ids=lambda provider: provider.__name__)
def provider(request: pytest.FixtureRequest) -> Provider:
    chosen: Provider = request.param
    return chosen


@pytest.fixture
def key(provider: Provider, kind: tuple[Algorithm, Mechanism | None], tmp_path: Path) -> Iterator[SealKey]:
    with ExitStack() as stack:
        opened = provider(*kind, tmp_path, stack)
        stack.callback(getattr(opened, "close", lambda: None))
        yield opened


def verified(key: SealKey, signature: bytes, digested: bytes) -> bool:
    return signature_holds(
        key.certificate.public_key(), key.mechanism.encoded, key.mechanism.digest, signature, digested
    )


def test_a_signature_verifies_under_the_certificate(key: SealKey) -> None:
    digested = digest(key.mechanism.digest, b"a document")
    assert verified(key, key.sign(digested), digested)
    assert not verified(key, key.sign(digested), digest(key.mechanism.digest, b"another"))


def test_the_mechanism_is_the_one_chosen_or_the_usual_one(
    key: SealKey, kind: tuple[Algorithm, Mechanism | None]
) -> None:
    assert key.mechanism is mechanism_for(key.certificate.public_key(), kind[1])
    assert kind[1] in {None, key.mechanism}


def test_a_mechanism_that_the_key_can_not_is_refused(provider: Provider, tmp_path: Path) -> None:
    with ExitStack() as stack, pytest.raises(KeyUnusable, match="can't sign by rsa-pss-sha256"):
        provider("p-256", Mechanism.PSS_SHA256, tmp_path, stack)


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
    digests = [digest(key.mechanism.digest, bytes([number])) for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        signatures = list(pool.map(key.sign, digests))
    assert all(verified(key, *pair) for pair in zip(signatures, digests, strict=True))


def test_nothing_of_the_key_shows(key: SealKey) -> None:
    assert "PRIVATE" not in repr(key)
    assert not [name for name in vars(type(key)) if not name.startswith("_") and "private" in name]


def test_what_it_seals_is_valid(key: SealKey) -> None:
    now = datetime.now(UTC)
    sealed = Sealer(key, InProcessAuthority()).seal(plain_pdf(), at=now)
    assert validate(sealed, trust_roots=roots(), at=now).valid


def test_a_wrong_password_is_a_coded_error(tmp_path: Path) -> None:
    file = pkcs12_file("p-256", tmp_path)
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
