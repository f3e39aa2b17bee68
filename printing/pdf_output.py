"""A PDF written front to back, and the copying of other documents' objects into it.

Only the place of each object and a digest of its content are kept in memory: what ten thousand letters share (fonts,
logos, whole pages of terms) is written once, found by content and never by name.
"""

import hashlib
import re
from array import array
from dataclasses import dataclass, field
from typing import BinaryIO, Final

import pikepdf

# In the notation qpdf writes, a string's parentheses are escaped and a name holds no blank: outside of strings,
# "number number R" is a reference and nothing else.
_STRING_OR_REFERENCE: Final = re.compile(rb"\((?:[^\\()]|\\.)*\)|(\d+) (\d+) R\b", re.DOTALL)

Reference = tuple[int, int]
"""Number and generation of an object in the document it comes from."""


class PdfOutput:
    """Writes objects in the order they come; the same calls give the same bytes."""

    def __init__(self, out: BinaryIO) -> None:
        """Begin the file. ``out`` is only appended to."""
        self._out = out
        self._digest = hashlib.sha256()
        self._offsets = array("Q", [0])
        self.size = 0
        self._write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        self._digest.update(data)
        self.size += len(data)

    def reserve(self) -> int:
        """A number for an object that is written later."""
        self._offsets.append(0)
        return len(self._offsets) - 1

    def put(self, number: int, body: bytes) -> None:
        """Write the object of that number."""
        self._offsets[number] = self.size
        self._write(b"%d 0 obj\n%s\nendobj\n" % (number, body))

    def finish(self, root: int) -> None:
        """Write what a reader needs to find the objects. The identifier is that of the content."""
        start = self.size
        identifier = self._digest.hexdigest()[:32].encode()
        self._write(b"xref\n0 %d\n0000000000 65535 f \n" % len(self._offsets))
        self._write(b"".join(b"%010d 00000 n \n" % offset for offset in self._offsets[1:]))
        self._write(
            b"trailer\n<< /Size %d /Root %d 0 R /ID [<%s> <%s>] >>\nstartxref\n%d\n%%%%EOF\n"
            % (len(self._offsets), root, identifier, identifier, start)
        )


@dataclass
class _Source:
    """One object on its way: its text, the data of a stream, what it refers to."""

    text: bytes
    data: bytes | None
    children: list[Reference] = field(default_factory=list)

    def body(self, numbers: dict[Reference, int]) -> bytes:
        text = _renumber(self.text, numbers)
        return text if self.data is None else b"%s\nstream\n%s\nendstream" % (text, self.data)


def _references(text: bytes) -> list[Reference]:
    if b" R" not in text:
        return []  # the widths of a font are a thousand numbers, each of which might begin a reference
    return [(int(found[1]), int(found[2])) for found in _STRING_OR_REFERENCE.finditer(text) if found[1]]


def _renumber(text: bytes, numbers: dict[Reference, int]) -> bytes:
    if b" R" not in text:
        return text

    def replaced(found: re.Match[bytes]) -> bytes:
        return b"%d 0 R" % numbers[int(found[1]), int(found[2])] if found[1] else found[0]

    return _STRING_OR_REFERENCE.sub(replaced, text)


class Written:
    """What stands in the output already: digest of an object → its number."""

    def __init__(self, output: PdfOutput) -> None:
        """Start with nothing written."""
        self.output = output
        self._numbers: dict[bytes, int] = {}

    def put_once(self, body: bytes, mark: bytes = b"") -> int:
        """Write the object unless an equal one with an equal mark stands there; return its number."""
        key = hashlib.sha256(mark + b"\0" + body).digest()
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = self.output.reserve()
            self.output.put(number, body)
        return number


class ObjectCopy:
    """Copies objects of one document with all they refer to, children first."""

    def __init__(self, source: pikepdf.Pdf, written: Written, marks: dict[Reference, bytes]) -> None:
        """``marks`` keeps objects apart that are equal by content but not by meaning, such as layers on and off."""
        self._source = source
        self._written = written
        self._marks = marks
        self._numbers: dict[Reference, int] = {}
        self._circular: set[Reference] = set()

    def direct(self, value: pikepdf.Object) -> bytes:
        """The text of a dictionary in the output's numbers, after everything it refers to was copied."""
        text = value.unparse(resolved=True)
        for child in _references(text):
            self.number(child)
        return _renumber(text, self._numbers)

    def number(self, wanted: Reference) -> int:
        """Copy an object; return its number in the output."""
        open_: dict[Reference, _Source] = {}
        todo = [wanted]
        while todo:
            reference = todo[-1]
            if reference in self._numbers and reference not in open_:
                todo.pop()
                continue
            source = open_.get(reference)
            if source is None:
                source = open_[reference] = self._load(reference)
                waiting = self._waiting(source, open_)
                if waiting:
                    todo.extend(waiting)
                    continue
            todo.pop()
            del open_[reference]
            self._put(reference, source)
        return self._numbers[wanted]

    def _waiting(self, source: _Source, open_: dict[Reference, _Source]) -> list[Reference]:
        waiting = []
        for child in source.children:
            if child in self._numbers:
                continue
            if child in open_:
                # A circle: the number is given before the content is known, so this object stands for itself only.
                self._numbers[child] = self._written.output.reserve()
                self._circular.add(child)
            else:
                waiting.append(child)
        return waiting

    def _load(self, reference: Reference) -> _Source:
        found = self._source.get_object(*reference)
        if isinstance(found, pikepdf.Stream):
            data = found.read_raw_bytes()
            described = pikepdf.Dictionary(dict(found.stream_dict.items()))
            described.Length = len(data)
            text = described.unparse(resolved=True)
        else:
            data, text = None, found.unparse(resolved=True)
        return _Source(text=text, data=data, children=_references(text))

    def _put(self, reference: Reference, source: _Source) -> None:
        body = source.body(self._numbers)
        if reference in self._circular:
            self._written.output.put(self._numbers[reference], body)
        else:
            self._numbers[reference] = self._written.put_once(body, self._marks.get(reference, b""))
