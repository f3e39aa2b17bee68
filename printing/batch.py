"""Many letters in one file for the print house."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from io import BytesIO
from typing import BinaryIO, Final

import pikepdf

from printing.codes import draw_sheet_code, packed
from printing.errors import BatchRefused, Problem
from printing.manifest import ManifestLetter, code_of
from printing.pages import hidden_layers, printed_part, visible_box
from printing.pdf_output import ObjectCopy, PdfOutput, Written
from printing.profiles import Profile

_FAN_OUT: Final = 50
_A4: Final = b"[ 0 0 595.276 841.89 ]"
_SAVE: Final = b"<< /Length 2 >>\nstream\nq\n\nendstream"
_EXACT: Final = 1.0  # points


@dataclass(frozen=True)
class BatchLetter:
    """A letter that was frozen into a batch.

    Attributes:
        entry: what the manifest says of it; ``file``, ``first_page`` and ``pages`` are filled in while merging.
        read: the PDF, or how to get it; called once, when the letter's turn comes.
        duplex: the letter was composed for both sides.
    """

    entry: ManifestLetter
    read: bytes | Callable[[], bytes]
    duplex: bool


def merge(
    letters: Iterable[BatchLetter],
    out: BinaryIO,
    *,
    file: str = "letters.pdf",
    duplex: bool = True,
    profile: Profile | None = None,
) -> tuple[ManifestLetter, ...]:
    """Write all letters into one PDF: every page once, in the order given, each letter on a fresh sheet.

    The fronts of a letter that has a set number get their sheet codes; otherwise no page is changed.

    One letter is held in memory at a time. The same letters give the same bytes, so a frozen batch can be made again.

    Args:
        letters: in the order in which they are printed.
        out: is only appended to.
        file: the name of this PDF in the manifest.
        duplex: how the file will be printed. A letter composed for one side gets an empty back behind every page in a
            file that is printed on both sides, which is right whatever the mixture.
        profile: says where sheet codes stand; needed for letters that have a set number.

    Returns:
        The manifest's entries with first page, pages and file.

    Raises:
        BatchRefused: a letter's content is not what was frozen (``CONTENT_CHANGED``), cannot be read
            (``PDF_UNREADABLE``), has another number of sheets than was frozen (``SHEETS_DIFFER``), was composed for
            both sides and would be printed on one (``DUPLEX_MIXED``), or is to have sheet codes and a front of it is
            no upright A4 (``PAGE_SIZE``).
    """
    writer = BatchWriter(out, file=file, duplex=duplex, profile=profile)
    entries = tuple(writer.add(letter) for letter in letters)
    writer.finish()
    return entries


class BatchWriter:
    """The merging of one file, letter by letter, for a caller who watches its size."""

    def __init__(self, out: BinaryIO, *, file: str, duplex: bool, profile: Profile | None = None) -> None:
        """Begin a file; arguments as in `merge`."""
        self._output = PdfOutput(out)
        self._written = Written(self._output)
        self._file = file
        self._duplex = duplex
        self._profile = profile
        self._nodes: list[tuple[int, list[int]]] = []
        self._layers: dict[int, bool] = {}
        self.pages = 0

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._output.size

    def add(self, letter: BatchLetter) -> ManifestLetter:
        """Append one letter; raises as `merge` says."""
        data = letter.read if isinstance(letter.read, bytes) else letter.read()
        if hashlib.sha256(data).hexdigest() != letter.entry.content_sha256:
            raise BatchRefused(Problem("CONTENT_CHANGED", f"Letter {letter.entry.id} is not what was frozen."))
        if letter.duplex and not self._duplex:
            raise BatchRefused(Problem("DUPLEX_MIXED", f"Letter {letter.entry.id} is made for both sides."))
        first = self.pages + 1
        try:
            with pikepdf.open(BytesIO(data)) as pdf:
                self._copy_pages(pdf, letter)
        except pikepdf.PdfError as error:
            raise BatchRefused(Problem("PDF_UNREADABLE", f"Letter {letter.entry.id} cannot be read.")) from error
        pages = self.pages + 1 - first
        sheets = pages // 2 if self._duplex else pages
        if sheets != letter.entry.sheets:
            raise BatchRefused(
                Problem("SHEETS_DIFFER", f"Letter {letter.entry.id} has {sheets} sheets, not {letter.entry.sheets}.")
            )
        return replace(letter.entry, file=self._file, first_page=first, pages=pages)

    def _copy_pages(self, pdf: pikepdf.Pdf, letter: BatchLetter) -> None:
        blank_backs = self._duplex and not letter.duplex
        first = self.pages
        groups, hidden = hidden_layers(pdf)
        off = {group.objgen for group in hidden}
        marks = {group.objgen: b"off" if group.objgen in off else b"on" for group in groups}
        copy = ObjectCopy(pdf, self._written, marks)
        for page in pdf.pages:
            printed = printed_part(page)
            if letter.entry.set is None or (self._duplex and self.pages % 2):
                self._put_page(copy.direct(printed))
            else:
                sheet = (self.pages - first) // (2 if self._duplex else 1) + 1
                self._put_page(self._stamped(copy, printed, letter.entry, sheet))
            if blank_backs:
                self._put_blank()
        if self._duplex and self.pages % 2:
            self._put_blank()
        for reference in marks:
            self._layers[copy.number(reference)] = reference in off

    def _stamped(self, copy: ObjectCopy, page: pikepdf.Dictionary, entry: ManifestLetter, sheet: int) -> bytes:
        """The page with its sheet code after its own content, in a graphics state that the content cannot change."""
        if self._profile is None:
            raise ValueError("sheet codes need a profile that says where they stand")
        if not _is_upright(page):
            raise BatchRefused(Problem("PAGE_SIZE", f"A front of letter {entry.id} is no upright A4."))
        if sheet > entry.sheets:
            raise BatchRefused(
                Problem("SHEETS_DIFFER", f"Letter {entry.id} has more sheets than the {entry.sheets} that were frozen.")
            )
        code = code_of(entry, sheet)
        found = page.get("/Contents", pikepdf.Array())
        streams = found.as_list() if isinstance(found, pikepdf.Array) else [found]
        own = [copy.number(stream.objgen) for stream in streams if isinstance(stream, pikepdf.Stream)]
        drawn = draw_sheet_code(code.payload, self._profile.code_zone, self._profile.page.height)
        if own:
            own.insert(0, self._written.put_once(_SAVE))
            drawn = b"Q " + drawn
        number = self._output.reserve()
        self._output.put(number, packed(drawn))
        if "/Contents" in page:
            del page["/Contents"]
        listed = b" ".join(b"%d 0 R" % each for each in (*own, number))
        return b"%s /Contents [ %s ] >>" % (copy.direct(page).removesuffix(b">>"), listed)

    def _put_blank(self) -> None:
        self._put_page(b"<< /MediaBox %s /Resources << >> /Type /Page >>" % _A4)

    def _put_page(self, body: bytes) -> None:
        if not self._nodes or len(self._nodes[-1][1]) == _FAN_OUT:
            self._nodes.append((self._output.reserve(), []))
        node, leaves = self._nodes[-1]
        number = self._output.reserve()
        self._output.put(number, b"%s /Parent %d 0 R >>" % (body.removesuffix(b">>"), node))
        leaves.append(number)
        self.pages += 1

    def finish(self) -> None:
        """Write the page tree and the rest; the file is complete then.

        Raises:
            BatchRefused: ``BATCH_EMPTY``, there was no letter.
        """
        if not self.pages:
            raise BatchRefused(Problem("BATCH_EMPTY", "A batch has at least one letter."))
        catalog = b"<< /Type /Catalog /Pages %d 0 R" % self._put_tree()
        if self._layers:
            every = b" ".join(b"%d 0 R" % number for number in self._layers)
            off = b" ".join(b"%d 0 R" % number for number, hidden in self._layers.items() if hidden)
            catalog += b" /OCProperties << /OCGs [ %s ] /D << /Order [ ] /OFF [ %s ] >> >>" % (every, off)
        root = self._output.reserve()
        self._output.put(root, catalog + b" >>")
        self._output.finish(root)

    def _put_tree(self) -> int:
        level = [(number, leaves, len(leaves)) for number, leaves in self._nodes]
        while len(level) > 1:
            above: list[tuple[int, list[int], int]] = []
            for start in range(0, len(level), _FAN_OUT):
                children = level[start : start + _FAN_OUT]
                parent = self._output.reserve()
                for number, kids, count in children:
                    self._put_node(number, kids, count, parent)
                above.append((parent, [number for number, _, _ in children], sum(count for _, _, count in children)))
            level = above
        number, kids, count = level[0]
        self._put_node(number, kids, count, None)
        return number

    def _put_node(self, number: int, kids: list[int], count: int, parent: int | None) -> None:
        up = b"" if parent is None else b" /Parent %d 0 R" % parent
        listed = b" ".join(b"%d 0 R" % kid for kid in kids)
        self._output.put(number, b"<< /Type /Pages /Count %d /Kids [ %s ]%s >>" % (count, listed, up))


def _is_upright(page: pikepdf.Dictionary) -> bool:
    if int(page.get("/Rotate", 0)) % 360 or float(page.get("/UserUnit", 1)) != 1:
        return False
    return all(
        abs(value - wanted) < _EXACT for value, wanted in zip(visible_box(page), (0, 0, 595.276, 841.89), strict=True)
    )
