"""What every way to a print house must hold; a new one adds its `Remote` to PROVIDERS."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from printing.errors import ProviderRefused, ProviderUnavailable
from printing.providers.base import Parcel, PrintProvider, RemoteKind, hand_over
from printing.providers.directory import DirectoryProvider

NAME = "PRT_0100_VOORBEEL_0000000001_261123175001_0RQ.ZIP"
DATA = bytes(range(256)) * 20_000
PARCEL = Parcel(NAME, len(DATA), hashlib.sha256(DATA).hexdigest())


class Remote(Protocol):
    """The far side as its owner sees it."""

    def provider(self) -> PrintProvider:
        """A fresh object, as after a restart."""
        ...

    def names(self) -> set[str]: ...

    def read(self, name: str) -> bytes: ...

    def put(self, name: str, data: bytes) -> None: ...

    def take_away(self, name: str) -> bytes: ...

    def lose(self) -> None:
        """Make the far side unreachable."""
        ...


class DirectoryRemote:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "out"
        self.folder.mkdir()

    def provider(self) -> PrintProvider:
        return DirectoryProvider(self.folder)

    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def put(self, name: str, data: bytes) -> None:
        (self.folder / name).write_bytes(data)

    def take_away(self, name: str) -> bytes:
        data = self.read(name)
        (self.folder / name).unlink()
        return data

    def lose(self) -> None:
        self.folder.rename(self.folder.with_name("elsewhere"))


PROVIDERS: dict[str, Callable[[Path], Remote]] = {"directory": DirectoryRemote}


@pytest.fixture(params=PROVIDERS)
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Remote:
    return PROVIDERS[request.param](tmp_path)


class Ledger:
    """What our side has committed, and a print house that fetches all it finds."""

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        self.uploaded = False
        self.printed: list[bytes] = []

    def commit(self) -> None:
        self.uploaded = True

    def hand_over(self) -> None:
        hand_over(self.remote.provider(), PARCEL, DATA, uploaded=self.uploaded, commit_uploaded=self.commit)

    def fetch(self) -> None:
        for name in sorted(self.remote.names()):
            if name.endswith(".ZIP"):
                self.printed.append(self.remote.take_away(name))


@pytest.fixture
def ledger(remote: Remote) -> Ledger:
    return Ledger(remote)


def test_nothing_is_there_at_first(remote: Remote) -> None:
    assert remote.provider().state(PARCEL).kind is RemoteKind.ABSENT


def test_an_upload_is_invisible_to_the_receiver_until_it_is_published(remote: Remote) -> None:
    assert remote.provider().upload(PARCEL, DATA).kind is RemoteKind.UPLOADED
    assert remote.names() == {PARCEL.temporary}
    assert PARCEL.temporary.endswith(".TMP")
    state = remote.provider().state(PARCEL)
    assert (state.kind, state.size) == (RemoteKind.UPLOADED, len(DATA))
    assert state.sha256 in {None, PARCEL.sha256}
    remote.provider().publish(PARCEL)
    assert remote.names() == {NAME}
    assert remote.read(NAME) == DATA
    assert remote.provider().state(PARCEL).kind is RemoteKind.HANDED_OVER


def test_a_file_is_uploaded_like_bytes(remote: Remote, tmp_path: Path) -> None:
    path = tmp_path / "package"
    path.write_bytes(DATA)
    remote.provider().upload(PARCEL, path)
    assert remote.read(PARCEL.temporary) == DATA


def test_everything_may_be_repeated(remote: Remote) -> None:
    for _ in range(2):
        remote.provider().upload(PARCEL, DATA)
    for _ in range(3):
        remote.provider().publish(PARCEL)
    assert remote.provider().upload(PARCEL, DATA).kind is RemoteKind.HANDED_OVER
    assert remote.names() == {NAME}
    assert remote.read(NAME) == DATA


@pytest.mark.parametrize("left", [b"", DATA[:1000], DATA[:-1], DATA + b"more", DATA[:-1] + b"?"])
def test_a_broken_upload_is_seen_never_published_and_repaired(remote: Remote, left: bytes) -> None:
    remote.put(PARCEL.temporary, left)
    state = remote.provider().state(PARCEL)
    assert (state.kind, state.size) == (RemoteKind.PARTIAL, len(left))
    with pytest.raises(ProviderRefused) as refused:
        remote.provider().publish(PARCEL)
    assert refused.value.code == "UPLOAD_INCOMPLETE"
    assert remote.names() == {PARCEL.temporary}
    remote.provider().upload(PARCEL, DATA)
    assert remote.read(PARCEL.temporary) == DATA


def test_with_both_names_present_the_parcel_is_handed_over_and_the_rest_is_taken_away(remote: Remote) -> None:
    remote.put(NAME, DATA)
    remote.put(PARCEL.temporary, DATA)
    assert remote.provider().state(PARCEL).kind is RemoteKind.HANDED_OVER
    remote.provider().publish(PARCEL)
    assert remote.names() == {NAME}


def test_what_the_receiver_took_away_is_not_published_again(remote: Remote) -> None:
    provider = remote.provider()
    provider.upload(PARCEL, DATA)
    provider.publish(PARCEL)
    remote.take_away(NAME)
    remote.provider().publish(PARCEL)
    assert remote.names() == set()


def test_a_look_says_whether_it_can_be_reached_and_leaves_nothing(remote: Remote) -> None:
    remote.put("foreign.txt", b"x")
    remote.provider().look()
    assert remote.names() == {"foreign.txt"}
    remote.lose()
    with pytest.raises(ProviderUnavailable):
        remote.provider().look()


def test_an_unreachable_far_side_never_looks_like_one_that_took_everything(remote: Remote) -> None:
    provider = remote.provider()
    provider.upload(PARCEL, DATA)
    remote.lose()
    for act in (
        lambda: provider.state(PARCEL),
        lambda: provider.publish(PARCEL),
        lambda: provider.upload(PARCEL, DATA),
    ):
        with pytest.raises(ProviderUnavailable):
            act()


@pytest.mark.parametrize("name", ["../PRT.ZIP", "a/b.ZIP", "PRT.PDF", "", ".ZIP"])
def test_a_name_that_is_no_plain_package_is_refused(remote: Remote, name: str) -> None:
    with pytest.raises(ProviderRefused) as refused:
        remote.provider().upload(Parcel(name, 1, "0"), b"x")
    assert refused.value.code == "NAME_INVALID"


class Killed(BaseException):
    """Stands for the end of the process."""


class Dying:
    """A provider whose process ends before or after one of its acts."""

    def __init__(self, provider: PrintProvider, moment: str) -> None:
        self._provider = provider
        self._moment = moment

    def __getattr__(self, act: str) -> Callable[..., object]:
        def acting(*arguments: object) -> object:
            if self._moment == f"before {act}":
                raise Killed
            result = getattr(self._provider, act)(*arguments)
            if self._moment == f"after {act}":
                raise Killed
            return result

        return acting


MOMENTS = [
    *(f"{when} {act}" for act in ("state", "upload", "publish") for when in ("before", "after")),
    "before commit",
    "after commit",
]


@pytest.mark.parametrize("fetching", [False, True], ids=["receiver waits", "receiver fetches at once"])
@pytest.mark.parametrize("leftover", [None, b"", DATA[:5], DATA], ids=["nothing", "empty", "truncated", "whole"])
@pytest.mark.parametrize("first", MOMENTS)
def test_whenever_the_process_dies_the_parcel_is_printed_once(
    ledger: Ledger, first: str, leftover: bytes | None, *, fetching: bool
) -> None:
    remote = ledger.remote
    if leftover is not None:
        remote.put(PARCEL.temporary, leftover)

    def commit() -> None:
        if moment == "before commit":
            raise Killed
        ledger.commit()
        if moment == "after commit":
            raise Killed

    for moment in (first, *MOMENTS):
        try:
            hand_over(
                Dying(remote.provider(), moment),  # type: ignore[arg-type]  # forwards every act
                PARCEL,
                DATA,
                uploaded=ledger.uploaded,
                commit_uploaded=commit,
            )
        except Killed:
            if fetching:
                ledger.fetch()
    ledger.hand_over()
    ledger.fetch()
    ledger.hand_over()
    ledger.fetch()
    assert ledger.printed == [DATA]
    assert remote.names() == set()


def test_a_parcel_that_broke_after_it_was_committed_whole_needs_a_person(ledger: Ledger) -> None:
    ledger.commit()
    ledger.remote.put(PARCEL.temporary, DATA[:10])
    with pytest.raises(ProviderRefused) as refused:
        ledger.hand_over()
    assert refused.value.code == "REMOTE_DIFFERS"
    ledger.fetch()
    assert ledger.printed == []


def test_the_bytes_are_fetched_only_when_they_are_needed(ledger: Ledger) -> None:
    asked = []

    def data() -> bytes:
        asked.append(1)
        return DATA

    for _ in range(2):
        hand_over(ledger.remote.provider(), PARCEL, data, uploaded=ledger.uploaded, commit_uploaded=ledger.commit)
    assert asked == [1]


def test_who_no_longer_holds_the_batch_publishes_nothing(ledger: Ledger) -> None:
    def lost() -> None:
        raise PermissionError

    with pytest.raises(PermissionError):
        hand_over(ledger.remote.provider(), PARCEL, DATA, uploaded=False, commit_uploaded=lost)
    assert ledger.remote.names() == {PARCEL.temporary}


# What only the folder has.


def _failing(number: int) -> Callable[..., None]:
    def fail(*_arguments: object) -> None:
        raise OSError(number, "made to fail")

    return fail


def test_a_full_disk_is_a_failure_that_may_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = DirectoryRemote(tmp_path)
    provider = DirectoryProvider(remote.folder)

    def half(temporary: Path, data: bytes) -> None:
        temporary.write_bytes(data[:100])
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(provider, "_write", half)
        with pytest.raises(ProviderUnavailable):
            provider.upload(PARCEL, DATA)
    assert provider.upload(PARCEL, DATA).kind is RemoteKind.UPLOADED


def test_an_error_after_everything_arrived_is_a_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = DirectoryRemote(tmp_path)
    provider = DirectoryProvider(remote.folder)

    def whole(temporary: Path, data: bytes) -> None:
        temporary.write_bytes(data)
        raise OSError(errno.EIO, "late")

    monkeypatch.setattr(provider, "_write", whole)
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
hand_over(provider, {PARCEL!r}, bytes(range(256)) * 20_000, uploaded=False, commit_uploaded=commit)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL
    assert remote.names() == {PARCEL.temporary}
    ledger = Ledger(remote)
    ledger.uploaded = (tmp_path / "committed").exists()
    ledger.hand_over()
    ledger.fetch()
    ledger.hand_over()
    assert ledger.printed == [DATA]
    assert remote.names() == set()
