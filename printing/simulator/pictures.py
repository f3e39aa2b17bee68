"""The pictures that a print house makes: posting proofs (PDF), return receipts and returned letters (PNG)."""

from datetime import datetime
from io import BytesIO

import zxingcpp
from PIL import Image, ImageDraw
from reportlab.lib.pagesizes import A5
from reportlab.pdfgen.canvas import Canvas

from printing.codes import read_payload
from printing.exchange import ScanOf
from printing.manifest import ManifestLetter
from printing.simulator.intake import Package, front

_WHITE, _BLACK = 255, 0


def make(what: ScanOf, package: Package, letter: ManifestLetter, at: datetime) -> tuple[str, bytes]:
    """The ending and the bytes of a picture; the same letter at the same time gives the same."""
    if what is ScanOf.POSTING_PROOF:
        return "pdf", _posting_proof(letter, at)
    if what is ScanOf.RETURN_RECEIPT:
        return "png", _return_receipt(letter, at)
    return "png", front(package, letter)


def sheet_code(picture: bytes) -> str | None:
    """What the sheet code on a scanned picture says, read as a scanner reads it; None when there is none."""
    with Image.open(BytesIO(picture)) as opened:
        found = zxingcpp.read_barcodes(opened, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.DataMatrix))
    return next((code.text for code in found if read_payload(code.text) is not None), None)


def _posting_proof(letter: ManifestLetter, at: datetime) -> bytes:
    out = BytesIO()
    canvas = Canvas(out, pagesize=A5, invariant=True)
    lines = ["PROOF OF POSTING (simulated)", f"{at:%Y-%m-%d %H:%M}", f"Letter {letter.id}, attempt {letter.attempt}"]
    lines += [f"Number {letter.registered_number or 'given by the post'}", f"{letter.grams} g, {letter.sheets} sheets"]
    for number, line in enumerate(lines):
        canvas.drawString(40, A5[1] - 60 - 18 * number, line)
    canvas.save()
    return out.getvalue()


def _return_receipt(letter: ManifestLetter, at: datetime) -> bytes:
    picture = Image.new("L", (840, 600), _WHITE)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((20, 20, 820, 580), outline=_BLACK, width=3)
    lines = ("RETURN RECEIPT (simulated)", f"{at:%Y-%m-%d %H:%M}", f"Letter {letter.id}", "Received by the addressee:")
    for number, line in enumerate(lines):
        draw.text((50, 50 + 60 * number), line, fill=_BLACK, font_size=28)
    # A signature that is one letter's own.
    points = [(60 + 12 * place, 420 + ord(sign) % 40 * 3) for place, sign in enumerate(letter.id[-40:])]
    draw.line(points, fill=_BLACK, width=4, joint="curve")
    out = BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
