"""Laws of the vault: what goes in comes out, in its own place only, and nothing changed ever comes out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.vault.container import close, open_container
from service.vault.crypto import decrypt, encrypt, recipient_hash
from service.vault.errors import KeyDestroyed, VaultIntegrityError
from service.vault.keyring.file import FileKeyRing
from service.vault.objects import open_store
from service.vault.vault import Vault
from tests.vault_support import DELIVERY, ORGANISATION, OTHER_DELIVERY, OTHER_ORGANISATION

ROLES = st.from_regex(r"[a-z][a-z0-9_-]{0,20}", fullmatch=True)
CONTENT = st.binary(max_size=5000)


@pytest.fixture(scope="module")
def ring() -> Iterator[FileKeyRing]:
    with tempfile.TemporaryDirectory() as folder:
        yield FileKeyRing(Path(folder) / "keys")


@pytest.fixture(scope="module", params=["local folder", "memory"])
def vault(request: pytest.FixtureRequest, ring: FileKeyRing) -> Iterator[Vault]:
    with tempfile.TemporaryDirectory() as folder:
        url = (Path(folder) / "store").as_uri() if request.param == "local folder" else "memory:"
        yield Vault(open_store(url, allow_memory=True), ring)


@given(plaintext=CONTENT, place=st.tuples(st.uuids(), st.uuids(), ROLES), year=st.integers(2026, 2040))
def test_every_document_comes_back(vault: Vault, plaintext: bytes, place: tuple[UUID, UUID, str], year: int) -> None:
    organisation, delivery, role = place
    prepared = vault.prepare(organisation, year, delivery, role, plaintext)
    vault.write(prepared)
    assert vault.read(prepared.path, organisation, delivery, role) == plaintext
    assert [(found.path, found.size) for found in vault.stored(delivery)] == [(prepared.path, prepared.size)]
    vault.remove(prepared.path)
    assert list(vault.stored(delivery)) == []


@given(plaintext=st.binary(max_size=64), associated=st.binary(max_size=64))
def test_every_sealed_value_comes_back(ring: FileKeyRing, plaintext: bytes, associated: bytes) -> None:
    blob = encrypt(ring.wrap_key(ORGANISATION, 2031), plaintext, associated)
    assert decrypt(ring, blob, associated) == plaintext


@given(plaintext=st.binary(max_size=24), associated=st.binary(max_size=24), data=st.data())
def test_no_changed_bit_of_a_sealed_value_passes(
    ring: FileKeyRing, plaintext: bytes, associated: bytes, data: st.DataObject
) -> None:
    blob = encrypt(ring.wrap_key(ORGANISATION, 2031), plaintext, associated)
    with pytest.raises(VaultIntegrityError):
        decrypt(ring, flipped(blob, data.draw(st.integers(0, 8 * len(blob) - 1))), associated)
    with pytest.raises(VaultIntegrityError):
        decrypt(ring, blob[: data.draw(st.integers(0, len(blob) - 1))], associated)
    with pytest.raises(VaultIntegrityError):
        decrypt(ring, blob + b"\0", associated)
    if associated:
        with pytest.raises(VaultIntegrityError):
            decrypt(ring, blob, flipped(associated, data.draw(st.integers(0, 8 * len(associated) - 1))))
    with pytest.raises(VaultIntegrityError):
        decrypt(ring, blob, associated + b"\0")


def test_every_single_bit_of_a_container_counts(ring: FileKeyRing) -> None:
    place = {"organisation": ORGANISATION, "delivery": DELIVERY, "role": "sealed"}
    content = close(ring.wrap_key(ORGANISATION, 2031), b"%PDF-1.7", **place)  # type: ignore[arg-type]
    for bit in range(8 * len(content)):
        with pytest.raises(VaultIntegrityError):
            open_container(ring, flipped(content, bit), **place)  # type: ignore[arg-type]
    for length in range(len(content)):
        with pytest.raises(VaultIntegrityError):
            open_container(ring, content[:length], **place)  # type: ignore[arg-type]


@given(
    plaintext=CONTENT,
    mine=st.tuples(st.sampled_from([ORGANISATION, OTHER_ORGANISATION]), st.sampled_from([DELIVERY, OTHER_DELIVERY])),
    theirs=st.tuples(st.sampled_from([ORGANISATION, OTHER_ORGANISATION]), st.sampled_from([DELIVERY, OTHER_DELIVERY])),
    roles=st.tuples(st.sampled_from(["sealed", "print"]), st.sampled_from(["sealed", "print"])),
)
def test_a_document_opens_in_its_own_place_only(
    ring: FileKeyRing, plaintext: bytes, mine: tuple[UUID, UUID], theirs: tuple[UUID, UUID], roles: tuple[str, str]
) -> None:
    vault = Vault(open_store("memory:", allow_memory=True), ring)
    prepared = vault.prepare(mine[0], 2031, mine[1], roles[0], plaintext)
    vault.write(prepared)
    there = f"{theirs[1]}/{roles[1]}/{prepared.sha256}"
    moved = open_store("memory:", allow_memory=True)
    moved.put_new(there, prepared.ciphertext)
    if (mine, roles[0]) == (theirs, roles[1]):
        assert vault.read(prepared.path, *theirs, roles[1]) == plaintext
        return
    with pytest.raises(VaultIntegrityError):
        vault.read(prepared.path, *theirs, roles[1])
    with pytest.raises(VaultIntegrityError):
        # Somebody with access to the store and the rows moved it there.
        Vault(moved, ring).read(there, *theirs, roles[1])


@given(plaintext=CONTENT, year=st.integers(2026, 9000))
def test_what_was_shredded_is_gone_and_the_rest_stays(plaintext: bytes, year: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ring = FileKeyRing(Path(folder) / "keys")
        vault = Vault(open_store("memory:", allow_memory=True), ring)
        mine, other = ring.wrap_key(ORGANISATION, year), ring.wrap_key(ORGANISATION, year + 1)
        documents = [vault.prepare(ORGANISATION, until, DELIVERY, "sealed", plaintext) for until in (year, year + 1)]
        vault.write_many(documents)
        values = [encrypt(key, plaintext, b"row") for key in (mine, other)]
        ring.destroy(mine.id)
        with pytest.raises(KeyDestroyed):
            vault.read(documents[0].path, ORGANISATION, DELIVERY, "sealed")
        with pytest.raises(KeyDestroyed):
            decrypt(ring, values[0], b"row")
        with pytest.raises(KeyDestroyed):
            vault.prepare(ORGANISATION, year, DELIVERY, "sealed", plaintext)
        assert vault.read(documents[1].path, ORGANISATION, DELIVERY, "sealed") == plaintext
        assert decrypt(ring, values[1], b"row") == plaintext


@given(
    one=st.tuples(st.text(max_size=12), st.text(max_size=12)),
    other=st.tuples(st.text(max_size=12), st.text(max_size=12)),
)
def test_two_recipients_never_share_a_hash(one: tuple[str, str], other: tuple[str, str]) -> None:
    same = recipient_hash(bytes(32), *one) == recipient_hash(bytes(32), *other)
    assert same == (one == other)


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)
