"""Lists: whatever can be wrong with a CSV or a JSON line is told by a code, a row and a column, without a value."""

from collections.abc import Iterator

import pytest

from service.usecases import submission_lists
from service.usecases.submission_lists import COLUMNS, REQUIRED, ListedRow, ListRefused, read_list
from tests.submission_support import as_csv, as_jsonl, line

HEADER = ",".join(REQUIRED)
GOOD = "R-1,postal,An Peeters,Een brief,nl,letter,a.pdf"


def pieces(content: bytes, size: int = 1000) -> Iterator[bytes]:
    return (content[at : at + size] for at in range(0, len(content), size))


def rows(content: bytes | str, name: str = "deliveries.csv", *, size: int = 1000) -> list[ListedRow]:
    raw = content.encode() if isinstance(content, str) else content
    return list(read_list(name, pieces(raw, size), after=0, at=0))


def codes(row: ListedRow) -> list[str]:
    return [each.code for each in row.errors]


def refused(content: bytes | str, name: str = "deliveries.csv") -> ListRefused:
    with pytest.raises(ListRefused) as caught:
        rows(content, name)
    assert "SECRET" not in caught.value.detail
    return caught.value


@pytest.mark.parametrize("separator", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "marked"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_the_separator_is_found_in_the_header(separator: str, mark: bytes, end: str) -> None:
    text = f"{HEADER}\n{GOOD}\n".replace(",", separator).replace("\n", end)
    (row,) = rows(mark + text.encode())
    assert row.value == {
        "reference": "R-1", "recipient": {"type": "postal", "name": "An Peeters"}, "subject": "Een brief",
        "language": "nl", "document_type": "letter",
    }  # fmt: skip
    assert (row.document, row.attachments) == ("a.pdf", [])


def test_a_csv_says_the_same_as_json_lines() -> None:
    lines = [line("jan", reference=f"R{number}", attachments=["b.pdf", "c.pdf"]) for number in range(3)]
    from_csv, from_json = rows(as_csv(lines)), rows(as_jsonl(lines), "deliveries.jsonl")
    assert [row.value for row in from_csv] == [
        {name: each for name, each in (row.value or {}).items() if each is not None} for row in from_json
    ]
    assert [(row.document, list(row.attachments)) for row in from_csv] == [("brief.pdf", ["b.pdf", "c.pdf"])] * 3


def test_cells_with_separators_quotes_and_line_ends_are_one_cell() -> None:
    (row,) = rows(f'{HEADER}\nR-1,postal,"Peeters, ""An""","regel 1\nregel 2",nl,letter,a.pdf\n')
    assert row.value is not None
    assert row.value["recipient"]["name"] == 'Peeters, "An"'
    assert row.value["subject"] == "regel 1\nregel 2"


def test_blank_lines_are_no_rows_and_a_last_line_needs_no_end() -> None:
    assert [row.number for row in rows(f"{HEADER}\n\n{GOOD}\n , ,,,,,\n\r\n{GOOD}")] == [1, 2]


@pytest.mark.parametrize("word", ["true", "TRUE", "false"])
def test_yes_and_no_are_true_and_false(word: str) -> None:
    (row,) = rows(f"{HEADER},registered\n{GOOD},{word}\n")
    assert row.value is not None
    assert row.value["registered"] is (word.lower() == "true")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "header_missing"),
        (b"SECRET Peeters,Kerkstraat\n", "header_unknown"),
        (f"{HEADER},SECRET\n{GOOD},x\n".encode(), "column_unknown"),
        (f"{HEADER},reference\n{GOOD},x\n".encode(), "column_repeated"),
        (HEADER.replace("subject,", "").encode() + b"\n", "column_missing"),
        (f"{HEADER}\nR,postal,SECR\xc9T,x,nl,letter,a.pdf\n".encode("cp1252"), "list_not_utf8"),
        (f"{HEADER}\n{GOOD}\n".encode("utf-16"), "list_not_utf8"),
        (HEADER.encode() + b"," * 70_000, "row_too_long"),
    ],
    ids=["empty", "no-header", "unknown", "repeated", "missing", "windows", "utf-16", "long-header"],
)
def test_a_list_of_which_nobody_could_say_what_is_what_is_refused_whole(content: bytes, code: str) -> None:
    assert refused(content).code == code


def test_windows_letters_are_refused_with_their_row_and_never_guessed() -> None:
    text = f"{HEADER}\n{GOOD}\nR-2,postal,SECRET Hélène,x,nl,letter,a.pdf\n"
    error = refused(text.encode("cp1252"))
    assert error.errors[0].row == 2
    assert "UTF-8" in error.detail


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ('R-1,postal,"An" SECRET,x,nl,letter,a.pdf', "csv_malformed"),
        ("R-1,postal,An", "cells_differ"),
        (GOOD + ",extra", "cells_differ"),
        (GOOD.replace("a.pdf", ""), "document_missing"),
    ],
    ids=["quotes", "few", "many", "no-document"],
)
def test_a_bad_row_does_not_stop_the_next_one(cells: str, code: str) -> None:
    bad, good = rows(f"{HEADER}\n{cells}\n{GOOD}\n")
    assert (bad.number, bad.value, codes(bad)) == (1, None, [code])
    assert (good.number, codes(good)) == (2, [])
    assert "SECRET" not in str(bad.errors)


def test_a_quotation_mark_that_is_never_closed_ends_the_list_with_its_row() -> None:
    error = refused(f'{HEADER}\n{GOOD}\nR-2,postal,"An,x,nl\n' + "x" * 100 + "\n" * 70_000)
    assert (error.code, error.errors[0].row) == ("row_too_long", 2)


def test_one_that_is_open_at_the_end_spoils_only_its_row() -> None:
    good, bad = rows(f'{HEADER}\n{GOOD}\nR-2,postal,"An,x,nl\n')
    assert (codes(good), codes(bad)) == ([], ["csv_malformed"])


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"SECRET", "row_not_json"),
        (b"[1, 2]", "row_not_json"),
        (b'{"reference": "\xff"}', "row_not_json"),
        (b'{"reference": "1"}', "document_missing"),
        (b'{"document": 3}', "document_missing"),
        (b'{"document": "a.pdf", "attachments": "b.pdf"}', "malformed"),
        (b'{"document": "a.pdf", "x": "' + b"x" * 70_000 + b'"}', "row_too_long"),
        (b"[" * 60_000, "row_not_json"),
    ],
    ids=["words", "array", "not-utf-8", "no-document", "number", "attachments", "long", "deep"],
)
def test_a_bad_json_line_does_not_stop_the_next_one(raw: bytes, code: str) -> None:
    good = b'{"reference": "1", "document": "a.pdf"}'
    first, second = rows(raw + b"\n" + good, "deliveries.jsonl")
    assert (first.number, codes(first)) == (1, [code])
    assert (second.number, second.value, second.document) == (2, {"reference": "1"}, "a.pdf")


def test_a_mark_at_the_beginning_of_json_lines_is_taken_as_one() -> None:
    content = b'\xef\xbb\xbf{"document": "a.pdf"}\n{"document": "b.pdf"}\n'
    assert [row.document for row in rows(content, "deliveries.jsonl")] == ["a.pdf", "b.pdf"]
    assert refused('{"document": "a.pdf"}'.encode("utf-16"), "deliveries.jsonl").code == "list_not_utf8"


def test_a_long_line_takes_no_more_memory_than_a_row_may_have() -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(2000):
            yield b"x" * 1000
        yield b"\n"

    lines = submission_lists._Lines(endless())
    assert len(lines.next() or b"") == submission_lists.RECORD_BYTES + 1
    assert lines.at == 2_000_001
    assert lines.next() is None


def test_every_column_is_a_field_of_the_json() -> None:
    from service.usecases.requests import AddressPart, DeliveryRequest, PaymentPart, PrintPart, RecipientPart

    parts = {"recipient": RecipientPart, "postal_address": AddressPart, "print": PrintPart, "payment": PaymentPart}
    known = set(DeliveryRequest.__struct_fields__) - {"policy", "digests", *parts}
    known |= {f"{name}.{each}" for name, part in parts.items() for each in part.__struct_fields__}
    assert known | {"digests.document", "document", "attachments"} == COLUMNS
