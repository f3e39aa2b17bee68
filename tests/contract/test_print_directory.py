"""What only the folder has, of the ways to a print house."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from printing.errors import ProviderRefused, ProviderUnavailable
from printing.providers.base import RemoteKind, hand_over
from printing.providers.directory import DirectoryProvider, Folder
from tests.print_way_support import DATA, PARCEL, DirectoryRemote


def _failing(number: int) -> Callable[..., None]:
    def fail(*_arguments: object) -> None:
        raise OSError(number, "made to fail")

    return fail


def test_a_full_disk_is_a_failure_that_may_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = DirectoryRemote(tmp_path)
    provider = DirectoryProvider(remote.folder)

    def half(_folder: Folder, name: str, data: bytes) -> None:
        (remote.folder / name).write_bytes(data[:100])
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(Folder, "write", half)
        with pytest.raises(ProviderUnavailable):
            provider.upload(PARCEL, DATA)
    assert provider.upload(PARCEL, DATA).kind is RemoteKind.UPLOADED


def test_an_error_after_everything_arrived_is_a_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = DirectoryRemote(tmp_path)
    provider = DirectoryProvider(remote.folder)

    def whole(_folder: Folder, name: str, data: bytes) -> None:
        (remote.folder / name).write_bytes(data)
        raise OSError(errno.EIO, "late")

    monkeypatch.setattr(Folder, "write", whole)
    assert provider.upload(PARCEL, DATA).kind is RemoteKind.UPLOADED


def test_nothing_counts_as_uploaded_that_could_not_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = DirectoryProvider(DirectoryRemote(tmp_path).folder)
    monkeypatch.setattr(os, "fsync", _failing(errno.EIO))
    with pytest.raises(ProviderUnavailable):
        provider.upload(PARCEL, DATA)


def test_a_rename_that_fails_is_told_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = DirectoryRemote(tmp_path)
    provider = DirectoryProvider(remote.folder)
    provider.upload(PARCEL, DATA)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", _failing(errno.EACCES))
        with pytest.raises(ProviderUnavailable):
            provider.publish(PARCEL)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", _failing(errno.ENOENT))
        provider.publish(PARCEL)
    assert remote.names() == {PARCEL.temporary}


def test_a_folder_that_cannot_be_read_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = DirectoryProvider(DirectoryRemote(tmp_path).folder)
    provider.upload(PARCEL, DATA)
    monkeypatch.setattr(hashlib, "file_digest", _failing(errno.EIO))
    with pytest.raises(ProviderUnavailable):
        provider.state(PARCEL)


def test_a_parcel_renamed_while_it_is_read_is_handed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = DirectoryProvider(DirectoryRemote(tmp_path).folder)
    provider.upload(PARCEL, DATA)
    monkeypatch.setattr(hashlib, "file_digest", _failing(errno.ENOENT))
    assert provider.state(PARCEL).kind is RemoteKind.HANDED_OVER


def test_a_link_in_the_inbox_is_no_file_of_the_print_house(tmp_path: Path) -> None:
    remote = DirectoryRemote(tmp_path)
    (tmp_path / "secret").write_bytes(b"s")
    (remote.inbox / "link.JSON").symlink_to(tmp_path / "secret")
    (remote.inbox / "folder.JSON").mkdir()
    assert remote.provider().incoming() == ()
    with pytest.raises(ProviderUnavailable):
        remote.provider().fetch("link.JSON")


def test_without_an_inbox_nothing_comes_in(tmp_path: Path) -> None:
    provider = DirectoryProvider(DirectoryRemote(tmp_path).folder)
    assert provider.incoming() == ()
    provider.remove("a.JSON")
    with pytest.raises(ProviderRefused):
        provider.fetch("a.JSON")


def _not_again() -> None:
    raise AssertionError("it was committed before")


def test_a_real_death_between_upload_and_rename_prints_once(tmp_path: Path) -> None:
    remote = DirectoryRemote(tmp_path)
    program = f"""
import os, signal
from pathlib import Path
from printing.providers.base import Parcel, hand_over
from printing.providers.directory import DirectoryProvider

def commit():
    Path({str(tmp_path / "committed")!r}).touch()
    os.kill(os.getpid(), signal.SIGKILL)

provider = DirectoryProvider(Path({str(remote.folder)!r}))
hand_over(provider, {PARCEL!r}, bytes(range(256)) * 6_000, uploaded=False, commit_uploaded=commit)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL
    assert remote.names() == {PARCEL.temporary}
    printed = []
    for _ in range(2):
        hand_over(
            remote.provider(), PARCEL, b"", uploaded=(tmp_path / "committed").exists(), commit_uploaded=_not_again
        )
        printed += [remote.take_away(name) for name in remote.names()]
    assert printed == [DATA]
    assert remote.names() == set()
