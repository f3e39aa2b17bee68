"""The list of a submission, ``deliveries.csv`` or ``deliveries.jsonl``, read line by line as it is unpacked.

A row that can't be used is told with its codes and the others go on; where nobody could say any more which row is
which, the list as a whole is refused. Texts never repeat a value of the list.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import msgspec

from service.domain.errors import FieldError, Invalid

RECORD_BYTES: Final = 64 * 1024
"""The longest row, with all lines of it."""
SEPARATORS: Final = (",", ";", "\t")
REQUIRED: Final = (
    "reference", "recipient.type", "recipient.name", "subject", "language", "document_type", "document",
)  # fmt: skip
COLUMNS: Final = frozenset(REQUIRED) | {
    "recipient.id", "attention_of", "registered", "deadline", "send_at", "digests.document", "attachments",
    *(f"postal_address.{name}" for name in
      ("name", "street", "number", "box", "postcode", "municipality", "country")),
    *(f"print.{name}" for name in
      ("duplex", "colour", "priority", "return_receipt", "share_envelope", "address", "undeliverable")),
    *(f"payment.{name}" for name in ("amount", "currency", "iban", "reference", "due_date")),
}  # fmt: skip
"""Every column that a CSV can have: the fields of a delivery's JSON, and the names of its files in the ZIP."""
_BOOLEAN: Final = frozenset(
    {"registered", *(f"print.{name}" for name in ("duplex", "colour", "priority", "return_receipt", "share_envelope"))}
)
_TRUTH: Final = MappingProxyType({"true": True, "false": False})
_BOMS_OF_OTHERS: Final = (b"\xff\xfe", b"\xfe\xff")
_BOM: Final = b"\xef\xbb\xbf"
_TOO_LONG: Final = "This row is longer than is read."


class ListRefused(Invalid):
    """The list as a whole can't be read."""

    code = "list_malformed"

    def __init__(self, code: str, detail: str, *, row: int | None = None, column: str | None = None) -> None:
        super().__init__(detail, code=code, errors=[FieldError(None, code, detail, row, column)])


@dataclass(frozen=True, slots=True)
class ListedRow:
    """A row as it was read.

    Attributes:
        number: from 1, without the header; blank lines don't count.
        value: the JSON of the delivery as Python values, without the names of files; None when it can't be read.
        document: the main file's name in the ZIP.
        attachments: the further files' names.
        errors: what is wrong with the row's form.
        ends: the place in the list behind this row.
    """

    number: int
    value: dict[str, Any] | None = field(repr=False)
    document: str | None = field(repr=False)
    attachments: Sequence[str] = field(repr=False)
    errors: Sequence[FieldError]
    ends: int


def read_list(name: str, pieces: Iterator[bytes], *, after: int, at: int) -> Iterator[ListedRow]:
    """The rows of a list, from a row whose place is known.

    Args:
        name: ``deliveries.csv`` or ``deliveries.jsonl``.
        pieces: the list from its beginning, unpacked.
        after: how many rows were read before.
        at: the place behind the last of them; 0 for the beginning.

    Raises:
        ListRefused: the list as a whole can't be read.
    """
    lines = _Lines(pieces)
    return _csv_rows(lines, after, at) if name.endswith(".csv") else _json_rows(lines, after, at)


class _Lines:
    """Lines with their ends, bounded in length, and how far they reach."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""
        self.at = 0

    def skip(self, to: int) -> None:
        """Go on at a place that lies ahead."""
        while self.at < to:
            if not self._held and not self._more():
                raise ListRefused("list_malformed", "The list is shorter than it was.")
            step = min(len(self._held), to - self.at)
            self._held, self.at = self._held[step:], self.at + step

    def next(self) -> bytes | None:
        """The next line; one that is too long comes cut, without its end; None after the last one."""
        end = self._held.find(b"\n")
        while end < 0:
            if len(self._held) > RECORD_BYTES:
                return self._cut()
            searched = len(self._held)
            if not self._more():
                line, self._held = self._held, b""
                self.at += len(line)
                return line or None
            end = self._held.find(b"\n", searched)
        line, self._held = self._held[: end + 1], self._held[end + 1 :]
        self.at += len(line)
        return line

    def _cut(self) -> bytes:
        """The beginning of a line that is too long; the rest of it is passed over."""
        line = self._held[: RECORD_BYTES + 1]
        while (end := self._held.find(b"\n")) < 0:
            self.at += len(self._held)
            self._held = b""
            if not self._more():
                return line
        self._held, self.at = self._held[end + 1 :], self.at + end + 1
        return line

    def _more(self) -> bool:
        piece = next(self._pieces, None)
        if piece is None:
            return False
        self._held += piece
        return True


def _json_rows(lines: _Lines, after: int, at: int) -> Iterator[ListedRow]:
    lines.skip(at)
    number = after
    while (line := lines.next()) is not None:
        if lines.at == len(line) and line.startswith(_BOMS_OF_OTHERS):
            raise _other_encoding()
        line = line.removeprefix(_BOM) if lines.at == len(line) else line
        if not line.strip():
            continue
        number += 1
        yield _json_row(number, line, lines.at)


def _json_row(number: int, line: bytes, ends: int) -> ListedRow:
    def bad(code: str, detail: str, pointer: str = "") -> ListedRow:
        return ListedRow(number, None, None, (), (FieldError(pointer, code, detail),), ends)

    if len(line) > RECORD_BYTES:
        return bad("row_too_long", _TOO_LONG)
    value = _decoded(line)
    if value is None:
        return bad("row_not_json", "This line is not a JSON object in UTF-8.")
    document, attachments = value.pop("document", None), value.pop("attachments", None) or []
    if not isinstance(document, str) or not document:
        return bad("document_missing", "The name of the document in the ZIP is missing.", "/document")
    if not isinstance(attachments, list) or not all(isinstance(each, str) and each for each in attachments):
        return bad("malformed", "The attachments are a list of names in the ZIP.", "/attachments")
    return ListedRow(number, value, document, attachments, (), ends)


def _decoded(line: bytes) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


class _Records:
    """Feeds ``csv`` with lines, and bounds how many of them one row may take."""

    def __init__(self, lines: _Lines, number: int) -> None:
        self._lines = lines
        self._began = lines.at
        self.number = number

    def begin(self, number: int) -> None:
        self._began, self.number = self._lines.at, number

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._lines.next()
        if line is None:
            raise StopIteration
        if self._lines.at - self._began > RECORD_BYTES or len(line) > RECORD_BYTES:
            # A quotation mark that is never closed looks like this; where the next row begins nobody can say.
            raise ListRefused("row_too_long", _TOO_LONG, row=self.number or None)
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            raise _other_encoding(self.number) from None


def _other_encoding(row: int = 0) -> ListRefused:
    return ListRefused(
        "list_not_utf8", "The list is not UTF-8. Save it as UTF-8 (in a spreadsheet: CSV UTF-8).", row=row or None
    )


def _csv_rows(lines: _Lines, after: int, at: int) -> Iterator[ListedRow]:
    first = lines.next()
    if first is None:
        raise ListRefused("header_missing", "The list is empty: its first line has the names of the columns.")
    if first.startswith(_BOMS_OF_OTHERS):
        raise _other_encoding()
    if len(first) > RECORD_BYTES:
        raise ListRefused("row_too_long", "The header is longer than is read.")
    columns, separator = _header(first)
    if at:
        lines.skip(at)
    records = _Records(lines, after + 1)
    reader = csv.reader(records, delimiter=separator, strict=True)
    number = after
    while True:
        records.begin(number + 1)
        try:
            cells = next(reader, None)
        except csv.Error:
            number += 1
            detail = "A quotation mark is out of place in this row."
            yield ListedRow(number, None, None, (), (FieldError(None, "csv_malformed", detail),), lines.at)
            continue
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        number += 1
        yield _csv_row(number, columns, cells, lines.at)


def _header(line: bytes) -> tuple[list[str], str]:
    try:
        text = line.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError:
        raise _other_encoding() from None
    splits = {}
    for separator in SEPARATORS:
        try:
            cells = next(csv.reader([text], delimiter=separator, strict=True), [])
        except csv.Error:
            continue
        splits[separator] = [cell.strip().lower() for cell in cells]
    best = max(splits, key=lambda each: len(COLUMNS & set(splits[each])), default=None)
    if best is None or len(COLUMNS & set(splits[best])) < 2:  # noqa: PLR2004  one name can't tell a separator
        detail = "The first line must have the names of the columns, parted by comma, semicolon or tab."
        raise ListRefused("header_unknown", detail)
    names = splits[best]
    for place, name in enumerate(names, 1):
        if name not in COLUMNS:
            raise ListRefused("column_unknown", f"Column {place} of the header is none that is known.")
        if name in names[: place - 1]:
            raise ListRefused("column_repeated", "A column is there twice.", column=name)
    for name in REQUIRED:
        if name not in names:
            raise ListRefused("column_missing", "This column is missing.", column=name)
    return names, best


def _csv_row(number: int, columns: Sequence[str], cells: Sequence[str], ends: int) -> ListedRow:
    if len(cells) != len(columns):
        detail = "This row has more or fewer cells than the header has columns."
        return ListedRow(number, None, None, (), (FieldError(None, "cells_differ", detail),), ends)
    value: dict[str, Any] = {}
    for name, raw in zip(columns, cells, strict=True):
        cell = raw.strip()
        if not cell:
            continue
        parent, _, leaf = name.rpartition(".")
        place = value.setdefault(parent, {}) if parent else value
        place[leaf] = _TRUTH.get(cell.lower(), cell) if name in _BOOLEAN else cell
    document = value.pop("document", None)
    attachments = [each.strip() for each in value.pop("attachments", "").split("|") if each.strip()]
    if document is None:
        detail = "The name of the document in the ZIP is missing."
        error = FieldError(None, "document_missing", detail, column="document")
        return ListedRow(number, None, None, (), (error,), ends)
    return ListedRow(number, value, document, attachments, (), ends)
