"""The form of a signature request: its rows, its day, the JSON that programs send, and problems with names."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from service.domain.errors import FieldError
from service.domain.signing_folder import LONGEST_DAYS, MOST_SIGNERS, Way
from service.portal.forms import Form, FormFile
from service.portal.languages import OFFERED, words
from service.portal.sender import asking
from service.portal.sender.asking import AskingForm
from service.portal.wording import Wording
from service.usecases.admission import Upload
from service.usecases.signatures import requests
from tests.domain_support import USUAL

NOW = datetime(2026, 11, 28, 23, 30, tzinfo=UTC)
"""In Belgium it is the 29th already."""
EN = Wording(words("en"))
AN, JAN = ("An Peeters", "85.07.30-033.28"), ("Jan Claes", "17073003384")
VALUES = {
    "subject": "Agreement", "reference": "2026-1", "language": "nl", "order": "parallel", "last_day": "2026-12-01",
    "reminders": "7",
}  # fmt: skip


def signer(name: str, number: str, **changes: str) -> dict[str, str]:
    usual = {"way": "web-eid", "name": name, "number": number, "email": "", "level": "qualified"}
    return usual | changes


def filled(*signers: dict[str, str], **changes: str) -> AskingForm:
    return AskingForm(VALUES | changes, signers or (signer(*AN),))


def sent(form: AskingForm) -> Form:
    """As a browser sends it."""
    rows = {
        asking.field_of(place, name): [value]
        for place, each in enumerate(form.signers, 1)
        for name, value in each.items()
    }
    return Form(texts={name: [value] for name, value in form.values.items()} | rows | {"key": [form.key]})


def names(form: AskingForm) -> list[str]:
    return [each["name"] for each in form.signers]


def asked(form: AskingForm) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(asking.request_json(form, now=NOW))
    return found


def test_what_is_sent_is_read_again_as_it_was() -> None:
    form = filled(signer(*AN, email="an@voorbeeld.test"), signer("", "", way="seal"), signer(*JAN, level="advanced"))
    assert asking.read(sent(form)) == AskingForm(form.values, list(form.signers))


def test_a_form_of_nobodys_making_has_one_signer_and_no_crash() -> None:
    form = asking.read(Form())
    assert len(form.signers) == 1
    assert asking.check(form, USUAL, now=NOW)


def test_the_json_is_what_a_program_would_send() -> None:
    form = filled(signer(*AN, email="an@voorbeeld.test"), signer("left over", "1", way="seal"))
    assert asked(form) == {
        "reference": "2026-1",
        "subject": "Agreement",
        "language": "nl",
        "signers": [
            {"type": "citizen", "id": AN[1], "name": AN[0], "email": "an@voorbeeld.test", "way": "web-eid", "level": "qualified"},  # noqa: E501
            {"type": "organisation", "way": "seal"},
        ],
        "order": "parallel",
        "days": 2,
        "remind_after_days": 7,
    }  # fmt: skip
    requests.check(requests.read(asking.request_json(form, now=NOW)), USUAL, now=NOW)
    assert asked(filled(reminders=""))["remind_after_days"] is None


@pytest.mark.parametrize(
    ("act", "left"),
    [
        ("add", ["An Peeters", "Jan Claes", ""]),
        ("remove-1", ["Jan Claes"]),
        ("remove-2", ["An Peeters"]),
        ("up-2", ["Jan Claes", "An Peeters"]),
        ("up-1", ["An Peeters", "Jan Claes"]),
        ("remove-3", ["An Peeters", "Jan Claes"]),
        ("remove-0", ["An Peeters", "Jan Claes"]),
        ("up-" + "9" * 5000, ["An Peeters", "Jan Claes"]),
        ("up-²", ["An Peeters", "Jan Claes"]),
        ("change", ["An Peeters", "Jan Claes"]),
        ("", ["An Peeters", "Jan Claes"]),
    ],
)
def test_buttons_change_the_rows_and_nothing_that_was_filled_in(act: str, left: list[str]) -> None:
    before = filled(signer(*AN), signer(*JAN))
    after = asking.changed(before, act, Way.WEB_EID.value)
    assert names(after) == left
    assert after.values == before.values
    # Who sees nothing is led to the row that changed.
    assert bool(after.focus) == (after.signers != before.signers)


def test_there_is_always_a_signer_and_never_more_than_may_be_asked() -> None:
    assert names(asking.changed(filled(), "remove-1", "seal")) == ["An Peeters"]
    form = filled()
    for _ in range(MOST_SIGNERS + 5):
        form = asking.changed(form, "add", "seal")
    assert len(form.signers) == MOST_SIGNERS
    assert len(asking.read(sent(form)).signers) == MOST_SIGNERS


def test_rows_that_were_left_empty_ask_nobody() -> None:
    empty = asking.new_signer("web-eid")
    form = asking.without_empty_rows(filled(empty, signer(*AN), empty, asking.new_signer("seal")))
    assert [each["way"] for each in form.signers] == ["web-eid", "seal"]
    assert asking.without_empty_rows(filled(empty, empty)).signers == (empty,)
    # An address alone was meant for somebody: what is missing is said.
    assert len(asking.without_empty_rows(filled(signer("", "", email="x@y.be"), signer(*AN))).signers) == 2


@pytest.mark.parametrize(
    ("last_day", "possible"),
    [
        ("2026-11-30", True),
        ("2026-11-29", False),
        (str(asking.day_after(LONGEST_DAYS, now=NOW)), True),
        (str(asking.day_after(LONGEST_DAYS + 1, now=NOW)), False),
        ("2025-12-01", False),
        ("1/12/2026", False),
        ("", False),
    ],
)
def test_the_last_day_is_one_of_those_that_are_offered(last_day: str, *, possible: bool) -> None:
    found = [each.code for each in asking.check(filled(last_day=last_day, subject=""), USUAL, now=NOW)]
    # What else is wrong is told at the same time.
    assert found == (["empty"] if possible else ["last_day_not_possible", "empty"])


def test_what_is_wrong_with_a_signer_stands_beside_the_field_and_says_of_whom_above() -> None:
    form = filled(signer("", ""), signer("X", "12345678901", email="nobody"), subject="", last_day="")
    shown = asking.with_problems(form, asking.check(form, USUAL, now=NOW), EN)
    assert list(shown.problems.items()) == [
        ("subject", "Fill this in."),
        ("signer-1-name", "Fill in the name."),
        ("signer-1-number", "Fill in the national register number."),
        ("signer-2-number", "This is not a national register number. Check the 11 digits."),
        ("signer-2-email", "This is not an e-mail address. It looks like name@example.be."),
        ("last_day", "Choose a day from tomorrow on, at most 90 days from now."),
    ]
    assert list(asking.summary(shown, EN).values())[:3] == [
        "Subject: Fill this in.",
        "Signer 1: Fill in the name.",
        "Signer 1: Fill in the national register number.",
    ]
    assert not shown.on_the_file
    for language in OFFERED:
        assert "%" not in "".join(asking.summary(shown, Wording(words(language))).values())


def test_what_belongs_to_no_field_is_said_above_all() -> None:
    strange = [FieldError("/deliver/x", "x", "A sentence."), FieldError("/signers/0/strange", "x", "Another.")]
    shown = asking.with_problems(filled(), strange, EN)
    assert (shown.problems, shown.general) == ({}, "A sentence.")
    assert shown.on_the_file


@pytest.mark.parametrize("field", ["order", "language", "reminders"])
def test_a_choice_that_nobody_offered_is_refused_beside_its_field(field: str) -> None:
    form = filled(**{field: "nonsense"})
    shown = asking.with_problems(form, asking.check(form, USUAL, now=NOW), EN)
    assert list(shown.problems) == [field]
    assert asking.summary(shown, EN)[field].endswith(": This is not one of the possible values.")


def test_a_way_that_nobody_offered_is_refused_beside_its_signer() -> None:
    form = filled(signer(*AN), signer(*JAN, way="telepathy"))
    assert list(asking.with_problems(form, asking.check(form, USUAL, now=NOW), EN).problems) == ["signer-2-way"]


def test_no_file_is_no_request() -> None:
    chosen = asking.uploads(Form(files={"document": [FormFile("", b"")]}))
    shown = asking.with_problems(filled(), asking.missing_files(chosen), EN)
    assert shown.problems == {"document": "Choose the PDF that is to be signed."}
    assert shown.on_the_file
    assert asking.missing_files(asking.uploads(Form(files={"document": [FormFile("a.pdf", b"x")] * 2}))) == []


def test_of_several_files_the_wrong_one_is_named() -> None:
    files = [Upload("document", name, b"x") for name in ("a.pdf", "100 %.pdf")]

    def said(*errors: FieldError) -> dict[str, str]:
        return dict(asking.with_problems(filled(), errors, EN, files=files).problems)

    assert said(FieldError("/document/1", "not_a_pdf", "x")) == {
        "document": "100 %.pdf: This file is not a PDF document."
    }
    assert said(FieldError("/document", "not_a_pdf", "x")) == {"document": "This file is not a PDF document."}
    assert said(FieldError("/document/7", "not_a_pdf", "x")) == {"document": "This file is not a PDF document."}
    assert said(FieldError("/document", "too_many_documents", "x")) == {
        "document": "You chose too many PDFs. Make another request for the rest."
    }


def test_a_corrected_form_has_a_key_of_its_own_and_shows_nobody_when_printed() -> None:
    keys = {asking.with_problems(filled(), [], EN).key for _ in range(3)}
    assert len(keys) == 3
    assert "Peeters" not in repr(filled())
