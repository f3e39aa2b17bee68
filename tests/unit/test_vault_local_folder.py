"""What a store in a local folder promises beyond the contract: durability, crashes, full disks, missing mounts."""

from __future__ import annotations

import errno
import gc
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.vault.errors import ObjectMissing, StoreMisconfigured, StoreUnreachable
from service.vault.objects import local
from service.vault.objects.local import LocalFolder

CONTENT = bytes(range(256)) * 200
LIMIT = 10_000_000


class Crash(BaseException):
    """The machine stops: nothing after this touches the disk."""


@pytest.fixture(params=["nameless drafts", "named drafts"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "named drafts":
        monkeypatch.setattr(local, "_can_be_nameless", lambda _: False)
    return tmp_path / "store"


@pytest.fixture
def usual(tmp_path: Path) -> Path:
    return tmp_path / "store"


def drafts(root: Path) -> list[Path]:
    return list(root.rglob(".new-*"))


def named(root: Path) -> set[str]:
    return {found.path for found in LocalFolder(root).listing()}


def stopping_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Let every call that changes the disk fail from the ``step``-th on; of a write that fails, half arrives."""
    calls = 0

    def stop(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == step and name == "write":
                real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
            if calls >= step:
                raise Crash
            return real(*arguments, **options)

        return call

    for name in ("open", "write", "fsync", "link", "mkdir", "unlink", "rmdir"):
        monkeypatch.setattr(os, name, stop(name, getattr(os, name)))
    return lambda: calls < step


@pytest.mark.parametrize("count", [1, 3, 9])
def test_no_crash_leaves_a_part_of_an_object(root: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [(f"d{number % 4}/sealed/n{number}", CONTENT + bytes([number])) for number in range(count)]
    LocalFolder(root)
    for step in range(1, 1000):
        for path, _ in items:
            LocalFolder(root).delete_many([path])
        store = LocalFolder(root)
        with monkeypatch.context() as patch:
            finished = stopping_at(step, patch)
            try:
                store.put_many(items)
            except Crash:
                assert not finished()
        after = LocalFolder(root)
        for path in named(root):
            assert after.get(path, limit=LIMIT) == dict(items)[path]
        # What was interrupted can be done again, over whatever is there.
        after.put_many(items)
        if finished():
            assert step > 6 * count
            return
    pytest.fail("it never came to an end")


def test_a_put_is_durable_when_it_returns(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalFolder(root)
    unsafe: set[Path] = set()
    fsync, link, write, mkdir = os.fsync, os.link, os.write, os.mkdir

    def place(descriptor: int) -> Path:
        return Path(f"/proc/self/fd/{descriptor}").readlink()

    def noted_write(descriptor: int, content: bytes) -> int:
        unsafe.add(place(descriptor))
        return write(descriptor, content)

    def noted_link(source: Path | str, target: Path, **options: Any) -> None:
        file = Path(source).readlink() if str(source).startswith("/proc") else Path(source)
        assert file not in unsafe, "named before its content was safe"
        unsafe.add(target.parent)
        link(source, target, **options)

    def noted_mkdir(path: Path, mode: int = 0o777) -> None:
        mkdir(path, mode)
        unsafe.add(Path(path).parent)

    def noted_fsync(descriptor: int) -> None:
        fsync(descriptor)
        unsafe.discard(place(descriptor))

    for name, noted in {"fsync": noted_fsync, "link": noted_link, "write": noted_write, "mkdir": noted_mkdir}.items():
        monkeypatch.setattr(os, name, noted)
    store.put_new("d1/sealed/one", CONTENT)
    assert unsafe == set()
    store.put_many([(f"d{number}/sealed/many", CONTENT) for number in range(100)])
    assert unsafe == set()


def test_folders_that_another_process_made_are_made_durable_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalFolder(root)
    store.put_new("d1/sealed/one", CONTENT)
    folder = store._place("d1/sealed/two").parent
    synced: set[Path] = set()
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        synced.add(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr(os, "fsync", noted)
    store.put_new("d1/sealed/two", CONTENT)
    assert {folder, folder.parent} <= synced


def test_a_new_store_is_durable_down_from_the_first_folder_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[Path] = set()
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        synced.add(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr(os, "fsync", noted)
    LocalFolder(tmp_path / "a" / "b")
    assert {tmp_path, tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "objects"} <= synced


def test_a_removal_is_durable_when_it_returns(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalFolder(root)
    store.put_new("d1/sealed/one", CONTENT)
    store.put_new("d1/sealed/two", CONTENT)
    folder = store._place("d1/sealed/one").parent
    synced: list[Path] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr(os, "fsync", noted)
    store.delete_many(["d1/sealed/one"])
    assert folder in synced
    synced.clear()
    store.delete_many(["d1/sealed/two"])
    assert synced == [folder.parent]
    assert not folder.exists()


def test_an_fsync_that_fails_is_no_success(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalFolder(root)

    def failing(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        for items in ([("d1/a/x", CONTENT)], [(f"d{number}/a/x", CONTENT) for number in range(20)]):
            with pytest.raises(StoreUnreachable) as caught:
                store.put_many(items)
            assert caught.value.context == {"cause": "EIO"}
        with pytest.raises(StoreUnreachable):
            store.delete_many(["d1/a/x"])
    assert named(root) == set()
    assert drafts(root) == []


def test_a_full_disk_is_told_and_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalFolder(root)
    write, left = os.write, [3 * len(CONTENT)]

    def filling(descriptor: int, content: bytes) -> int:
        if left[0] <= 0:
            raise OSError(28, "No space left on device")
        done = write(descriptor, content[:4000])
        left[0] -= done
        return done

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", filling)
        with pytest.raises(StoreUnreachable) as caught:
            store.put_many([(f"d{number}/a/x", CONTENT) for number in range(10)])
    assert caught.value.context == {"cause": "ENOSPC"}
    assert named(root) == set()
    assert drafts(root) == []


def test_a_disk_that_cannot_be_listed_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalFolder(root)
    store.put_new("d1/sealed/x", CONTENT)

    def failing(folder: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(StoreUnreachable):
        list(store.listing())
    with pytest.raises(StoreUnreachable):
        list(store.listing("d1"))


def test_a_folder_that_cannot_be_removed_for_another_reason_is_told(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalFolder(root)
    store.put_new("d1/sealed/x", CONTENT)

    def failing(folder: Path) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "rmdir", failing)
    with pytest.raises(StoreUnreachable):
        store.delete_many(["d1/sealed/x"])


def test_what_vanishes_during_a_listing_is_left_out(root: Path) -> None:
    store = LocalFolder(root)
    store.put_many([(f"d1/sealed/n{number}", CONTENT) for number in range(3)])
    listing = store.listing()
    first = next(listing)
    store.delete_many([f"d1/sealed/n{number}" for number in range(3)])
    assert first.path.startswith("d1/sealed/n")
    assert list(listing) == []


def test_an_object_that_vanishes_while_it_is_put_again_is_tried_again_later(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalFolder(root)
    real = os.link

    def taken(source: Path | str, target: Path, **options: Any) -> None:
        raise FileExistsError(17, "File exists")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", taken)
        with pytest.raises(StoreUnreachable):
            store.put_new("d1/sealed/x", CONTENT)
    assert os.link is real
    assert named(root) == set()


def test_a_disk_that_is_not_mounted_is_not_an_empty_store(usual: Path) -> None:
    with pytest.raises(StoreMisconfigured):
        LocalFolder(usual, create=False)
    LocalFolder(usual)
    LocalFolder(usual, create=False)


def test_a_store_that_cannot_be_made_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnreachable):
        LocalFolder(tmp_path / "file" / "store")


def test_a_link_in_the_store_is_not_followed(root: Path, tmp_path: Path) -> None:
    store = LocalFolder(root)
    store.put_new("d1/a/x", CONTENT)
    place = store._place("d1/a/x")
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreUnreachable):
        store.get("d1/a/x", limit=LIMIT)


def test_objects_are_closed_to_other_users(root: Path) -> None:
    LocalFolder(root).put_new("d1/a/x", CONTENT)
    modes = {path.stat().st_mode & 0o077 for path in root.rglob("*")}
    assert modes == {0}


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EPERM])
def test_a_folder_that_keeps_disappearing_is_no_endless_loop(
    root: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalFolder(root)
    real, calls = os.link, [0]

    def gone(source: Path | str, target: Path, **options: Any) -> None:
        calls[0] += 1
        if calls[0] != 3:
            raise OSError(number, "the folder is being removed")
        real(source, target, **options)

    monkeypatch.setattr(os, "link", gone)
    store.put_new("d1/a/x", CONTENT)
    with pytest.raises(StoreUnreachable) as caught:
        store.put_new("d1/a/y", CONTENT)
    assert caught.value.context == {"cause": errno.errorcode[number]}


def test_no_killed_writer_leaves_a_part_of_an_object(root: Path) -> None:
    LocalFolder(root)
    program = f"""
import hashlib, itertools, os
from pathlib import Path
from service.vault.objects.local import LocalFolder
store = LocalFolder(Path({str(root)!r}))
print("ready", flush=True)
for number in itertools.count():
    contents = [os.urandom(300_000) for _ in range(6)]
    store.put_many([(f"d{{number}}/sealed/{{hashlib.sha256(content).hexdigest()}}", content) for content in contents])
    print(number, flush=True)
"""
    import hashlib

    seen = 0
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(random.Random(seen).uniform(0.02, 0.15))
        process.send_signal(signal.SIGKILL)
        acknowledged = process.communicate(timeout=30)[0].count("\n")
        store = LocalFolder(root)
        found = list(store.listing())
        assert len(found) >= 6 * acknowledged
        for entry in found:
            content = store.get(entry.path, limit=LIMIT)
            assert hashlib.sha256(content).hexdigest() == entry.path.rpartition("/")[2]
        seen += len(found)
        store.delete_many([entry.path for entry in found])
        with pytest.raises(ObjectMissing):
            store.get("d0/sealed/none", limit=LIMIT)
    assert seen > 0


def test_what_was_stored_is_let_go_of_at_once(root: Path) -> None:
    """A cycle of frames would hold documents until the collector comes by, which in a worker is seldom."""
    store, content = LocalFolder(root), bytes(CONTENT)
    gc.disable()
    try:
        before = sys.getrefcount(content)
        store.put_new("d1/sealed/x", content)
        store.put_many([(f"d{number}/sealed/x", content) for number in range(10)])
        assert sys.getrefcount(content) == before
    finally:
        gc.enable()
