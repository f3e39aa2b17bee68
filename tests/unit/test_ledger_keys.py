"""Keys, the head store and entries."""

import os
import stat
import threading
from pathlib import Path

import pytest

from service.ledger import entry, keys
from service.ledger.checkpoint import Checkpoint
from service.ledger.errors import EntryRefused, LedgerKeysRefused
from service.ledger.head_store import FileHeadStore
from tests.ledger_support import NOW, ORIGIN, leaves, record, signer


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_generated_keys_are_private_and_come_back(tmp_path: Path) -> None:
    made = keys.generate(tmp_path / "keys", ORIGIN)
    for name in (keys.ED25519_FILE, keys.ML_DSA_44_FILE):
        assert stat.S_IMODE((tmp_path / "keys" / name).stat().st_mode) == 0o600
    assert keys.load(tmp_path / "keys", ORIGIN).vkeys == made.vkeys
    assert keys.generate(tmp_path / "keys", ORIGIN).vkeys == made.vkeys
    assert names(tmp_path / "keys") == {keys.ED25519_FILE, keys.ML_DSA_44_FILE}


def test_two_processes_that_generate_at_once_get_one_pair(tmp_path: Path) -> None:
    found: list[tuple[str, str]] = []
    threads = [threading.Thread(target=lambda: found.append(keys.generate(tmp_path, ORIGIN).vkeys)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_keys_open_to_others_are_refused(tmp_path: Path) -> None:
    keys.generate(tmp_path, ORIGIN)
    (tmp_path / keys.ED25519_FILE).chmod(0o604)
    with pytest.raises(LedgerKeysRefused) as refused:
        keys.load(tmp_path, ORIGIN)
    assert refused.value.why == "open_to_others"


def test_missing_swapped_and_broken_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerKeysRefused) as missing:
        keys.load(tmp_path, ORIGIN)
    assert missing.value.why == "unreadable"
    keys.generate(tmp_path, ORIGIN)
    first, second = tmp_path / keys.ED25519_FILE, tmp_path / keys.ML_DSA_44_FILE
    first.write_bytes(second.read_bytes())
    with pytest.raises(LedgerKeysRefused) as swapped:
        keys.load(tmp_path, ORIGIN)
    assert swapped.value.why == "wrong_kind"
    first.write_bytes(b"no key")
    with pytest.raises(LedgerKeysRefused) as broken:
        keys.load(tmp_path, ORIGIN)
    assert broken.value.why == "wrong_kind"


def test_a_signer_signs_its_own_log_only() -> None:
    with pytest.raises(LedgerKeysRefused) as refused:
        signer().sign(Checkpoint("another.example/log", 1, leaves(1)[0]), at=NOW)
    assert refused.value.why == "wrong_log"


def test_a_signer_does_not_show_its_keys() -> None:
    assert "PRIVATE" not in repr(signer())


def test_the_head_store_gives_back_what_was_written(tmp_path: Path) -> None:
    store = FileHeadStore(tmp_path / "heads" / "log")
    assert store.read() is None
    store.write(b"one")
    store.write(b"two")
    assert FileHeadStore(tmp_path / "heads" / "log").read() == b"two"
    assert names(tmp_path / "heads") == {"log"}


def test_a_head_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileHeadStore(tmp_path / "log")
    store.write(b"one")

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        store.write(b"two")
    assert store.read() == b"one"
    assert names(tmp_path) == {"log"}


def test_the_head_is_flushed_with_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[bool] = []
    real = os.fsync

    def watch(handle: int) -> None:
        flushed.append(stat.S_ISDIR(os.fstat(handle).st_mode))
        real(handle)

    monkeypatch.setattr(os, "fsync", watch)
    FileHeadStore(tmp_path / "log").write(b"one")
    assert flushed == [False, True]


def test_the_leaf_depends_on_record_salt_and_key() -> None:
    salt = bytes(32)
    key = str(record()["event_key"])
    found = {
        entry.leaf_hash(key, salt, record()),
        entry.leaf_hash(key, b"\x01" * 32, record()),
        entry.leaf_hash(key, salt, {**record(), "submitted": False}),
        entry.leaf_hash("other", salt, {**record(), "event_key": "other"}),
    }
    assert len(found) == 4
    assert len(entry.new_salt()) == 32
    assert entry.new_salt() != entry.new_salt()


def test_the_entry_is_canonical_json_of_key_and_digest() -> None:
    made = entry.entry(str(record()["event_key"]), bytes(32), record())
    assert made.startswith(b'{"digest":"')
    assert made.endswith(b'","event_key":"delivery-0:main:ContentConsignment:1"}')


@pytest.mark.parametrize(
    "value",
    [1.5, {"a": [1.0]}, 2**53, -(2**53), "\ud800", {"\udfff": 1}, {1: "a"}, b"bytes", ["\ud800"], {"a": {1, 2}}],
)
def test_values_without_one_form_are_refused(value: object) -> None:
    with pytest.raises(EntryRefused):
        entry.canonical(value)


def test_an_entry_needs_its_key_and_a_whole_salt() -> None:
    with pytest.raises(EntryRefused, match="event key"):
        entry.leaf_hash("another", bytes(32), record())
    with pytest.raises(EntryRefused, match="event key"):
        entry.leaf_hash("", bytes(32), {**record(), "event_key": ""})
    with pytest.raises(EntryRefused, match="32"):
        entry.leaf_hash(str(record()["event_key"]), bytes(16), record())
