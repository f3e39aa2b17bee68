"""Letters with nobody's data, as the documents show them."""

from dataclasses import replace
from functools import cache
from io import BytesIO
from typing import Final

import pypdfium2
from PIL import Image, ImageDraw, ImageFont
from reportlab.pdfgen.canvas import Canvas

from printing.batch import BatchLetter, merge
from printing.letters import Extras, Invitation, Letter, Marks, Sender, compose
from printing.logo import Logo, taken_in
from printing.manifest import ManifestLetter
from printing.profiles import MM, load

SENDER: Final = Sender(
    "Gemeente Voorbeeldegem (fictief)",
    ("Gemeente Voorbeeldegem", "Dorpsplein 1", "9990 Voorbeeldegem"),
    ("gemeente@voorbeeld.test",),
)
"""Without a logo: `pictures` adds one."""
ADDRESS: Final = ("Mevrouw Anaïs Voorbeeld", "Kerkstraat 12 bus 3", "9999 Voorbeeldegem")
NUMBER: Final = "010541288500452621221234567890"
_DPI: Final = 80


def pictures() -> dict[str, bytes]:
    """Fronts of letters as they leave for the print house, by the names of their pictures."""
    check = "https://post.voorbeeld.test/verify"
    invitation = Invitation("7Q4K-ZZ2P-9M3T", "https://post.voorbeeld.test/mailbox/activation", "28 februari 2027")
    return {
        "letter-page.png": _front(Marks(), Extras(check, invitation=invitation)),
        "letter-registered.png": _front(
            Marks(registered=True, registered_number=NUMBER), Extras(check, undeliverable="destroy")
        ),
    }


@cache
def logo(letters: str = "V", ink: str = "#1d5c43") -> bytes:
    """A shield that nobody bears, as a PNG."""
    image = Image.new("RGB", (480, 480), "white")
    draw = ImageDraw.Draw(image)
    draw.polygon([(40, 20), (440, 20), (440, 250), (240, 460), (40, 250)], fill=ink)
    draw.polygon([(75, 55), (405, 55), (405, 235), (240, 410), (75, 235)], fill="white")
    draw.text((240, 205), letters, fill=ink, font=ImageFont.load_default(230), anchor="mm")
    out = BytesIO()
    image.save(out, "PNG", optimize=True)
    return taken_in(out.getvalue())


def blank_document() -> bytes:
    """An empty page."""
    out = BytesIO()
    canvas = Canvas(out, pagesize=(210 * MM, 297 * MM), invariant=True)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def _front(marks: Marks, extras: Extras) -> bytes:
    made = compose(
        blank_document(),
        [blank_document()],
        address_lines=ADDRESS,
        sender=replace(SENDER, logo=Logo(logo())),
        reference="2026-VB-000123",
        language="nl",
        duplex=True,
        profile=load(),
        marks=marks,
        extras=extras,
        return_receipt=marks.registered,
    )
    opened = pypdfium2.PdfDocument(_merged(made, marks))
    try:
        out = BytesIO()
        opened[0].render(scale=_DPI / 72, grayscale=True).to_pil().quantize(16).save(out, "PNG", optimize=True)
        return out.getvalue()
    finally:
        opened.close()


def _merged(made: Letter, marks: Marks) -> bytes:
    entry = ManifestLetter(
        id="dlv_019ab1c2d3e47f6081a2b3c4d5e6f708-1",
        attempt=1,
        sheets=made.sheets,
        grams=made.grams,
        envelope=made.envelope or "",
        product="registered_letter" if marks.registered else "letter",
        address_lines=ADDRESS,
        return_address=SENDER.return_address,
        undeliverable="return",
        content_sha256=made.sha256,
        registered="registered" if marks.registered else None,
        registered_number=marks.registered_number,
        set="000000004711",
        sequence=17,
    )
    out = BytesIO()
    merge([BatchLetter(entry, made.pdf, made.duplex)], out, profile=load())
    return out.getvalue()
