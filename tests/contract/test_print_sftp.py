"""What only SFTP has, of the ways to a print house: who is talked to, and real transfers that break."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from printing.errors import ProviderRefused, ProviderUnavailable
from printing.providers.base import RemoteKind, hand_over
from printing.providers.sftp import SftpProvider
from tests.print_way_support import DATA, NAME, PARCEL
from tests.sftp_support import SftpRemote, key, sftp


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[SftpRemote]:
    with sftp(tmp_path) as made:
        yield made


def test_a_server_with_another_key_is_refused_and_gets_nothing(tmp_path: Path) -> None:
    with sftp(tmp_path, host_key="somebody else") as remote:
        provider = remote.provider()
        for act in (lambda: provider.state(PARCEL), lambda: provider.upload(PARCEL, DATA), provider.incoming):
            with pytest.raises(ProviderRefused) as refused:
                act()
            assert refused.value.code == "HOST_KEY_DIFFERS"
        with pytest.raises(ProviderUnavailable):
            provider.look()
        assert remote.names() == set()


def test_a_server_with_a_key_of_another_kind_is_refused(remote: SftpRemote) -> None:
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode()
    with pytest.raises(ProviderRefused) as refused:
        remote.provider(host_key=other).state(PARCEL)
    assert refused.value.code == "HOST_KEY_DIFFERS"


def test_who_is_not_let_in_is_told_so(remote: SftpRemote, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.key"
    key("stranger").write_private_key(stranger)
    with pytest.raises(ProviderRefused) as refused:
        remote.provider(key_file=stranger).state(PARCEL)
    assert refused.value.code == "LOGIN_REFUSED"


@pytest.mark.parametrize("line", ["", "ssh-ed25519", "not a key", "ssh-ed25519 AAAA!"])
def test_a_pinned_key_that_is_none_is_refused_at_once(remote: SftpRemote, line: str) -> None:
    with pytest.raises(ValueError, match="host key"):
        remote.provider(host_key=line)


def test_a_key_file_that_cannot_be_used_is_refused_at_once_and_not_shown(remote: SftpRemote, tmp_path: Path) -> None:
    broken = tmp_path / "broken.key"
    broken.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n")
    locked = tmp_path / "locked.key"
    key("client").write_private_key(locked, "pkcs8-pem", passphrase="geheim")
    for file in (broken, locked, tmp_path / "missing"):
        with pytest.raises(ValueError, match="private key file") as refused:
            remote.provider(key_file=file)
        assert "c2VjcmV0" not in str(refused.value)


@pytest.mark.parametrize("after", [0, 1, 70_000, len(DATA) - 1])
def test_a_transfer_that_is_cut_is_tried_again_and_printed_once(remote: SftpRemote, after: int) -> None:
    remote.faults.cut_after = after
    with pytest.raises(ProviderUnavailable):
        remote.provider().upload(PARCEL, DATA)
    assert len(remote.read(PARCEL.temporary)) <= after
    assert remote.provider().state(PARCEL).kind is RemoteKind.PARTIAL
    with pytest.raises(ProviderRefused):
        remote.provider().publish(PARCEL)
    committed: list[int] = []
    hand_over(remote.provider(), PARCEL, DATA, uploaded=False, commit_uploaded=lambda: committed.append(1))
    assert (committed, remote.names(), remote.read(NAME)) == ([1], {NAME}, DATA)


def test_a_full_disk_leaves_a_broken_upload_that_is_seen(remote: SftpRemote) -> None:
    remote.faults.full_after = 100_000
    with pytest.raises(ProviderUnavailable):
        remote.provider().upload(PARCEL, DATA)
    remote.faults.full_after = None
    assert remote.provider().state(PARCEL).kind is RemoteKind.PARTIAL
    assert remote.provider().upload(PARCEL, DATA).kind is RemoteKind.UPLOADED


def test_a_rename_that_fails_is_told_and_changes_nothing(remote: SftpRemote) -> None:
    remote.provider().upload(PARCEL, DATA)
    remote.faults.rename_fails = True
    with pytest.raises(ProviderUnavailable):
        remote.provider().publish(PARCEL)
    assert remote.names() == {PARCEL.temporary}
    remote.provider().publish(PARCEL)
    assert remote.names() == {NAME}


def test_an_answer_that_is_lost_after_the_rename_prints_once(remote: SftpRemote) -> None:
    provider = remote.provider()
    provider.upload(PARCEL, DATA)
    remote.faults.answer_lost = True
    with pytest.raises(ProviderUnavailable):
        provider.publish(PARCEL)
    printed = [remote.take_away(NAME)]
    for _ in range(2):
        hand_over(remote.provider(), PARCEL, DATA, uploaded=True, commit_uploaded=_not_again)
    assert (printed, remote.names(), len(remote.faults.renames)) == ([DATA], set(), 1)


def _not_again() -> None:
    raise AssertionError("it was committed before")


def test_a_server_without_the_rename_that_replaces_is_given_the_other(remote: SftpRemote) -> None:
    remote.faults.no_posix_rename = True
    remote.provider().upload(PARCEL, DATA)
    remote.provider().publish(PARCEL)
    assert remote.names() == {NAME}


def test_where_nothing_can_be_read_back_the_size_is_compared(remote: SftpRemote) -> None:
    remote.faults.write_only = True
    remote.provider().upload(PARCEL, DATA)
    state = remote.provider().state(PARCEL)
    assert (state.kind, state.sha256) == (RemoteKind.UPLOADED, None)
    remote.put(PARCEL.temporary, DATA[:-1])
    assert remote.provider().state(PARCEL).kind is RemoteKind.PARTIAL


def test_a_server_that_falls_silent_is_left_after_its_time(remote: SftpRemote) -> None:
    remote.faults.silent = True
    begun = time.monotonic()
    with pytest.raises(ProviderUnavailable):
        remote.provider(seconds=0.5).upload(PARCEL, DATA)
    assert time.monotonic() - begun < 20


def test_a_server_that_never_greets_is_left_after_its_time(remote: SftpRemote) -> None:
    with socket.create_server(("127.0.0.1", 0)) as dumb:
        port = dumb.getsockname()[1]
        with pytest.raises(ProviderUnavailable):
            remote.provider(port=port, seconds=0.5).look()


def test_a_folder_that_is_gone_never_looks_like_an_empty_one(remote: SftpRemote) -> None:
    provider = remote.provider(folder="/elsewhere", incoming="/nowhere")
    for act in (lambda: provider.state(PARCEL), provider.incoming, provider.look):
        with pytest.raises(ProviderUnavailable):
            act()


def test_a_link_in_the_inbox_is_no_file_of_the_print_house(remote: SftpRemote, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"s")
    (remote.inbox / "link.JSON").symlink_to(tmp_path / "secret")
    (remote.inbox / "folder.JSON").mkdir()
    assert list(remote.provider().incoming()) == []
    with pytest.raises(ProviderRefused) as refused:
        remote.provider().fetch("link.JSON")
    assert refused.value.code == "INCOMING_GONE"


def test_nothing_is_left_running_after_a_call(remote: SftpRemote) -> None:
    provider = remote.provider()
    assert isinstance(provider, SftpProvider)
    provider.upload(PARCEL, DATA)
    before = threading.active_count()
    for _ in range(5):
        provider.state(PARCEL)
    remote.faults.cut_after = 10
    with pytest.raises(ProviderUnavailable):
        provider.upload(PARCEL, DATA)
    assert threading.active_count() <= before
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def test_it_may_be_called_from_many_threads_at_once(remote: SftpRemote) -> None:
    provider = remote.provider()
    remote.tell("a.JSON", DATA)
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(provider.fetch("a.JSON"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == [DATA] * 6
