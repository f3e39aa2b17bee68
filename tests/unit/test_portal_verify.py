"""The page on which anybody asks about a code."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from service.db.verification import Found
from service.usecases import verification
from tests.portal_support import Browser, House, house, texts

FOUND = Found("Gemeente Voorbeeld", datetime(2026, 11, 28, 9, 30, tzinfo=UTC), 3, bytes(range(32)), erased=False)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture
def asked(started: House, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ask the page; who is told what it finds."""
    codes: list[str] = []

    def ask(query: str, found: Found | None, language: str = "en") -> str:
        def look_up(_: object, typed: str) -> Found | None:
            codes.append(typed)
            return found

        monkeypatch.setattr(verification, "look_up", look_up)
        browser: Browser = started.browser(monkeypatch)
        answer = browser.get(f"/verify{query}", **{"Accept-Language": language})
        assert answer.status_code == 200
        return answer.text

    ask.codes = codes  # type: ignore[attr-defined]
    return ask


def test_without_a_code_it_asks_for_one(asked: Any) -> None:
    page = asked("", FOUND)
    assert asked.codes == []
    assert "The code on the document" in texts(page)
    assert "Gemeente" not in page


def test_a_known_code_says_who_sealed_when_and_what(asked: Any) -> None:
    page = asked("?code=7q4k+zz2p+9m3t", FOUND)
    assert asked.codes == ["7q4k zz2p 9m3t"]
    said = " ".join(texts(page))
    assert "Sealed by Gemeente Voorbeeld" in said
    assert FOUND.sha256.hex() in said
    assert "no longer keep" not in said
    gone = asked("?code=x", Found(FOUND.organisation, FOUND.made_at, 3, FOUND.sha256, erased=True), "nl")
    assert "Wij bewaren dit document niet meer" in " ".join(texts(gone))


def test_an_unknown_code_warns(asked: Any) -> None:
    said = " ".join(texts(asked("?code=AAAA-AAAA-AAAA", None)))
    assert "We know no document with this code" in said
    assert "do not trust the document" in said


def test_what_was_typed_is_shown_as_text_and_not_more_of_it_than_a_code_has(asked: Any) -> None:
    page = asked("?code=%22%3E%3Cscript%3Ealert(1)%3C/script%3E" + "A" * 500, None)
    assert "<script>alert" not in page
    assert len(asked.codes[-1]) == 64
