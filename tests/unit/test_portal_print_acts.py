"""The operators' acts on print: what is said where a button was pressed twice."""

from collections.abc import Iterator
from typing import Any

import pytest

from service.domain.errors import IdempotencyMissing, IdempotencyRunning
from service.portal.operator import print_acts
from tests.api_support import DELIVERY_ID
from tests.portal_support import PROFILES, Browser, House, field, house, texts

PATH = "/operator/print/proofs"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture
def operator(started: House, monkeypatch: pytest.MonkeyPatch) -> Browser:
    made = started.browser(monkeypatch, PROFILES["platform operator"])
    made.client.cookies.set("zending_language", "en")
    monkeypatch.setattr(print_acts.print_views, "proofs", lambda *_, **__: [])
    monkeypatch.setattr(print_acts.proofs, "check", lambda *_: None)
    return made


def test_who_orders_a_proof_twice_is_told_that_it_is_on_its_way_and_not_that_it_is_there(
    operator: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[str] = []
    answers: list[Exception | None] = [None, IdempotencyRunning()]

    def once(_context: Any, _route: str, key: str, *_: Any) -> bytes:
        if not key:
            raise IdempotencyMissing
        keys.append(key)
        if answer := answers.pop(0):
            raise answer
        return b"{}"

    monkeypatch.setattr(print_acts.claims, "once", once)
    key = field(operator.post(PATH, {"delivery": DELIVERY_ID}).text, "key")
    said = []
    for _ in range(2):
        went_on = operator.post(PATH, {"delivery": DELIVERY_ID, "key": key, "confirmed": "yes"})
        assert went_on.status_code == 303
        said.append(texts(operator.get(went_on.headers["location"]).text))
    assert keys == [key] * 2
    there, on_its_way = "The proof is with the print house.", "This proof was ordered already"
    assert [there in " ".join(each) for each in said] == [True, False]
    assert [on_its_way in " ".join(each) for each in said] == [False, True]
    # Without a key nothing is ordered, and nobody reads of keys: it is asked once more.
    again = operator.post(PATH, {"delivery": DELIVERY_ID, "confirmed": "yes"})
    assert (again.status_code, keys) == (200, [key] * 2)
    assert field(again.text, "key") not in {"", key}
