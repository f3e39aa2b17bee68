"""Drafts of a store in a local folder: without a name where the file system can, swept where it cannot."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.vault.errors import StoreUnreachable
from service.vault.objects import local
from service.vault.objects.local import LocalFolder

CONTENT = bytes(range(256)) * 200
LIMIT = 10_000_000


@pytest.fixture
def usual(tmp_path: Path) -> Path:
    return tmp_path / "store"


def drafts(root: Path) -> list[Path]:
    return list(root.rglob(".new-*"))


def test_what_an_interrupted_put_left_is_invisible_and_swept_when_it_is_old(
    usual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_can_be_nameless", lambda _: False)
    store = LocalFolder(usual)
    store.put_new("d1/sealed/x", CONTENT)
    now = datetime.now(UTC)
    folder = store._place("d1/sealed/x").parent
    for name, age in {".new-old": 90_000, ".new-young": 60, "sealed~x": 90_000}.items():
        (folder / name).write_bytes(b"content")
        os.utime(folder / name, (now.timestamp() - age,) * 2)
    assert [found.path for found in store.listing()] == ["d1/sealed/x"]
    (store._shard("d1") / ".new-in-the-shard").touch()
    assert [found.path for found in store.listing()] == ["d1/sealed/x"]
    assert store.sweep(now - timedelta(days=1)) == 1
    assert {path.name for path in folder.iterdir()} == {".new-young", "sealed~x"}


def test_a_disk_that_fails_while_sweeping_is_told(usual: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_can_be_nameless", lambda _: False)
    store = LocalFolder(usual)
    store.put_new("d1/sealed/x", CONTENT)
    (store._place("d1/sealed/x").parent / ".new-old").touch()
    (store._shard("d1") / ".new-older").touch()

    def failing(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(StoreUnreachable):
        store.sweep(datetime.now(UTC) + timedelta(days=1))


def test_a_file_system_that_fails_at_opening_is_not_called_an_old_one(
    usual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def failing(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(5, "Input/output error")
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", failing)
    with pytest.raises(StoreUnreachable):
        LocalFolder(usual)


@pytest.mark.parametrize("number", [95, 21, 22])
def test_a_file_system_without_nameless_files_is_noticed(
    usual: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def without(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(number, "not here")
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", without)
    store = LocalFolder(usual)
    store.put_new("d1/sealed/x", CONTENT)
    assert store.get("d1/sealed/x", limit=LIMIT) == CONTENT


def test_without_proc_drafts_have_names(usual: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.link

    def without(source: Path | str, target: Path, **options: Any) -> None:
        if str(source).startswith("/proc"):
            raise FileNotFoundError(2, "No such file or directory")
        real(source, target, **options)

    monkeypatch.setattr(os, "link", without)
    store = LocalFolder(usual)
    store.put_new("d1/sealed/x", CONTENT)
    assert store.get("d1/sealed/x", limit=LIMIT) == CONTENT
    assert drafts(usual) == []
