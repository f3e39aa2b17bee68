"""What the vault makes of an S3 store that is away, slow, wrong or lying; and which addresses it refuses."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.vault.errors import ObjectExists, ObjectMissing, StoreMisconfigured, StoreUnreachable, VaultIntegrityError
from service.vault.keyring.file import FileKeyRing
from service.vault.objects import open_store
from service.vault.vault import Vault
from tests.vault_support import DELIVERY, ORGANISATION, S3Server, small_s3

LIMIT = 1000


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture
def server() -> Iterator[S3Server]:
    with small_s3() as running:
        yield running


def refused_by_all(url: str) -> None:
    store = open_store(url)
    with pytest.raises(StoreUnreachable):
        store.put_new("d1/a/x", b"1")
    with pytest.raises(StoreUnreachable):
        store.put_many([("d1/a/x", b"1"), ("d1/a/y", b"2")])
    with pytest.raises(StoreUnreachable):
        store.get("d1/a/x", limit=LIMIT)
    with pytest.raises(StoreUnreachable):
        store.delete_many(["d1/a/x"])
    with pytest.raises(StoreUnreachable):
        list(store.listing())


def test_a_store_that_is_away_is_unreachable() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    refused_by_all(f"s3://bucket?endpoint=http://127.0.0.1:{port}&allow_http=yes&region=eu-west-1&retries=0")


@pytest.mark.parametrize("status", [400, 401, 403, 500, 503])
def test_a_store_that_refuses_is_unreachable(server: S3Server, status: int) -> None:
    server.refuse_with = status
    refused_by_all(server.url)


def test_a_store_that_lost_its_bucket_is_not_one_that_lost_an_object(server: S3Server) -> None:
    server.lost_bucket = True
    refused_by_all(server.url)


def test_no_call_waits_longer_than_it_was_told(server: S3Server) -> None:
    server.answer_after.clear()
    refused_by_all(server.url + "&timeout=0.1&retry_timeout=0.2")


def test_a_body_that_breaks_off_is_no_content(server: S3Server) -> None:
    store = open_store(server.url)
    store.put_new("d1/a/x", b"1234567890")
    server.cut_bodies = True
    with pytest.raises(StoreUnreachable):
        store.get("d1/a/x", limit=LIMIT)


def test_a_put_whose_answer_was_lost_is_a_success_when_it_is_repeated(server: S3Server) -> None:
    server.forget_answers = 1
    store = open_store(server.url)
    with pytest.raises(StoreUnreachable):
        store.put_new("d1/a/x", b"1")
    store.put_new("d1/a/x", b"1")
    with pytest.raises(ObjectExists):
        store.put_new("d1/a/x", b"2")
    server.forget_answers = 1
    patient = open_store(server.url.replace("retries=0", "retries=2"))
    patient.put_new("d1/a/y", b"1")
    assert patient.get("d1/a/y", limit=LIMIT) == b"1"


def test_a_path_that_is_taken_and_not_there_is_tried_again_later(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(server.url)
    store.put_new("d1/a/x", b"1")
    monkeypatch.setattr("obstore.get", lambda *_: (_ for _ in ()).throw(FileNotFoundError("gone")))
    with pytest.raises(StoreUnreachable):
        store.put_new("d1/a/x", b"1")


def test_a_store_that_calls_a_repeated_removal_an_error_still_removes_the_rest(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import obstore

    store = open_store(server.url)
    store.put_many([("d1/a/x", b"1"), ("d1/a/z", b"1")])
    real = obstore.delete

    def strict(where: object, paths: str | list[str]) -> None:
        if isinstance(paths, list) or paths == "d1/a/y":
            raise FileNotFoundError(paths)
        real(where, paths)  # type: ignore[arg-type]

    monkeypatch.setattr(obstore, "delete", strict)
    store.delete_many(["d1/a/x", "d1/a/y", "d1/a/z"])
    assert server.objects == {}


def test_a_store_that_lies_never_yields_a_document(server: S3Server, tmp_path: Path) -> None:
    vault = Vault(open_store(server.url), FileKeyRing(tmp_path / "keys"))
    one = vault.prepare(ORGANISATION, 2031, DELIVERY, "sealed", b"one document")
    other = vault.prepare(ORGANISATION, 2031, DELIVERY, "sealed", b"another one")
    vault.write_many([one, other])
    key = "vault/" + one.path
    lies = [b"", b"%PDF-", other.ciphertext, one.ciphertext[:-1], one.ciphertext + b"\0", bytes(len(one.ciphertext))]
    for lie in lies:
        server.objects[key] = lie
        with pytest.raises(VaultIntegrityError):
            vault.read(one.path, ORGANISATION, DELIVERY, "sealed")
        with pytest.raises(VaultIntegrityError):
            vault.write(one)
    del server.objects[key]
    with pytest.raises(ObjectMissing):
        vault.read(one.path, ORGANISATION, DELIVERY, "sealed")
    vault.write(one)
    assert vault.read(one.path, ORGANISATION, DELIVERY, "sealed") == b"one document"


def test_objects_stand_below_the_folder_of_the_address(server: S3Server) -> None:
    store = open_store(server.url)
    server.objects["elsewhere/x"] = b"1"
    store.put_new("d1/a/x", b"1")
    assert set(server.objects) == {"vault/d1/a/x", "elsewhere/x"}
    assert [found.path for found in store.listing()] == ["d1/a/x"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/var/lib/zending",
        "ftp://host/folder",
        "memory:",
        "memory:?size=1",
        "file:relative",
        "file://host/folder",
        "file:///tmp/store?fsync=no",
        "file:///tmp/store?create=maybe",
        "s3://",
        "s3://key:secret@bucket/folder",
        "s3://bucket?secret_access_key=abc",
        "s3://bucket?endpoint=http://10.0.0.1:9000",
        "s3://bucket?allow_http=perhaps",
        "s3://bucket?endpoint=:%20//nowhere",
        "s3://bucket?timeout=soon",
        "s3://bucket?timeout=-1",
        "s3://bucket?retries=nan",
        "s3://bucket?retry_timeout=100000",
    ],
)
def test_an_address_that_is_not_safe_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(StoreMisconfigured) as caught:
        open_store(url)
    assert "secret" not in caught.value.detail
    assert caught.value.context == {}


def test_options_of_the_environment_that_are_not_accepted_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "sometimes")
    with pytest.raises(StoreMisconfigured):
        open_store("s3://bucket?region=eu-west-1")


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "met spaties é%"
    open_store(folder.as_uri()).put_new("d1/a/x", b"1")
    assert open_store(folder.as_uri() + "?create=no").get("d1/a/x", limit=LIMIT) == b"1"


def test_an_address_of_the_platform_needs_no_endpoint() -> None:
    open_store("s3://bucket/folder?region=eu-central-1&checksum=no&virtual_hosted=yes")


@pytest.mark.parametrize("kept", [None, 0, 4], ids=["nothing", "an empty object", "a part"])
def test_what_a_store_acknowledged_and_does_not_have_is_not_stored(server: S3Server, kept: int | None) -> None:
    class Forgetful(dict[str, bytes]):
        def __setitem__(self, key: str, value: bytes) -> None:
            if kept is not None:
                super().__setitem__(key, value[:kept])

    server.objects = Forgetful()
    store = open_store(server.url)
    with pytest.raises(StoreUnreachable):
        store.put_new("d1/a/x", b"1234567890")
    with pytest.raises(StoreUnreachable):
        store.put_many([("d1/a/y", b"1234567890")])
    open_store(server.url + "&read_back=no").put_new("d1/a/z", b"1234567890")
