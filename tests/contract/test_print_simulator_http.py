"""The simulated print house over HTTP, called as real ones are: in clear and sealed, and it calls back."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from pyrage import x25519

from printing import exchange
from printing.encryption import name_sealed, seal_for
from printing.errors import ProviderRefused
from printing.exchange import Acknowledgement, Events, PostalEvent, Response
from printing.providers.base import Parcel, PrintProvider, RemoteKind, hand_over
from printing.providers.http import HttpProvider
from printing.sealed_letters import seal_each
from printing.simulator import by_letter, http
from printing.simulator.book import Counts
from tests.print_house_support import Place, letters, package

TOKEN = "voorbeeld-teken"
OWN = x25519.Identity.generate()
FORMS = ("clear", "sealed", "sealed whole")


def parcel(form: str, number: int = 7) -> tuple[Parcel, bytes]:
    """A batch of three letters, as it is frozen for a print house that is told in this form."""
    name, data = package(number, letters(3))
    keys = [str(OWN.to_public())]
    if form != "clear":
        name, data = name_sealed(name), (seal_each if form == "sealed" else seal_for)(keys, data)
    return Parcel(name, len(data), hashlib.sha256(data).hexdigest()), data


@dataclass
class Served:
    """A print house that answers over HTTP, and what it called with."""

    place: Place
    url: str
    heard: list[bytes] = field(default_factory=list)

    def provider(self, token: str = TOKEN) -> PrintProvider:
        return HttpProvider(self.url, token, lambda: httpx.Client(timeout=10, trust_env=False), seconds=10)

    def days(self, count: float, *, hears: bool = True) -> Counts:
        """Let it work for so many days; every round in a house of its own, as after a restart."""
        with self.place.house(call=lambda body: hears and not self.heard.append(body)) as house:
            house.round()
            self.place.days(count, house)
            return house.counts


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    place = Place(tmp_path / "root", {"identity": str(OWN)})
    desk = by_letter.Desk(place.out, tmp_path / "desk")
    with http.serving(desk, place.told, port=0, token=TOKEN) as port:
        yield Served(place, f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("form", FORMS)
def test_letters_are_printed_once_and_all_of_it_is_told_by_calls(served: Served, form: str) -> None:
    own, data = parcel(form)
    uploaded: list[bool] = []
    for _ in range(3):
        hand_over(served.provider(), own, data, uploaded=bool(uploaded), commit_uploaded=lambda: uploaded.append(True))
        counts = served.days(1)
    assert served.provider().state(own).kind is RemoteKind.HANDED_OVER
    assert (counts.letters, counts.printed, counts.posted, counts.rejected) == (3, 3, 3, 0)
    told = [exchange.decode(body) for body in served.heard]
    (received,) = (each for each in told if isinstance(each, Acknowledgement))
    assert (received.file, received.sha256, received.letters) == (own.name, own.sha256, 3)
    (answer,) = (each for each in told if isinstance(each, Response))
    assert [(each.id, each.accepted) for each in answer.letters] == [(f"let_{number}", True) for number in range(3)]
    posted = [event.id for each in told if isinstance(each, Events) for event in each.events
              if event.event is PostalEvent.POSTED]  # fmt: skip
    assert sorted(posted) == [f"let_{number}" for number in range(3)]
    assert list(served.place.told.iterdir()) == []


def test_what_is_not_heard_is_told_again_and_nothing_before_it_is_left_out(served: Served) -> None:
    own, data = parcel("sealed")
    hand_over(served.provider(), own, data, uploaded=False, commit_uploaded=lambda: None)
    assert served.days(2, hears=False).posted == 3
    assert served.heard == []
    served.days(0)
    kinds = [type(exchange.decode(body)) for body in served.heard]
    assert kinds[:2] == [Acknowledgement, Response]
    assert Events in kinds


def test_nothing_is_printed_before_all_is_there_and_a_parcel_can_be_withdrawn(served: Served) -> None:
    own, data = parcel("sealed")
    served.provider().upload(own, data)
    assert served.provider().upload(own, data).kind is RemoteKind.UPLOADED
    assert served.days(1).letters == 0
    served.provider().discard(own)
    assert served.provider().state(own).kind is RemoteKind.ABSENT
    served.provider().upload(own, data)
    for _ in range(2):
        served.provider().publish(own)
    served.provider().discard(own)
    assert served.provider().state(own).kind is RemoteKind.HANDED_OVER
    assert served.days(1).letters == 3


def test_a_batch_that_was_sealed_anew_takes_the_place_of_what_arrived_of_it(served: Served) -> None:
    (own, data), (anew, other) = parcel("sealed"), parcel("sealed")
    assert own.sha256 != anew.sha256
    served.provider().upload(own, data)
    # Another announcement alone does not do it: letters of two sealings must never lie side by side.
    body = {"sha256": anew.sha256, "size": anew.size, "parts": {}}
    with httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        assert client.put(f"/batches/{own.name}", json=body).status_code == 409
    assert served.provider().state(own).kind is RemoteKind.UPLOADED
    hand_over(served.provider(), anew, other, uploaded=False, commit_uploaded=lambda: None)
    assert served.days(1).letters == 3


def test_letters_that_it_cannot_open_are_refused_whole(served: Served) -> None:
    served.place.manner["identity"] = str(x25519.Identity.generate())
    own, data = parcel("sealed")
    hand_over(served.provider(), own, data, uploaded=False, commit_uploaded=lambda: None)
    counts = served.days(2)
    assert (counts.refused, counts.letters, served.heard) == (1, 0, [])


def test_only_who_shows_the_token_is_heard(served: Served) -> None:
    own, data = parcel("clear")
    with pytest.raises(ProviderRefused) as refused:
        served.provider("another").upload(own, data)
    assert refused.value.code == "LOGIN_REFUSED"
    for name in ("..%2f..%2fetc", "a.PDF", "PRT.ZIP%2f.."):
        with httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            body = {"sha256": "", "size": 0, "parts": {"file": ""}}
            assert client.put(f"/batches/{name}", json=body).status_code == 400, name
    assert list(served.place.out.iterdir()) == []
    assert list((served.place.root.parent / "desk").iterdir()) == []


def test_without_calls_what_it_tells_is_read_over_http(served: Served) -> None:
    own, data = parcel("clear")
    hand_over(served.provider(), own, data, uploaded=False, commit_uploaded=lambda: None)
    with served.place.house() as house:
        house.round()
    listed = served.provider().incoming()
    assert {type(exchange.decode(served.provider().fetch(each.name))) for each in listed} == {Acknowledgement, Response}
    for each in listed:
        served.provider().remove(each.name)
    assert served.provider().incoming() == ()
