"""Whatever a list holds: it is read the same however it comes in pieces, and from any row on as from the beginning."""

import csv
import io
import json
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from service.usecases.submission_lists import REQUIRED, ListedRow, ListRefused, read_list

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=20)
SEPARATORS = st.sampled_from([",", ";", "\t"])


def pieces(content: bytes, size: int) -> Iterator[bytes]:
    return (content[at : at + size] for at in range(0, len(content), size))


def read(name: str, content: bytes, size: int, *, after: int = 0, at: int = 0) -> list[ListedRow] | str:
    try:
        return list(read_list(name, pieces(content, size), after=after, at=at))
    except ListRefused as error:
        return error.code


def as_csv(table: list[list[str]], separator: str) -> bytes:
    written = io.StringIO()
    csv.writer(written, delimiter=separator, lineterminator="\n").writerows([list(REQUIRED), *table])
    return written.getvalue().encode()


ROW = st.lists(CELLS, min_size=len(REQUIRED), max_size=len(REQUIRED))


@given(st.lists(ROW, max_size=8), SEPARATORS, st.integers(1, 50))
def test_what_was_written_as_csv_is_what_is_read(table: list[list[str]], separator: str, size: int) -> None:
    found = read("deliveries.csv", as_csv(table, separator), size)
    assert not isinstance(found, str)
    wanted = [[cell.strip() for cell in row] for row in table if any(cell.strip() for cell in row)]
    assert [row.number for row in found] == list(range(1, len(wanted) + 1))
    for row, cells in zip(found, wanted, strict=True):
        if not cells[-1]:
            assert [each.code for each in row.errors] == ["document_missing"]
            continue
        assert row.value is not None
        recipient = row.value.get("recipient", {})
        got = [row.value.get("reference", ""), recipient.get("type", ""), recipient.get("name", "")]
        got += [row.value.get(name, "") for name in ("subject", "language", "document_type")]
        assert [*got, row.document] == cells


@given(st.binary(max_size=400), st.sampled_from(["deliveries.csv", "deliveries.jsonl"]), st.integers(1, 60))
def test_any_bytes_are_read_the_same_in_any_pieces(content: bytes, name: str, size: int) -> None:
    header = ",".join(REQUIRED).encode() + b"\n" if name.endswith(".csv") else b""
    assert read(name, header + content, size) == read(name, header + content, 1_000_000)


@given(st.lists(ROW, min_size=1, max_size=8), SEPARATORS, st.data())
def test_a_list_goes_on_from_any_row_as_if_it_had_never_been_put_down(
    table: list[list[str]], separator: str, data: st.DataObject
) -> None:
    content = as_csv(table, separator)
    whole = read("deliveries.csv", content, 100)
    assert not isinstance(whole, str)
    if whole:
        last = data.draw(st.sampled_from(whole))
        rest = read("deliveries.csv", content, 7, after=last.number, at=last.ends)
        assert rest == whole[last.number :]


LINES = st.lists(
    st.one_of(
        st.dictionaries(st.sampled_from(["document", "reference", "subject", "x"]), CELLS, max_size=4).map(json.dumps),
        st.just(""), st.just("no json"), st.just("[]"),
    ),
    max_size=10,
)  # fmt: skip


@given(LINES, st.integers(1, 40), st.data())
def test_json_lines_go_on_from_any_row_too(lines: list[str], size: int, data: st.DataObject) -> None:
    content = "\n".join(lines).encode()
    whole = read("deliveries.jsonl", content, size)
    assert not isinstance(whole, str)
    assert len(whole) == sum(1 for each in lines if each.strip())
    if whole:
        last = data.draw(st.sampled_from(whole))
        assert read("deliveries.jsonl", content, 13, after=last.number, at=last.ends) == whole[last.number :]
