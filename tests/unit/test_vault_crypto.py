"""Sealed values and containers keep their formats; keys are derived as written down."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.domain.errors import PayloadTooLarge
from service.vault import vault as vault_module
from service.vault.container import open_container
from service.vault.crypto import decrypt, encrypt, key_id_of, recipient_hash
from service.vault.errors import VaultIntegrityError
from service.vault.keyring.base import KeyEncryptionKey
from service.vault.keyring.file import FileKeyRing
from service.vault.objects import open_store
from service.vault.vault import Vault
from tests.vault_support import DELIVERY, ORGANISATION, OneKey

KEY = KeyEncryptionKey("abcdefgh234567zz", bytes(range(32)))


def hkdf(material: bytes, info: bytes) -> bytes:
    """RFC 5869 for one block of output, written out."""
    extracted = hmac.digest(bytes(32), material, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def test_a_sealed_value_is_laid_out_as_documented() -> None:
    blob = encrypt(KEY, b"Peeters", b"organisation|row")
    header, nonce = blob[:30], blob[18:30]
    assert blob[:18] == b"\x01\x10abcdefgh234567zz"
    cipher = AESGCM(hkdf(KEY.material, b"zending column v1"))
    assert cipher.decrypt(nonce, blob[30:], b"\x00\x1e" + header + b"organisation|row") == b"Peeters"


def test_a_container_is_laid_out_as_documented(tmp_path: Path) -> None:
    vault = Vault(open_store("memory:", allow_memory=True), OneKey(KEY))
    content = vault.prepare(ORGANISATION, 2031, DELIVERY, "sealed", b"%PDF-1.7").ciphertext
    place = f"|{ORGANISATION}|{DELIVERY}|sealed".encode()
    assert content[:22] == b"ZDOC\x01\x10abcdefgh234567zz"
    wrapping = AESGCM(hkdf(KEY.material, b"zending document v1"))
    data_key = wrapping.decrypt(content[22:34], content[34:82], content[:22] + place)
    assert AESGCM(data_key).decrypt(content[82:94], content[94:], content[:94] + place) == b"%PDF-1.7"


def test_values_of_the_first_format_stay_readable() -> None:
    sealed = bytes.fromhex(SEALED_ONCE)
    assert decrypt(OneKey(KEY), sealed, b"organisation|row") == b"Peeters"
    container = bytes.fromhex(CONTAINER_ONCE)
    place = {"organisation": ORGANISATION, "delivery": DELIVERY, "role": "sealed"}
    assert open_container(OneKey(KEY), container, **place) == b"%PDF-1.7"  # type: ignore[arg-type]


def test_the_same_value_never_looks_the_same() -> None:
    assert len({encrypt(KEY, b"same", b"place") for _ in range(100)}) == 100


@pytest.mark.parametrize("blob", [b"", b"\x01", b"\x02", b"\x01\x00", b"\x01\x10abc", b"\x01\x01\xff" + bytes(40)])
def test_what_is_no_sealed_value_is_refused(blob: bytes) -> None:
    with pytest.raises(VaultIntegrityError):
        decrypt(OneKey(KEY), blob, b"")
    with pytest.raises(VaultIntegrityError):
        key_id_of(blob)


def test_a_sealed_value_tells_which_key_it_needs() -> None:
    assert key_id_of(encrypt(KEY, b"Peeters", b"")) == KEY.id


@pytest.mark.parametrize("key_id", ["", "x" * 256])
def test_a_key_id_that_fits_no_header_is_a_mistake(key_id: str) -> None:
    with pytest.raises(ValueError, match="1 to 255"):
        encrypt(KeyEncryptionKey(key_id, bytes(32)), b"", b"")


def test_columns_and_documents_have_different_keys() -> None:
    assert hkdf(KEY.material, b"zending column v1") != hkdf(KEY.material, b"zending document v1")
    assert KEY.cipher(b"one").encrypt(bytes(12), b"", b"") != KEY.cipher(b"two").encrypt(bytes(12), b"", b"")


def test_a_recipient_is_found_by_a_keyed_hash() -> None:
    key = bytes(range(32))
    found = recipient_hash(key, "citizen", "85073003328")
    assert found == hmac.new(key, b"\x00\x07citizen85073003328", hashlib.sha256).digest()
    others = [
        recipient_hash(key, "enterprise", "85073003328"),
        recipient_hash(key, "citizen", "85073003329"),
        recipient_hash(bytes(32), "citizen", "85073003328"),
        recipient_hash(key, "citizen8", "5073003328"),
    ]
    assert found not in others


def test_a_document_too_large_to_be_read_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault_module, "LARGEST_DOCUMENT", 1000)
    vault = Vault(open_store("memory:", allow_memory=True), FileKeyRing(tmp_path / "keys"))
    largest = vault.prepare(ORGANISATION, 2031, DELIVERY, "sealed", bytes(1000))
    vault.write(largest)
    assert vault.read(largest.path, ORGANISATION, DELIVERY, "sealed") == bytes(1000)
    with pytest.raises(PayloadTooLarge):
        vault.prepare(ORGANISATION, 2031, DELIVERY, "sealed", bytes(1001))


def test_a_document_goes_to_another_delivery_by_no_path(tmp_path: Path) -> None:
    vault = Vault(open_store("memory:", allow_memory=True), FileKeyRing(tmp_path / "keys"))
    for path in (f"{DELIVERY}/sealed/", f"{DELIVERY}/sealed/../x", "a" * 64, f"{DELIVERY}/print/{'0' * 64}"):
        with pytest.raises(VaultIntegrityError):
            vault.read(path, ORGANISATION, DELIVERY, "sealed")


def test_several_documents_are_removed_together(tmp_path: Path) -> None:
    vault = Vault(open_store(tmp_path.as_uri() + "/store"), FileKeyRing(tmp_path / "keys"))
    documents = [vault.prepare(ORGANISATION, 2031, DELIVERY, "sealed", bytes([number])) for number in range(3)]
    vault.write_many(documents)
    vault.remove_many([document.path for document in documents[:2]])
    assert [found.path for found in vault.stored()] == [documents[2].path]
    assert vault.sweep(datetime.now(UTC)) == 0


@pytest.mark.parametrize("role", ["", "Sealed", "a/b", "a|b", "..", "é", "a" * 65])
def test_a_role_that_fits_no_path_is_a_mistake(tmp_path: Path, role: str) -> None:
    vault = Vault(open_store("memory:", allow_memory=True), FileKeyRing(tmp_path / "keys"))
    with pytest.raises(ValueError, match="role"):
        vault.prepare(ORGANISATION, 2031, DELIVERY, role, b"")
    with pytest.raises(ValueError, match="role"):
        vault.read(f"{DELIVERY}/{role}/{'0' * 64}", ORGANISATION, DELIVERY, role)


def test_nothing_prepared_shows_its_content(tmp_path: Path) -> None:
    vault = Vault(open_store("memory:", allow_memory=True), FileKeyRing(tmp_path / "keys"))
    prepared = vault.prepare(ORGANISATION, 2031, DELIVERY, "sealed", b"content")
    assert "ciphertext" not in repr(prepared)


SEALED_ONCE = (
    "011061626364656667683233343536377a7ae4f23d5c4105822162f083da90795c8b614c7ec4c6c953c7020673ce60043172d16fed"
)
CONTAINER_ONCE = (
    "5a444f43011061626364656667683233343536377a7a150699be65f830c5a2e488889745531cd858b23212acd71c5a1830af"
    "2ba614be27fbd4f27d630e65677b431767c667e1efa44884ddca4de97ce686a89906880b413818366f9466226cff71ea127d"
    "3414a226d42a7f6a96f6346273662ae6876e"
)
