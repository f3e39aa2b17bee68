"""Letters that go one by one and that only the print house can open; what goes in clear is in test_print_http.py."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from io import BytesIO
from zipfile import ZipFile

import httpx
import pytest
from PIL import ImageChops
from pyrage import x25519

from printing.encryption import is_sealed, name_sealed, open_with, seal_for
from printing.errors import BatchRefused, ProviderRefused, ProviderUnavailable
from printing.manifest import read_manifest
from printing.providers.base import Parcel, RemoteKind, hand_over
from printing.providers.http import HttpProvider
from printing.providers.parts import WHOLE
from printing.sealed_letters import seal_each
from tests.contract.test_print_http import DATA, LETTERS, package
from tests.print_http_support import TOKEN, Batch, HttpRemote, http_house
from tests.print_way_support import NAME
from tests.printing_support import picture, texts_of

OWN, FOREIGN = x25519.Identity.generate(), x25519.Identity.generate()
SEALED_NAME = name_sealed(NAME)


@pytest.fixture(scope="module")
def data() -> bytes:
    """What the batch freezes; every test brings the same bytes."""
    return seal_each([str(OWN.to_public())], DATA)


@pytest.fixture
def remote() -> Iterator[HttpRemote]:
    with http_house() as made:
        made.house.identity = str(OWN)
        yield made


def parcel(data: bytes) -> Parcel:
    return Parcel(SEALED_NAME, len(data), hashlib.sha256(data).hexdigest())


def batch(remote: HttpRemote) -> Batch:
    return remote.house.batches[SEALED_NAME]


class Side:
    """Our side, with what it committed."""

    def __init__(self, remote: HttpRemote, data: bytes) -> None:
        self.remote, self.data, self.uploaded = remote, data, False

    def commit(self) -> None:
        self.uploaded = True

    def hand_over(self) -> None:
        hand_over(
            self.remote.provider(), parcel(self.data), self.data, uploaded=self.uploaded, commit_uploaded=self.commit
        )


def test_each_letter_comes_sealed_and_opens_to_its_entry_and_its_pages(remote: HttpRemote, data: bytes) -> None:
    Side(remote, data).hand_over()
    held = batch(remote)
    assert remote.house.printed == LETTERS
    assert remote.house.keys == [f'"{SEALED_NAME}/{each}"' for each in LETTERS]
    for entry, name, composed in zip(read_manifest(BytesIO(DATA)).letters, LETTERS, package()[1], strict=True):
        assert held.letters[name] == asdict(entry) | {"file": f"{entry.id}-1.pdf", "first_page": 1}
        for page in range(len(texts_of(composed))):
            assert ImageChops.difference(picture(composed, page), picture(held.opened[name], page)).getbbox() is None


def test_nothing_of_a_letter_is_seen_by_whoever_has_no_key(remote: HttpRemote, data: bytes) -> None:
    Side(remote, data).hand_over()
    entries = read_manifest(BytesIO(DATA)).letters
    secrets = {line for entry in entries for line in (*entry.address_lines, entry.content_sha256)}
    seen = [str(batch(remote).about), *(f"{name} {method}" for name, method in remote.house.calls)]
    assert not any(secret in each for secret in secrets for each in seen)
    for sealed in (*batch(remote).parts.values(), data):
        assert not any(secret.encode() in sealed for secret in secrets)
        assert b"%PDF" not in sealed
    for sealed in batch(remote).parts.values():
        assert is_sealed(sealed)
        with pytest.raises(BatchRefused):
            open_with(str(FOREIGN), sealed)


@pytest.mark.parametrize("cut", ["before", "after"])
def test_after_a_broken_connection_the_same_bytes_go_on_where_it_was(remote: HttpRemote, data: bytes, cut: str) -> None:
    side = Side(remote, data)
    setattr(remote.house, f"cut_{cut}", 2)
    with pytest.raises(ProviderUnavailable):
        side.hand_over()
    assert (side.uploaded, remote.house.printed) == (False, [])
    first = dict(batch(remote).parts)
    side.hand_over()
    assert first.items() <= batch(remote).parts.items()
    assert remote.house.printed == LETTERS
    puts = [path for method, path in remote.house.calls if method == "PUT" and "/letters/" in path]
    assert len(puts) == len(LETTERS) + (cut == "before")


@pytest.mark.parametrize("arrived", [1, len(LETTERS)])
def test_a_batch_that_was_sealed_anew_takes_the_place_of_what_arrived_of_it(
    remote: HttpRemote, data: bytes, arrived: int
) -> None:
    # A print house that keeps what it has: another letter in the place of one is an error to it.
    remote.house.conflicts = True
    remote.house.cut_after = arrived
    with pytest.raises(ProviderUnavailable):
        remote.provider().upload(parcel(data), data)
    assert len(batch(remote).parts) == arrived
    again = seal_each([str(OWN.to_public())], DATA)
    assert again != data
    assert remote.provider().state(parcel(again)).kind is RemoteKind.PARTIAL
    side = Side(remote, again)
    side.hand_over()
    assert (batch(remote).sha256, remote.house.printed) == (parcel(again).sha256, LETTERS)
    assert [path for method, path in remote.house.calls if method == "DELETE"] == [f"batches/{SEALED_NAME}"]
    # The same parcel goes on where it was, and nobody asks for one that is complete to be forgotten.
    for each in (again, data):
        assert remote.provider().upload(parcel(each), each).kind is RemoteKind.HANDED_OVER
    assert sum(method == "DELETE" for method, _ in remote.house.calls) == 1
    assert remote.house.printed == LETTERS


def test_one_that_is_completed_while_it_is_to_be_forgotten_stays(remote: HttpRemote, data: bytes) -> None:
    remote.provider().upload(parcel(data), data)
    again = seal_each([str(OWN.to_public())], DATA)

    class Overtaken(HttpProvider):
        """Between its question and its wish the parcel is completed by another process."""

        def _withdraw(self, client: httpx.Client, parcel_: Parcel) -> None:
            remote.provider().publish(parcel(data))
            super()._withdraw(client, parcel_)

    late = Overtaken(remote.url, TOKEN, lambda: httpx.Client(timeout=10, trust_env=False), seconds=10)
    assert late.upload(parcel(again), again).kind is RemoteKind.HANDED_OVER
    assert (batch(remote).sha256, remote.house.printed) == (parcel(data).sha256, LETTERS)


def test_what_was_sealed_whole_goes_whole(remote: HttpRemote) -> None:
    whole = seal_for([str(OWN.to_public())], DATA)
    remote.provider().upload(parcel(whole), whole)
    assert batch(remote).parts == {WHOLE: whole}
    assert batch(remote).about is None


def test_a_parcel_with_something_else_in_it_is_not_sent(remote: HttpRemote, data: bytes) -> None:
    out = BytesIO(data)
    with ZipFile(out, "a") as archive:
        archive.writestr("letters/let_9-1.pdf", b"%PDF in clear")
    spoilt = out.getvalue()
    with pytest.raises(ProviderRefused) as refused:
        remote.provider().upload(parcel(spoilt), spoilt)
    assert refused.value.code == "PARCEL_UNREADABLE"
    assert {method for method, _ in remote.house.calls} == {"GET"}
