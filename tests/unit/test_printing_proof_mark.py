"""The mark of a proof: on every page, readable, and over nothing that is judged or read by a machine."""

from dataclasses import replace
from io import BytesIO

import pypdfium2
import pytest
from PIL import Image, ImageChops

from printing.batch import merge
from printing.profiles import Box, load, names
from printing.proof_mark import mark, place
from printing.readback import read_back
from tests.printing_support import batch_letter, document, letter

DOTS = 150


def pages(pdf: bytes) -> list[Image.Image]:
    opened = pypdfium2.PdfDocument(pdf)
    try:
        return [page.render(scale=DOTS / 72, grayscale=True).to_pil() for page in opened]
    finally:
        opened.close()


def cut_out(picture: Image.Image, box: Box, *, margin: float = 0.0) -> tuple[int, int, int, int]:
    scale = DOTS / 25.4
    edges = (box.left - margin, box.top - margin, box.right + margin, box.bottom + margin)
    return tuple(round(edge * scale) for edge in edges)  # type: ignore[return-value]


@pytest.mark.parametrize("name", sorted(names()))
def test_its_place_lies_in_a_margin_beside_codes_and_window(name: str) -> None:
    profile = load(name)
    strip = place(profile)
    zones = [profile.printable, profile.window_reach, profile.code_zone, profile.mail_id_zone]
    assert not any(strip.meets(zone) for zone in zones if zone is not None)
    assert strip.within(Box(0, 0, profile.page.width, profile.page.height))
    assert strip.width >= 7
    assert strip.height >= 100


def test_every_page_bears_it_and_nothing_else_changes() -> None:
    profile = load()
    made = batch_letter(0, letter(document("Eerste", "twee", "drie")))
    made = replace(made, entry=replace(made.entry, set="0" * 12))
    out = BytesIO()
    entries = merge([made], out, profile=profile)
    plain, strip = out.getvalue(), place(profile)
    marked = mark(plain, profile)
    before, after = pages(plain), pages(marked)
    assert len(before) == len(after) == entries[0].pages
    assert len(after) > 3, "address page and a blank back are among them"
    opened = pypdfium2.PdfDocument(marked)
    for number, (one, other) in enumerate(zip(before, after, strict=True)):
        changed = ImageChops.difference(one, other).getbbox()
        assert changed is not None, f"page {number} bears no mark"
        left, top, right, bottom = cut_out(one, strip, margin=0.2)
        assert left <= changed[0] <= changed[2] <= right
        assert top <= changed[1] <= changed[3] <= bottom
        shown = other.crop(cut_out(other, strip))
        white = sum(shown.histogram()[200:]) / (shown.width * shown.height)
        assert 0.1 < white < 0.6, "words that can be read on black"
        said = opened[number].get_textpage().get_text_bounded()
        assert all(word in said for word in ("PROOF", "PROEFDRUK", "ÉPREUVE", "PROBEDRUCK"))
    opened.close()
    assert read_back(marked, entries, profile) == read_back(plain, entries, profile) > 0
