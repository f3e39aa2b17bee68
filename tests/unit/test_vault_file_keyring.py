"""What a key ring in a folder promises beyond the contract: modes, torn writes, interrupted destructions, backups."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from service.vault.errors import KeyDestroyed, KeyRingUnreachable, KeyRingUnusable, KeyUnknown
from service.vault.keyring.file import FileKeyRing
from tests.vault_support import ORGANISATION, OTHER_ORGANISATION, Clock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "keys"


def key_files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_keys_are_closed_to_other_users(folder: Path) -> None:
    FileKeyRing(folder).wrap_key(ORGANISATION, 2031)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_folder_open_to_others_is_refused(folder: Path) -> None:
    FileKeyRing(folder)
    folder.chmod(0o750)
    with pytest.raises(KeyRingUnusable):
        FileKeyRing(folder)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o777])
def test_a_key_file_open_to_others_is_refused(folder: Path, mode: int) -> None:
    key = FileKeyRing(folder).wrap_key(ORGANISATION, 2031)
    (folder / f"{key.id}.key").chmod(mode)
    ring = FileKeyRing(folder)
    with pytest.raises(KeyRingUnusable):
        ring.key(key.id)
    with pytest.raises(KeyRingUnusable):
        ring.wrap_key(ORGANISATION, 2031)


def test_a_key_file_that_is_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    key = FileKeyRing(folder).wrap_key(ORGANISATION, 2031)
    (folder / f"{key.id}.key").rename(tmp_path / "elsewhere")
    (folder / f"{key.id}.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyRingUnusable):
        FileKeyRing(folder).key(key.id)


def test_a_key_file_that_is_no_file_is_refused(folder: Path) -> None:
    key = FileKeyRing(folder).wrap_key(ORGANISATION, 2031)
    (folder / f"{key.id}.key").unlink()
    (folder / f"{key.id}.key").mkdir()
    with pytest.raises(KeyRingUnreachable):
        FileKeyRing(folder).key(key.id)


def test_a_damaged_key_is_never_used(folder: Path) -> None:
    key = FileKeyRing(folder).wrap_key(ORGANISATION, 2031)
    path = folder / f"{key.id}.key"
    whole = path.read_bytes()
    facts = json.loads(whole)
    other = {**facts, "material": "A" * 43 + "="}
    for damaged in (b"", b"[]", b"\xff", whole[:-20], whole[:40], json.dumps(other).encode(), b'{"material": 3}'):
        path.write_bytes(damaged)
        with pytest.raises(KeyRingUnusable):
            FileKeyRing(folder).key(key.id)


def test_a_key_under_another_keys_name_is_refused(folder: Path) -> None:
    ring = FileKeyRing(folder)
    mine, other = ring.wrap_key(ORGANISATION, 2031), ring.wrap_key(OTHER_ORGANISATION, 2031)
    shutil.copy(folder / f"{mine.id}.key", folder / f"{other.id}.key")
    with pytest.raises(KeyRingUnusable):
        FileKeyRing(folder).key(other.id)


def test_a_damaged_index_key_is_told_when_the_ring_opens(folder: Path) -> None:
    FileKeyRing(folder)
    (folder / "index.key").write_bytes(b"{}")
    with pytest.raises(KeyRingUnusable):
        FileKeyRing(folder)


def test_a_lost_index_key_is_never_replaced(folder: Path) -> None:
    FileKeyRing(folder).wrap_key(ORGANISATION, 2031)
    (folder / "index.key").unlink()
    with pytest.raises(KeyRingUnusable):
        FileKeyRing(folder)
    assert not (folder / "index.key").exists()


def test_a_destruction_leaves_a_tombstone_and_no_material(folder: Path) -> None:
    ring = FileKeyRing(folder)
    key = ring.wrap_key(ORGANISATION, 2031)
    ring.destroy(key.id)
    assert key_files(folder) == {"index.key", f"{key.id}.destroyed"}


def test_a_restored_backup_brings_no_destroyed_key_back(folder: Path, tmp_path: Path) -> None:
    ring = FileKeyRing(folder)
    key = ring.wrap_key(ORGANISATION, 2031)
    shutil.copy(folder / f"{key.id}.key", tmp_path / "backup")
    ring.destroy(key.id)
    shutil.copy(tmp_path / "backup", folder / f"{key.id}.key")
    with pytest.raises(KeyDestroyed):
        ring.key(key.id)
    assert key_files(folder) == {"index.key", f"{key.id}.destroyed"}


def test_an_interrupted_destruction_is_finished_when_the_ring_opens(folder: Path) -> None:
    key = FileKeyRing(folder).wrap_key(ORGANISATION, 2031)
    (folder / f"{key.id}.destroyed").touch(0o600)
    ring = FileKeyRing(folder)
    assert key_files(folder) == {"index.key", f"{key.id}.destroyed"}
    with pytest.raises(KeyDestroyed):
        ring.wrap_key(ORGANISATION, 2031)


def test_a_key_that_is_being_destroyed_is_not_called_damaged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = FileKeyRing(folder).wrap_key(ORGANISATION, 2031)
    ring = FileKeyRing(folder)
    real = FileKeyRing._refuse_destroyed
    looks = iter([lambda *_: None])

    def between(self: FileKeyRing, key_id: str) -> None:
        next(looks, real)(self, key_id)

    monkeypatch.setattr(FileKeyRing, "_refuse_destroyed", between)
    (folder / f"{key.id}.destroyed").touch(0o600)
    (folder / f"{key.id}.key").write_bytes(bytes(200))
    with pytest.raises(KeyDestroyed):
        ring.key(key.id)


def test_a_key_destroyed_while_it_is_made_does_not_come_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = FileKeyRing(folder).wrap_key(ORGANISATION, 2031)
    slow, quick = FileKeyRing(folder), FileKeyRing(folder)
    real = FileKeyRing._create

    def after_the_destruction(self: FileKeyRing, name: str, facts: dict[str, str | int]) -> None:
        if self is slow:
            quick.destroy(key.id)
        real(self, name, facts)

    monkeypatch.setattr(FileKeyRing, "_create", after_the_destruction)
    with pytest.raises(KeyDestroyed):
        slow.wrap_key(ORGANISATION, 2031)
    assert key_files(folder) == {"index.key", f"{key.id}.destroyed"}


def test_a_key_is_durable_before_it_is_returned(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = FileKeyRing(folder)
    events: list[str] = []
    fsync, link = os.fsync, os.link

    def noted_fsync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink()
        events.append("fsync folder" if name == folder else "fsync file")
        fsync(descriptor)

    def noted_link(source: Path, target: Path) -> None:
        events.append("link")
        link(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "link", noted_link)
    ring.wrap_key(ORGANISATION, 2031)
    assert events == ["fsync file", "link", "fsync folder"]
    events.clear()
    # Made by another process, which may not have come to its own fsync: this one must not trust the page cache.
    FileKeyRing(folder).wrap_key(ORGANISATION, 2031)
    assert "fsync folder" in events


def test_nothing_is_left_of_a_key_that_could_not_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = FileKeyRing(folder)

    def full(descriptor: int, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(KeyRingUnreachable):
            ring.wrap_key(ORGANISATION, 2031)
        with pytest.raises(KeyRingUnreachable):
            ring.rotate(ORGANISATION, 2031)
    assert key_files(folder) == {"index.key"}
    ring.wrap_key(ORGANISATION, 2031)


def test_copies_of_keys_leave_the_process_with_time(folder: Path) -> None:
    clock = Clock()
    ring = FileKeyRing(folder, clock=clock, max_age=60)
    ring.wrap_key(ORGANISATION, 2031)
    clock.now += 61
    ring.wrap_key(OTHER_ORGANISATION, 2031)
    assert len(ring._keys) == len(ring._newest) == 1


def test_a_key_in_the_cache_costs_no_look_at_the_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = FileKeyRing(folder, clock=Clock())
    key = ring.wrap_key(ORGANISATION, 2031)
    monkeypatch.setattr(FileKeyRing, "_read", None)
    monkeypatch.setattr(FileKeyRing, "_tombstone", None)
    assert ring.key(key.id) == ring.wrap_key(ORGANISATION, 2031) == key


def test_a_key_that_is_destroyed_between_two_looks_is_not_called_unknown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = FileKeyRing(folder).wrap_key(ORGANISATION, 2031)
    slow, quick = FileKeyRing(folder), FileKeyRing(folder)
    real = FileKeyRing._read

    def after_the_destruction(self: FileKeyRing, name: str) -> bytes:
        quick.destroy(key.id)
        return real(self, name)

    monkeypatch.setattr(FileKeyRing, "_read", after_the_destruction)
    with pytest.raises(KeyDestroyed):
        slow.key(key.id)


def test_a_lost_key_file_is_an_unknown_key(folder: Path) -> None:
    key = FileKeyRing(folder).wrap_key(ORGANISATION, 2031)
    (folder / f"{key.id}.key").unlink()
    with pytest.raises(KeyUnknown):
        FileKeyRing(folder).key(key.id)


def test_a_folder_that_cannot_be_made_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(KeyRingUnreachable):
        FileKeyRing(tmp_path / "file" / "keys")


def test_a_disk_that_fails_is_unreachable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = FileKeyRing(folder)
    key = ring.wrap_key(ORGANISATION, 2031)

    def failing(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(KeyRingUnreachable):
        ring.destroy(key.id)
    # Half done, and dead already: the rest is done by whoever looks next.
    with pytest.raises(KeyDestroyed):
        ring.key(key.id)
    monkeypatch.undo()
    with pytest.raises(KeyDestroyed):
        FileKeyRing(folder).key(key.id)
    assert key_files(folder) == {"index.key", f"{key.id}.destroyed"}


@pytest.mark.parametrize("year", [31, 1999, 10_000, -1])
def test_a_year_of_another_millennium_is_a_mistake(folder: Path, year: int) -> None:
    ring = FileKeyRing(folder)
    with pytest.raises(ValueError, match="no year"):
        ring.wrap_key(ORGANISATION, year)
    with pytest.raises(ValueError, match="no year"):
        ring.rotate(ORGANISATION, year)
