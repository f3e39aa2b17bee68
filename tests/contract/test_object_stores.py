"""What every object store must do; a new one is added to `store` and must pass all of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.vault.errors import ObjectExists, ObjectMissing, StoreMisconfigured, VaultIntegrityError
from service.vault.objects import ObjectStore, local, open_store
from tests.s3_support import S3, s3_server
from tests.vault_support import small_s3

LIMIT = 20_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    """A whole S3 server; each test has a folder of its own in its bucket."""
    with s3_server() as running:
        yield running


@pytest.fixture(params=["local folder", "local folder with named drafts", "memory", "small s3", "s3 server", "ceph"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    match request.param:
        case "local folder with named drafts":
            # As on NFS, where a file cannot be made without a name.
            monkeypatch.setattr(local, "_can_be_nameless", lambda _: False)
            yield open_store((tmp_path / "store").as_uri())
        case "local folder":
            yield open_store((tmp_path / "store").as_uri())
        case "memory":
            yield open_store("memory:", allow_memory=True)
        case "s3 server" | "ceph":
            running: S3 = request.getfixturevalue("ceph" if request.param == "ceph" else "server")
            for name, value in running.credentials.items():
                monkeypatch.setenv(name, value)
            yield open_store(running.address(uuid.uuid4().hex))
        case _:
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
            with small_s3() as server:
                yield open_store(server.url)


def paths(store: ObjectStore, prefix: str = "") -> set[str]:
    return {found.path for found in store.listing(prefix)}


@pytest.mark.parametrize("size", [0, 1, 51_200, 6_000_000], ids=str)
def test_what_was_put_is_what_is_got(store: ObjectStore, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    store.put_new("d1/sealed/abc", content)
    assert store.get("d1/sealed/abc", limit=size) == content


@pytest.mark.parametrize("path", ["x" * 240, "x/" + "y" * 238, "a/b/c/d/e/f", "head", "A.b-c_d/0.1"])
def test_every_path_of_that_shape_is_taken(store: ObjectStore, path: str) -> None:
    store.put_new(path, b"content")
    assert store.get(path, limit=LIMIT) == b"content"
    assert paths(store) == {path}
    store.delete_many([path])
    assert paths(store) == set()


def test_an_object_does_not_stand_in_the_way_of_those_below_its_path(store: ObjectStore) -> None:
    for path in ("a", "a/b", "a/b/c"):
        store.put_new(path, path.encode())
    assert [store.get(path, limit=LIMIT) for path in ("a", "a/b", "a/b/c")] == [b"a", b"a/b", b"a/b/c"]
    assert paths(store) == {"a", "a/b", "a/b/c"}
    assert paths(store, "a") == {"a/b", "a/b/c"}
    store.delete_many(["a/b"])
    assert paths(store) == {"a", "a/b/c"}


def test_nothing_is_overwritten(store: ObjectStore) -> None:
    store.put_new("d1/sealed/abc", b"first")
    with pytest.raises(ObjectExists):
        store.put_new("d1/sealed/abc", b"other")
    with pytest.raises(ObjectExists):
        store.put_many([("d1/sealed/new", b"new"), ("d1/sealed/abc", b"a longer one")])
    assert store.get("d1/sealed/abc", limit=LIMIT) == b"first"


def test_putting_the_same_again_is_safe(store: ObjectStore) -> None:
    store.put_new("d1/sealed/abc", b"same")
    store.put_new("d1/sealed/abc", b"same")
    store.put_many([("d1/sealed/abc", b"same"), ("d1/sealed/abc", b"same")])
    assert paths(store) == {"d1/sealed/abc"}


def test_what_is_not_there_is_said_to_be_missing(store: ObjectStore) -> None:
    store.put_new("d1/sealed/abc", b"here")
    for path in ("d1/sealed/abd", "d1/sealed", "d1", "d2/sealed/abc", "d1/sealed/abc/more"):
        with pytest.raises(ObjectMissing):
            store.get(path, limit=LIMIT)


def test_more_than_expected_is_not_read(store: ObjectStore) -> None:
    store.put_new("d1/sealed/abc", b"12345")
    with pytest.raises(VaultIntegrityError):
        store.get("d1/sealed/abc", limit=4)


def test_what_is_deleted_is_gone_and_deleting_again_is_safe(store: ObjectStore) -> None:
    store.put_many([(f"d{number}/sealed/abc", b"content") for number in range(6)])
    store.delete_many(["d0/sealed/abc"])
    store.delete_many(["d0/sealed/abc", "d1/sealed/abc", "d2/sealed/abc", "nothing/at/all"])
    store.delete_many([])
    with pytest.raises(ObjectMissing):
        store.get("d0/sealed/abc", limit=LIMIT)
    assert paths(store) == {"d3/sealed/abc", "d4/sealed/abc", "d5/sealed/abc"}


def test_a_path_can_be_used_again_after_its_removal(store: ObjectStore) -> None:
    store.put_new("d1/sealed/abc", b"first")
    store.delete_many(["d1/sealed/abc"])
    store.put_new("d1/sealed/abc", b"second")
    assert store.get("d1/sealed/abc", limit=LIMIT) == b"second"


def test_many_are_put_together(store: ObjectStore) -> None:
    items = [(f"d{number % 40}/role{number % 3}/n{number}", str(number).encode()) for number in range(150)]
    store.put_many(items)
    assert paths(store) == {path for path, _ in items}
    assert [store.get(path, limit=LIMIT) for path, _ in items] == [content for _, content in items]


def test_a_listing_keeps_to_whole_folders(store: ObjectStore) -> None:
    store.put_many([("d1/a/x", b"1"), ("d1/b/y", b"22"), ("d12/a/z", b"333"), ("top", b"4444")])
    assert paths(store) == {"d1/a/x", "d1/b/y", "d12/a/z", "top"}
    assert paths(store, "d1") == paths(store, "d1/") == {"d1/a/x", "d1/b/y"}
    assert paths(store, "d1/b") == {"d1/b/y"}
    assert paths(store, "d2") == set()


def test_a_listing_tells_size_and_time(store: ObjectStore) -> None:
    store.put_new("d1/a/x", b"12345")
    (found,) = store.listing()
    assert found.size == 5
    assert found.modified.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        "..",
        "../a",
        "a/../b",
        "a/.b",
        "a b",
        "a\nb",
        "a/é",
        "a/b/c/d/e/f/g",
        "x/" + "y" * 239,
    ],
)
def test_a_path_of_another_shape_reaches_no_store(store: ObjectStore, path: str) -> None:
    with pytest.raises(ValueError, match="not a path"):
        store.put_new(path, b"")
    with pytest.raises(ValueError, match="not a path"):
        store.put_many([("a/b", b""), (path, b"")])
    with pytest.raises(ValueError, match="not a path"):
        store.get(path, limit=LIMIT)
    with pytest.raises(ValueError, match="not a path"):
        store.delete_many(["a/b", path])
    assert paths(store) == set()


def test_of_many_who_race_for_a_path_one_wins_whole(store: ObjectStore) -> None:
    def put(number: int) -> bytes | None:
        content = bytes([number]) * 10_000
        try:
            store.put_new("d1/sealed/abc", content)
        except ObjectExists:
            return None
        return content

    with ThreadPoolExecutor(8) as threads:
        winners = [content for content in threads.map(put, range(16)) if content is not None]
    assert len(winners) == 1
    assert store.get("d1/sealed/abc", limit=LIMIT) == winners[0]


def test_puts_and_removals_in_one_folder_do_not_disturb_each_other(store: ObjectStore) -> None:
    def come_and_go(number: int) -> None:
        for turn in range(10):
            path = f"d1/sealed/{number}-{turn}"
            store.put_new(path, b"content")
            assert store.get(path, limit=LIMIT) == b"content"
            store.delete_many([path])

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(come_and_go, range(6)))
    assert paths(store) == set()


def test_a_store_that_was_opened_before_a_fork_is_refused_and_does_not_hang(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getpid", lambda: -1)
    with pytest.raises(StoreMisconfigured):
        store.put_many([("d1/sealed/abc", b"content")])
    with pytest.raises(StoreMisconfigured):
        store.delete_many(["d1/sealed/abc"])


def test_sweeping_leaves_what_was_put(store: ObjectStore) -> None:
    store.put_new("d1/sealed/abc", b"content")
    assert store.sweep(datetime.now(UTC) + timedelta(days=1)) == 0
    assert store.get("d1/sealed/abc", limit=LIMIT) == b"content"
