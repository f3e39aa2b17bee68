"""What every way to a print house must hold; a new one adds its `Remote` to PROVIDERS."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from pyrage import x25519

from printing.encryption import seal_for
from printing.errors import ProviderRefused, ProviderUnavailable
from printing.providers import base
from printing.providers.base import Incoming, Parcel, PrintProvider, RemoteKind, hand_over
from tests.openssh_support import openssh
from tests.print_http_support import http_house
from tests.print_s3_support import S3Remote
from tests.print_way_support import DATA, NAME, DirectoryRemote, Remote
from tests.s3_support import S3, s3_server
from tests.sftp_support import sftp

PROVIDERS: dict[str, Callable[[Path], AbstractContextManager[Remote]]] = {
    "directory": lambda folder: nullcontext(DirectoryRemote(folder)),
    "sftp": sftp,
    "openssh": lambda _folder: openssh(),
    "http": lambda _folder: http_house(),
}


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as running:
        yield running


WAYS = [*PROVIDERS, "s3"]


@pytest.fixture(params=WAYS)
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Remote]:
    if request.param == "s3":
        yield S3Remote(request.getfixturevalue("s3"), tmp_path)
        return
    with PROVIDERS[request.param](tmp_path) as made:
        yield made


class Ledger:
    """What our side has committed, and a print house that fetches all it finds."""

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        self.uploaded = False
        self.printed: list[bytes] = []

    def commit(self) -> None:
        self.uploaded = True

    def hand_over(self) -> None:
        hand_over(self.remote.provider(), self.remote.parcel, DATA, uploaded=self.uploaded, commit_uploaded=self.commit)

    def fetch(self) -> None:
        for name in sorted(self.remote.names()):
            if not name.endswith(".TMP"):
                self.printed.append(self.remote.take_away(name))


@pytest.fixture
def ledger(remote: Remote) -> Ledger:
    return Ledger(remote)


def test_nothing_is_there_at_first(remote: Remote) -> None:
    assert remote.provider().state(remote.parcel).kind is RemoteKind.ABSENT


def test_an_upload_is_invisible_to_the_receiver_until_it_is_published(remote: Remote) -> None:
    assert remote.provider().upload(remote.parcel, DATA).kind is RemoteKind.UPLOADED
    assert remote.names() == {remote.parcel.temporary}
    assert remote.parcel.temporary.endswith(".TMP")
    state = remote.provider().state(remote.parcel)
    assert (state.kind, state.size) == (RemoteKind.UPLOADED, len(DATA))
    assert state.sha256 in {None, remote.parcel.sha256}
    remote.provider().publish(remote.parcel)
    assert remote.names() == {remote.parcel.name}
    assert remote.read(remote.parcel.name) == DATA
    assert remote.provider().state(remote.parcel).kind is RemoteKind.HANDED_OVER


def test_a_file_is_uploaded_like_bytes(remote: Remote, tmp_path: Path) -> None:
    path = tmp_path / "package"
    path.write_bytes(DATA)
    remote.provider().upload(remote.parcel, path)
    assert remote.read(remote.parcel.temporary) == DATA


def test_everything_may_be_repeated(remote: Remote) -> None:
    for _ in range(2):
        remote.provider().upload(remote.parcel, DATA)
    for _ in range(3):
        remote.provider().publish(remote.parcel)
    assert remote.provider().upload(remote.parcel, DATA).kind is RemoteKind.HANDED_OVER
    assert remote.names() == {remote.parcel.name}
    assert remote.read(remote.parcel.name) == DATA


@pytest.mark.parametrize("left", [b"", DATA[:1000], DATA[:-1], DATA + b"more", DATA[:-1] + b"?"])
def test_a_broken_upload_is_seen_never_published_and_repaired(remote: Remote, left: bytes) -> None:
    remote.put(remote.parcel.temporary, left)
    state = remote.provider().state(remote.parcel)
    assert state.kind is RemoteKind.PARTIAL
    assert state.size in {0, len(left)}, "0 where the far side does not tell"
    with pytest.raises(ProviderRefused) as refused:
        remote.provider().publish(remote.parcel)
    assert refused.value.code == "UPLOAD_INCOMPLETE"
    assert remote.names() == {remote.parcel.temporary}
    remote.provider().upload(remote.parcel, DATA)
    assert remote.read(remote.parcel.temporary) == DATA


def test_with_both_names_present_the_parcel_is_handed_over_and_the_rest_is_taken_away(remote: Remote) -> None:
    remote.put(remote.parcel.name, DATA)
    remote.put(remote.parcel.temporary, DATA)
    assert remote.provider().state(remote.parcel).kind is RemoteKind.HANDED_OVER
    remote.provider().publish(remote.parcel)
    assert remote.names() == {remote.parcel.name}


def test_what_the_receiver_took_away_is_not_published_again(remote: Remote) -> None:
    provider = remote.provider()
    provider.upload(remote.parcel, DATA)
    provider.publish(remote.parcel)
    remote.take_away(remote.parcel.name)
    remote.provider().publish(remote.parcel)
    assert remote.names() == set()


@pytest.mark.parametrize("left", [b"", DATA[:10], DATA], ids=["empty", "truncated", "whole"])
def test_what_is_discarded_leaves_nothing_and_may_be_brought_again(remote: Remote, left: bytes) -> None:
    remote.put(remote.parcel.temporary, left)
    others = {"PRT_0100_ZENDING0_0000000008_261128120000_0RQ.ZIP"}
    remote.put(*others, b"x")
    for _ in range(2):
        remote.provider().discard(remote.parcel)
        assert remote.names() == others
    remote.provider().upload(remote.parcel, DATA)
    remote.provider().publish(remote.parcel)
    assert remote.names() == {remote.parcel.name, *others}


def test_a_published_parcel_is_never_discarded(remote: Remote) -> None:
    remote.provider().upload(remote.parcel, DATA)
    remote.provider().publish(remote.parcel)
    remote.provider().discard(remote.parcel)
    assert remote.read(remote.parcel.name) == DATA


def test_a_look_says_whether_it_can_be_reached_and_leaves_nothing(remote: Remote) -> None:
    remote.put("foreign.txt", b"x")
    remote.provider().look()
    assert remote.names() == {"foreign.txt"}
    remote.lose()
    with pytest.raises(ProviderUnavailable):
        remote.provider().look()


def test_an_unreachable_far_side_never_looks_like_one_that_took_everything(remote: Remote) -> None:
    provider = remote.provider()
    provider.upload(remote.parcel, DATA)
    remote.lose()
    for act in (
        lambda: provider.state(remote.parcel),
        lambda: provider.publish(remote.parcel),
        lambda: provider.upload(remote.parcel, DATA),
        lambda: provider.discard(remote.parcel),
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


# Which server it is changes nothing of our order, and OpenSSH's takes seconds for each case.
@pytest.mark.parametrize("remote", [way for way in WAYS if way != "openssh"], indirect=True)
@pytest.mark.parametrize("fetching", [False, True], ids=["receiver waits", "receiver fetches at once"])
@pytest.mark.parametrize("leftover", [None, b"", DATA[:5], DATA], ids=["nothing", "empty", "truncated", "whole"])
@pytest.mark.parametrize("first", MOMENTS)
def test_whenever_the_process_dies_the_parcel_is_printed_once(
    ledger: Ledger, first: str, leftover: bytes | None, *, fetching: bool
) -> None:
    remote = ledger.remote
    if leftover is not None:
        remote.put(remote.parcel.temporary, leftover)

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
                remote.parcel,
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
    ledger.remote.put(ledger.remote.parcel.temporary, DATA[:10])
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
        hand_over(
            ledger.remote.provider(),
            ledger.remote.parcel,
            data,
            uploaded=ledger.uploaded,
            commit_uploaded=ledger.commit,
        )
    assert asked == [1]


def test_who_no_longer_holds_the_batch_publishes_nothing(ledger: Ledger) -> None:
    def lost() -> None:
        raise PermissionError

    with pytest.raises(PermissionError):
        hand_over(ledger.remote.provider(), ledger.remote.parcel, DATA, uploaded=False, commit_uploaded=lost)
    assert ledger.remote.names() == {ledger.remote.parcel.temporary}


@pytest.mark.parametrize("name", [NAME + ".age", NAME.replace("0RQ.ZIP", "4PL_1.JSON")])
def test_encrypted_parcels_and_pull_lists_go_the_same_way(remote: Remote, name: str) -> None:
    data = seal_for([str(x25519.Identity.generate().to_public())], b"abc") if name.endswith(".age") else b"abc"
    parcel = Parcel(name, len(data), hashlib.sha256(data).hexdigest())
    remote.provider().upload(parcel, data)
    assert remote.names() == {parcel.temporary}
    remote.provider().publish(parcel)
    assert remote.names() == {name}
    assert remote.read(name) == data


# The inbox.


def test_whole_files_of_the_inbox_are_listed_fetched_and_removed(remote: Remote) -> None:
    assert list(remote.provider().incoming()) == []
    remote.tell("b.JSON", DATA)
    remote.tell("a.ZIP", b"")
    remote.tell("c.TMP", b"still being written")
    remote.tell(".hidden", b"x")
    assert list(remote.provider().incoming()) == [Incoming("a.ZIP", 0), Incoming("b.JSON", len(DATA))]
    assert remote.provider().fetch("b.JSON") == DATA
    assert remote.provider().fetch("a.ZIP") == b""
    assert remote.told() == {"a.ZIP", "b.JSON", "c.TMP", ".hidden"}
    for _ in range(2):
        remote.provider().remove("b.JSON")
    assert remote.told() == {"a.ZIP", "c.TMP", ".hidden"}
    with pytest.raises(ProviderRefused) as gone:
        remote.provider().fetch("b.JSON")
    assert gone.value.code == "INCOMING_GONE"


def test_a_file_of_the_inbox_is_read_only_up_to_its_bound(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 1000
    for module in (base, *remote.bounded):
        monkeypatch.setattr(module, "MOST_INCOMING", most)
    remote.tell("a.JSON", DATA[:most])
    remote.tell("b.JSON", DATA[: most + 1])
    assert remote.provider().fetch("a.JSON") == DATA[:most]
    with pytest.raises(ProviderRefused) as refused:
        remote.provider().fetch("b.JSON")
    assert refused.value.code == "INCOMING_TOO_BIG"


@pytest.mark.parametrize("name", ["../out/x.ZIP", "a/b.JSON", "/etc/passwd", "..", "", ".x", "a.TMP", "a\0.JSON"])
def test_a_name_that_is_no_plain_file_of_the_inbox_is_refused(remote: Remote, name: str) -> None:
    for act in (remote.provider().fetch, remote.provider().remove):
        with pytest.raises(ProviderRefused) as refused:
            act(name)
        assert refused.value.code == "NAME_INVALID"


def test_an_inbox_that_is_away_never_looks_empty(remote: Remote) -> None:
    remote.tell("a.JSON", b"x")
    remote.lose()
    provider = remote.provider()
    for act in (provider.incoming, lambda: provider.fetch("a.JSON"), lambda: provider.remove("a.JSON")):
        with pytest.raises(ProviderUnavailable):
            act()
