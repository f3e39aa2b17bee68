"""What OpenSSH's own server does, beside the contract that it is held to with all other ways."""

from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from printing.errors import ProviderRefused, ProviderUnavailable
from printing.providers.base import RemoteKind, hand_over
from tests.openssh_support import OpensshRemote, openssh, second_key
from tests.print_way_support import DATA, NAME, PARCEL
from tests.sftp_support import key


@pytest.fixture
def remote() -> Iterator[OpensshRemote]:
    with openssh() as made:
        yield made


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521", "ssh-rsa"])
def test_a_server_with_another_key_than_the_pinned_one_gets_nothing(remote: OpensshRemote, kind: str) -> None:
    other = asyncssh.generate_private_key(kind).export_public_key().decode()
    with pytest.raises(ProviderRefused) as refused:
        remote.provider(host_key=other).upload(PARCEL, DATA)
    assert refused.value.code == "HOST_KEY_DIFFERS"
    assert remote.names() == set()


def test_of_a_server_with_keys_of_several_kinds_any_may_be_pinned(remote: OpensshRemote) -> None:
    for pair in (key("host"), second_key()):
        provider = remote.provider(host_key=pair.export_public_key().decode())
        assert provider.upload(PARCEL, DATA).kind is RemoteKind.UPLOADED


def test_who_is_not_let_in_is_told_so(remote: OpensshRemote, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    key("stranger").write_private_key(stranger)
    with pytest.raises(ProviderRefused) as refused:
        remote.provider(key_file=stranger).state(PARCEL)
    assert refused.value.code == "LOGIN_REFUSED"


@pytest.mark.parametrize("most", [4_096, 70_000, len(DATA) - 1])
def test_a_session_that_the_system_ends_within_a_transfer_leaves_a_part_and_the_next_try_prints_once(
    remote: OpensshRemote, most: int
) -> None:
    remote.lose()
    remote.start(most)
    with pytest.raises(ProviderUnavailable):
        remote.provider().upload(PARCEL, DATA)
    state = remote.provider().state(PARCEL)
    assert state.kind is RemoteKind.PARTIAL
    assert state.size <= most
    with pytest.raises(ProviderRefused):
        remote.provider().publish(PARCEL)
    remote.lose()
    remote.start()
    committed: list[int] = []
    for _ in range(2):
        hand_over(
            remote.provider(), PARCEL, DATA, uploaded=bool(committed), commit_uploaded=lambda: committed.append(1)
        )
    assert (committed, remote.names(), remote.read(NAME)) == ([1], {NAME}, DATA)


def test_a_folder_that_cannot_be_written_is_told_and_holds_nothing(remote: OpensshRemote) -> None:
    with pytest.raises(ProviderUnavailable):
        remote.provider(folder="/proc").upload(PARCEL, DATA)
    remote.provider().upload(PARCEL, DATA)
    remote.provider().publish(PARCEL)
    assert remote.names() == {NAME}


def test_one_provider_goes_on_after_its_server_was_started_again(remote: OpensshRemote) -> None:
    provider = remote.provider()
    provider.upload(PARCEL, DATA)
    remote.lose()
    with pytest.raises(ProviderUnavailable):
        provider.publish(PARCEL)
    remote.start()
    provider.publish(PARCEL)
    assert remote.names() == {NAME}
