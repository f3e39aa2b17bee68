"""A clerk has a PDF looked at before it is sent, and reads what is wrong where; nothing is kept."""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from printing.profiles import Box
from printing.sentences import SENTENCES
from service.portal import wording
from service.portal.languages import OFFERED, words
from service.portal.wording import Wording
from tests.letter_check_support import ink, pages, text
from tests.portal_support import CLERK, Browser, House, house

DOCUMENTS = Path(__file__).parents[1] / "documents"
GOOD = (DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes()
WRONG = pages([ink(Box(2, 100, 8, 110)), ink(Box(2, 200, 8, 210))], [text(20, 150, "twee")])


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture
def clerk(started: House, monkeypatch: pytest.MonkeyPatch) -> Browser:
    made = started.browser(monkeypatch, CLERK)
    made.client.cookies.set("zending_language", "en")
    return made


def check(clerk: Browser, pdf: bytes | None, mode: str = "page", sides: str = "both") -> Any:
    files = [("document", ("brief.pdf", pdf, "application/pdf") if pdf is not None else ("", b""))]
    return clerk.post("/letters/check", {"mode": mode, "sides": sides}, files=files)


def said(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def test_what_is_wrong_is_said_with_page_and_place_and_shown(clerk: Browser) -> None:
    answer = check(clerk, WRONG, mode="stamp")
    shown = said(answer.text)
    assert "can't be printed as it is" in shown
    assert "Move it inwards. (page 1, 0 cm from the left and 10 cm from the top, 1 more place)" in shown
    # The page with the problem is drawn, and no other.
    assert answer.text.count("data:image/png;base64,") == 1
    assert "Picture of page 1" in answer.text
    assert "img-src 'self' data:;" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


def test_a_letter_that_can_be_printed_is_called_so(clerk: Browser) -> None:
    answer = check(clerk, GOOD, sides="one")
    shown = said(answer.text)
    assert "This letter can be printed as it is." in shown
    assert "Sheets with the address page 2 Weight 15 g Envelope C5/6" in shown
    assert "data:image" not in answer.text


def test_a_page_that_only_becomes_smaller_stands_in_no_letters_way(clerk: Browser) -> None:
    shown = said(check(clerk, WRONG).text)
    assert "can't be printed" not in shown
    assert "This page is printed smaller" in shown


def test_what_the_window_shows_is_read_out(clerk: Browser) -> None:
    shown = said(check(clerk, GOOD, mode="adopt").text)
    assert "In the window De heer Wannes Verzonnen-Peeters Molenweg 8 bus 12 9999 VOORBEELDEGEM" in shown
    assert "shows the address alone" in shown


def test_an_empty_form_is_asked_again_and_a_broken_file_is_an_answer(clerk: Browser) -> None:
    assert "data:" not in clerk.get("/letters/check").headers["content-security-policy"]
    missing = check(clerk, None)
    assert missing.status_code == 422
    assert "Choose the PDF of the letter." in missing.text
    broken = check(clerk, b"nothing", mode="nonsense")
    assert broken.status_code == 200
    assert "can't be read for printing" in said(broken.text)


def test_nothing_of_a_document_is_logged(clerk: Browser) -> None:
    with capture_logs() as logged:
        check(clerk, GOOD, mode="adopt")
    assert "Wannes" not in repr(logged)


def test_every_code_of_a_check_has_words_in_every_language() -> None:
    english = Wording(words("en"))
    for code in SENTENCES:
        assert code in wording.PROBLEMS
        others = {Wording(words(language)).problem(code) for language in OFFERED if language != "en"}
        assert len(others) == len(OFFERED) - 1
        assert english.problem(code) not in others


def test_a_place_is_said_as_the_language_writes_numbers() -> None:
    box = (24.0, 133.0, 60.0, 140.0)
    assert Wording(words("en")).place(box) == "2.5 cm from the left and 13.5 cm from the top"
    assert Wording(words("nl")).place(box) == "2,5 cm van links en 13,5 cm van boven"
