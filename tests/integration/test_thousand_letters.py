"""A thousand letters of mixed shape through composing, merging and reading back."""

import random
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import Final

import pypdfium2
import pytest
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from printing.batch import BatchLetter, merge
from printing.letters import AddressMode, Letter, compose
from printing.manifest import ManifestLetter
from printing.marks import Marks
from printing.numbers import NumberRange
from printing.profiles import MM, load
from printing.readback import read_back
from tests.printing_support import A4, ADDRESS, SENDER, batch_letter, embedded_font, logo

COUNT: Final = 1000
DPI: Final = 40
REGISTERED: Final = NumberRange(kind="gs1", gtin="05412885004526", prefix="22", first=0, last=9_999_999_999)


def _document(texts: list[str], *, address: tuple[str, ...] = (), turned: bool = False) -> bytes:
    """Pages with the same font and logo as those of every other letter; ``turned``: the pages come rotated."""
    out = BytesIO()
    canvas = Canvas(out, pagesize=A4, initialFontName=embedded_font(), invariant=True)  # type: ignore[arg-type]  # the stubs say float
    for number, text in enumerate(texts):
        canvas.setFont(embedded_font(), 11)
        canvas.drawImage(ImageReader(BytesIO(logo())), 60, 760, 60, 40)
        if number == 0:
            for place, line in enumerate(address):
                canvas.drawString(91 * MM, A4[1] - (48 + 5 * place) * MM, line)
        canvas.drawString(60, 500, text)
        canvas.drawString(60, 480, "Wat hieronder staat, is in elke brief hetzelfde: één lettertype, één logo.")
        if turned:
            canvas.setPageRotation(90)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def _letters() -> Iterator[tuple[BatchLetter, Letter]]:
    chance = random.Random(20261128)
    profile = load()
    for number in range(COUNT):
        modes: tuple[AddressMode, ...] = ("page", "stamp", "adopt")
        mode = chance.choice(modes)
        registered = number % 10 == 0
        marks = Marks(registered=True, registered_number=REGISTERED.number(number)) if registered else Marks()
        # Where the letter shows its address itself, it leaves room for what the post wants above it.
        own = ADDRESS if mode == "adopt" and not registered else ()
        texts = [f"Brief {number} blad {page}" for page in range(chance.randint(1, 3))]
        attachments = [_document([f"Bijlage {number}"], turned=True)] if chance.random() < 0.2 else []
        made = compose(
            _document(texts, address=own, turned=mode == "page" and chance.random() < 0.3),
            attachments,
            address_lines=(f"{ADDRESS[0]} {number}", *ADDRESS[1:]),
            sender=SENDER,
            reference=f"VB/2026/{number:04}",
            language="nl",
            duplex=chance.random() < 0.7,
            profile=profile,
            mode=mode,
            marks=marks,
            return_receipt=registered,
        )
        letter = batch_letter(number, made)
        entry = replace(
            letter.entry,
            set=f"{number + 1:012}",
            sequence=number + 1,
            duplex=made.duplex,
            colour=bool(number % 2),
            address_mode=mode,
            registered="gs1" if registered else None,
            registered_number=marks.registered_number,
        )
        yield replace(letter, entry=entry), made


def _pixels(page: pypdfium2.PdfPage) -> bytes:
    """A page at a low resolution, with the zone of the sheet code wiped."""
    bitmap = page.render(scale=DPI / 72, grayscale=True)
    zone, scale = load().code_zone, DPI / 25.4
    picture = bytearray(bitmap.buffer)
    left, right = int(zone.left * scale) - 1, int(zone.right * scale) + 2
    for line in range(int(zone.top * scale) - 1, int(zone.bottom * scale) + 2):
        picture[line * bitmap.stride + left : line * bitmap.stride + right] = bytes(right - left)
    bitmap.close()
    page.close()
    return bytes(picture)


@pytest.fixture(scope="module")
def batch() -> tuple[bytes, tuple[ManifestLetter, ...], list[Letter]]:
    letters, made = zip(*_letters(), strict=True)
    out = BytesIO()
    entries = merge(letters, out, profile=load())
    return out.getvalue(), entries, list(made)


def test_every_page_stands_once_in_order_as_it_was_outside_of_the_code_zones(
    batch: tuple[bytes, tuple[ManifestLetter, ...], list[Letter]],
) -> None:
    merged, entries, made = batch
    opened = pypdfium2.PdfDocument(merged)
    expected = 0
    for entry, one in zip(entries, made, strict=True):
        assert entry.first_page == expected + 1
        source = pypdfium2.PdfDocument(one.pdf)
        step = 1 if one.duplex else 2
        assert entry.pages == len(source) * step
        for page in range(len(source)):
            assert _pixels(opened[expected + page * step]) == _pixels(source[page]), (entry.id, page)
            if step > 1:
                assert set(_pixels(opened[expected + page * step + 1])) == {0, 255}, "an empty back"
        source.close()
        expected += entry.pages
    assert len(opened) == expected
    opened.close()


def test_every_code_is_read_back_from_the_finished_file(
    batch: tuple[bytes, tuple[ManifestLetter, ...], list[Letter]],
) -> None:
    merged, entries, made = batch
    assert read_back(merged, entries, load()) == sum(one.sheets for one in made) + COUNT // 10


def test_what_letters_share_makes_the_file_a_tenth_of_them(
    batch: tuple[bytes, tuple[ManifestLetter, ...], list[Letter]],
) -> None:
    merged, _, made = batch
    assert len(merged) * 10 <= sum(len(one.pdf) for one in made)
