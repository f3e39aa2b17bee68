"""The clerk's pages: a form becomes the hand-in that programs send, once, and its problems stand beside its fields."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from service.domain.errors import (
    DocumentRefused,
    FieldError,
    IdempotencyMismatch,
    IdempotencyMissing,
    IdempotencyRunning,
    PayloadTooLarge,
)
from service.portal.forms import Form, FormFile
from service.portal.languages import OFFERED, words
from service.portal.sender import letters, sending
from service.portal.wording import Wording
from service.usecases import requests
from service.usecases.admission import Sender, Upload
from service.usecases.hand_in import HandedIn
from tests.api_support import DELIVERY_ID
from tests.domain_support import USUAL
from tests.portal_support import CLERK, TAX, Browser, House, field, house, texts

EN = Wording(words("en"))
FILLED = {
    "kind": "citizen",
    "number": "85.07.30-033.28",
    "name": "An <Peeters>",
    "attention_of": "",
    "street": "Kerkstraat",
    "house_number": "12",
    "box": "",
    "postcode": "9000",
    "municipality": "Gent",
    "country": "BE",
    "subject": "Your tax",
    "document_type": "letter",
    "language": "nl",
    "reference": "REF-1",
    "key": "form-1",
}
PDF = ("brief.pdf", b"%PDF-1.7", "application/pdf")


class HandIns:
    """The hand-in's use case, answering as it is told; it remembers what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[Sender, dict[str, Any], Sequence[Upload], str]] = []
        self.answers: list[Exception] = []

    def __call__(self, _context: Any, sender: Sender, raw: bytes, uploads: Sequence[Upload], *, key: str) -> HandedIn:
        self.given.append((sender, json.loads(raw), uploads, key))
        if self.answers:
            raise self.answers.pop(0)
        return HandedIn(202, b"{}", DELIVERY_ID)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture
def clerk(started: House, monkeypatch: pytest.MonkeyPatch) -> Browser:
    made = started.browser(monkeypatch, CLERK)
    made.client.cookies.set("zending_language", "en")
    return made


@pytest.fixture
def hand_ins(monkeypatch: pytest.MonkeyPatch) -> HandIns:
    made = HandIns()
    monkeypatch.setattr("service.usecases.hand_in.hand_in", made)
    monkeypatch.setattr(sending, "_BETWEEN_TRIES", 0.0)
    return made


def send(clerk: Browser, files: Any = None, headers: dict[str, str] | None = None, **changes: str) -> Any:
    chosen = [("document", PDF)] if files is None else files
    return clerk.post("/letters/new", FILLED | changes, files=chosen or [("document", ("", b""))], **(headers or {}))


def test_a_letter_is_handed_in_as_a_program_would(clerk: Browser, hand_ins: HandIns) -> None:
    files = [("document", PDF), ("attachments", ("a.pdf", b"A")), ("attachments", ("b.pdf", b"B"))]
    answer = send(clerk, files)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/letters/{DELIVERY_ID}/sent")
    [(sender, sent, uploads, key)] = hand_ins.given
    assert sender.organisation_id == TAX.organisation_id
    assert sender.lane.name == "INTERACTIVE"
    assert key == "form-1"
    assert [(each.role, each.filename, each.content) for each in uploads] == [
        ("document", "brief.pdf", b"%PDF-1.7"),
        ("attachment", "a.pdf", b"A"),
        ("attachment", "b.pdf", b"B"),
    ]
    assert sent["recipient"] == {"type": "citizen", "id": "85.07.30-033.28", "name": "An <Peeters>"}
    assert sent["registered"] is False
    requests.checked(requests.read(json.dumps(sent).encode()), USUAL)


def test_a_script_of_ours_is_sent_on_in_its_own_way(clerk: Browser, hand_ins: HandIns) -> None:
    answer = send(clerk, headers={"HX_Request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (200, f"/letters/{DELIVERY_ID}/sent")


def test_somebody_without_a_number_is_handed_in_without_one(clerk: Browser, hand_ins: HandIns) -> None:
    send(clerk, kind="postal", number="ignored", registered="yes", seen="zending-registered/1 direct")
    [(_, sent, _, _)] = hand_ins.given
    assert sent["recipient"] == {"type": "postal", "name": "An <Peeters>"}
    assert sent["registered"] is True


def test_everything_that_is_wrong_stands_beside_its_field_and_in_the_summary(clerk: Browser, hand_ins: HandIns) -> None:
    empty = dict.fromkeys(FILLED, "") | {
        "kind": "citizen",
        "language": "nl",
        "country": "BE",
        "document_type": "letter",
    }
    answer = send(clerk, [], None, **empty)
    assert answer.status_code == 422
    assert hand_ins.given == []
    for name in ("document", "subject", "reference", "number", "name", "street", "postcode", "municipality"):
        assert f'<a href="#{name}">' in answer.text, name
        assert f'id="{name}"' in answer.text, name
    assert answer.text.index('<a href="#document">') > answer.text.index('<a href="#subject">')
    assert 'role="alert"' in answer.text
    assert "<title>Problem:" in answer.text


def test_what_was_filled_in_stays_and_is_shown_as_text(clerk: Browser, hand_ins: HandIns) -> None:
    answer = send(clerk, postcode="B-9000", kind="enterprise", number="0403019261")
    assert answer.status_code == 422
    assert field(answer.text, "name") == "An &lt;Peeters&gt;"
    assert field(answer.text, "postcode") == "B-9000"
    assert "A Belgian postcode has four digits, without B- in front." in texts(answer.text)
    assert 'value="enterprise" checked' in answer.text


def test_a_corrected_form_has_a_key_of_its_own(clerk: Browser, hand_ins: HandIns) -> None:
    keys = {field(send(clerk, postcode="x").text, "key") for _ in range(3)} | {
        field(clerk.get("/letters/new").text, "key")
    }
    assert len(keys) == 4
    assert all(key.startswith("form-") for key in keys)


@pytest.mark.parametrize(
    ("error", "place", "said"),
    [
        (
            DocumentRefused("x", code="encrypted", errors=[FieldError("/document", "encrypted", "x")]),
            "document",
            "This PDF has a password or is encrypted. Save it without protection.",
        ),
        (
            DocumentRefused("x", code="javascript", errors=[FieldError("/attachment", "javascript", "x")]),
            "attachments",
            "This PDF contains a script. Save it without scripts.",
        ),
        (PayloadTooLarge("x"), "document", "The files are too large together."),
    ],
)
def test_a_refused_file_is_said_beside_its_field(
    clerk: Browser, hand_ins: HandIns, error: Exception, place: str, said: str
) -> None:
    hand_ins.answers = [error]
    answer = send(clerk)
    assert answer.status_code == 422
    assert f'<a href="#{place}">{said}</a>' in answer.text


def test_too_much_with_attachments_is_said_beside_the_attachments(clerk: Browser, hand_ins: HandIns) -> None:
    hand_ins.answers = [PayloadTooLarge("x")]
    answer = send(clerk, [("document", PDF), ("attachments", ("a.pdf", b"A"))])
    assert '<a href="#attachments">' in answer.text


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (IdempotencyMismatch(), "This form was already sent with other content."),
        (IdempotencyMissing(), "Idempotency"),
    ],
)
def test_what_belongs_to_no_field_is_said_above_all(
    clerk: Browser, hand_ins: HandIns, error: Exception, said: str
) -> None:
    hand_ins.answers = [error]
    answer = send(clerk)
    assert answer.status_code == 422
    assert said in answer.text
    assert field(answer.text, "key") != "form-1"


def test_the_second_click_of_a_double_click_gets_the_first_ones_answer(clerk: Browser, hand_ins: HandIns) -> None:
    hand_ins.answers = [IdempotencyRunning(), IdempotencyRunning()]
    assert send(clerk).status_code == 303
    assert {key for *_, key in hand_ins.given} == {"form-1"}


def test_a_first_click_that_never_ends_is_not_waited_for_for_ever(clerk: Browser, hand_ins: HandIns) -> None:
    hand_ins.answers = [IdempotencyRunning() for _ in range(1000)]
    assert send(clerk).status_code == 409
    assert len(hand_ins.given) == sending._TRIES


def test_far_too_large_files_leave_the_rest_of_the_form_as_it_is(
    clerk: Browser, hand_ins: HandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = [("document", ("brief.pdf", b"x" * (31 * 1024 * 1024), "application/pdf"))]
    page = send(clerk, large)
    assert page.status_code == 413
    assert "This is too large" in page.text
    part = send(clerk, large, headers={"HX_Request": "true"})
    assert (part.status_code, part.headers["hx-retarget"]) == (422, "#document-problem")
    assert "The files are too large together." in part.text
    assert "<html" not in part.text
    assert hand_ins.given == []


def test_files_wait_for_room_in_the_memory_of_all_uploads(
    clerk: Browser, hand_ins: HandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clerk.app.state.upload_memory, "_free", 10)
    monkeypatch.setattr(clerk.app.state.upload_memory, "_wait", 0.01)
    assert send(clerk).status_code == 503
    assert hand_ins.given == []


def test_a_form_that_nobody_could_have_filled_in_is_refused_in_words(clerk: Browser, hand_ins: HandIns) -> None:
    answer = send(clerk, kind="alien", country="Belgium", language="tlh")
    assert answer.status_code == 422
    assert hand_ins.given == []


def test_every_field_has_its_place_in_the_summary() -> None:
    assert set(letters.ORDER) == {*letters.TEXTS, *letters.FILES}


def test_a_problem_deeper_than_a_field_belongs_to_the_field() -> None:
    form = letters.with_problems(FILLED, [FieldError("/postal_address/street/0", "empty", "x")], EN)
    assert form.problems == {"street": "Fill this in."}
    form = letters.with_problems(FILLED, [FieldError("/payment/iban", "iban_invalid", "A sentence.")], EN)
    assert (form.problems, form.general) == ({}, "A sentence.")
    assert letters.with_problems(FILLED, [FieldError(None, "x", "First.")], EN, general="Before.").general == "Before."


def test_exactly_one_file_is_the_letter() -> None:
    def wrong(number: int) -> list[str]:
        form = Form(files={"document": [FormFile("a.pdf", b"x")] * number})
        return [error.code for error in letters.missing_files(letters.uploads(form))]

    assert (wrong(0), wrong(1), wrong(2)) == (["document_missing"], [], ["document_repeated"])


def test_belgium_comes_first_and_the_rest_in_the_readers_order() -> None:
    found = {language: [name for _, name in letters.countries(words(language).locale)] for language in OFFERED}
    assert {language: names[0] for language, names in found.items()} == {
        "nl": "België", "fr": "Belgique", "de": "Belgien", "en": "Belgium"
    }  # fmt: skip
    assert found["nl"][1:4] == ["Afghanistan", "Åland", "Albanië"]
    # Where people look for them: not after the Z.
    place = found["fr"].index("Égypte")
    assert found["fr"][place - 1 : place + 2] == ["Dominique", "Égypte", "Émirats arabes unis"]
    place = found["de"].index("Österreich")
    assert found["de"][place - 1 : place + 2] == ["Oman", "Österreich", "Pakistan"]


def test_nothing_that_was_filled_in_shows_in_a_form_that_is_printed() -> None:
    assert "Peeters" not in repr(letters.LetterForm(FILLED, "form-1"))


@pytest.mark.parametrize(
    ("kind", "number", "said"),
    [
        ("citizen", "85.07.30-033.28", "This number can exist."),
        ("citizen", "12345678901", "This is not a national register number. Check the 11 digits."),
        ("enterprise", "0431150351", "This is not an enterprise number. Check the 10 digits."),
        ("administration", "OVO123", "Fill in an OVO code (OVO and 6 digits) or an enterprise number."),
        ("postal", "85.07.30-033.28", ""),
        ("citizen", "", ""),
        ("alien", "1", ""),
    ],
)
def test_a_number_is_judged_while_the_form_is_filled_in(clerk: Browser, kind: str, number: str, said: str) -> None:
    answer = clerk.post("/letters/number", {"kind": kind, "number": number}, HX_Request="true")
    assert answer.status_code == 200
    assert [text for text in texts(answer.text) if text != "Problem:"] == ([said] if said else [])
    assert number == "" or number not in answer.text
