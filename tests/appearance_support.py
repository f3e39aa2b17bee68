"""What the tests of visible seals share: a profile's look, odd pages, and eyes."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pikepdf
import pypdfium2
import zxingcpp
from PIL import Image, ImageChops, ImageDraw
from reportlab.pdfgen.canvas import Canvas

from signing.appearance import Appearance, Shown
from signing.revision import SignatureWriter
from signing.seal import Sealer
from tests.signing_support import InProcessAuthority, seal_key

FONT = Path(__file__).parents[1] / "printing" / "fonts" / "LiberationSans-Regular.ttf"
CODE = "K7QF-9MXD-3TPA-W2HC"
ADDRESS = "https://zending.voorbeeld.be/verify/{code}"
NOW = datetime(2026, 11, 28, 15, 30, 5, tzinfo=UTC)


@cache
def logo() -> bytes:
    """A round sign on nothing."""
    image = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    pen.ellipse((20, 20, 380, 280), fill=(20, 60, 140, 255))
    pen.polygon([(200, 60), (320, 240), (80, 240)], fill=(255, 210, 0, 255))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def appearance(**changes: Any) -> Appearance:
    """A profile's look, with changes."""
    given: dict[str, Any] = {
        "font": FONT.read_bytes(),
        "organisation": "Gemeente Voorbeeld",
        "language": "nl",
        "check_address": ADDRESS,
        "zone": ZoneInfo("Europe/Brussels"),
    }
    return Appearance(**{**given, **changes})


@dataclass(frozen=True)
class Sealed:
    """A sealed document, and what was said of its seal."""

    pdf: bytes
    shown: Shown


def sealed(pdf: bytes, look: Appearance | None = None, *, at: datetime | None = None, **changes: Any) -> Sealed:
    """The document sealed so that it can be seen; the key is valid now, not at ``NOW``."""
    told: list[Shown] = []
    given: dict[str, Any] = {"algorithm": "p-256", "stamped": False, "code": CODE, **changes}
    tsa = InProcessAuthority() if given.pop("stamped") else None
    key, code = seal_key(given.pop("algorithm")), given.pop("code")
    sealer = Sealer(key, tsa, appearance=look or appearance(), shown=told.append, **given)
    done = sealer.seal(pdf, at=at or datetime.now(UTC), code=code)
    return Sealed(done, told[0])


def prepared(pdf: bytes, look: Appearance, *, name: str | None = None, code: str | None = CODE) -> Sealed:
    """The document as it is before the signature comes, at ``NOW``."""
    stream = io.BytesIO(pdf)
    writer = SignatureWriter(seal_key().mechanism, reserved=64, field_prefix="Seal", appearance=look)
    hole = writer.prepare(stream, at=NOW, code=code, name=name)
    assert hole.shown is not None
    return Sealed(stream.getvalue(), hole.shown)


def page(
    *,
    size: tuple[float, float] = (595, 842),
    ground: str | None = None,
    text_to: float = 200,
    pages: int = 1,
    **keys: Any,
) -> bytes:
    """A page full of lines down to ``text_to`` points from its lower edge; ``keys`` are put into its dictionary."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=size, invariant=True)
    for _ in range(pages):
        if ground is not None:
            canvas.setFillColor(ground)
            canvas.rect(0, 0, *size, fill=1, stroke=0)
            canvas.setFillColor("white")
        height = size[1] - 30
        while height > text_to:
            canvas.drawString(12, height, "Besluit over de aanvraag van het verzonnen comité " * 3)
            height -= 14
        canvas.showPage()
    canvas.save()
    if not keys:
        return out.getvalue()
    with pikepdf.open(out) as pdf:
        for each in pdf.pages:
            for key, value in keys.items():
                each.obj[f"/{key}"] = value
        changed = io.BytesIO()
        pdf.save(changed)
    return changed.getvalue()


def seen(pdf: bytes, number: int = 1, *, scale: float = 2, fields: bool = True) -> Image.Image:
    """A page as pdfium shows it, with its fields or without."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        if fields:
            document.init_forms()
        image: Image.Image = document[number - 1].render(scale=scale, may_draw_forms=fields).to_pil().convert("RGB")
    finally:
        document.close()
    return image


def difference(before: bytes, after: bytes, number: int = 1) -> tuple[int, int, int, int] | None:
    """The box, in points from the top left corner as seen, outside of which both pages look the same."""
    one, other = seen(before, number, scale=1), seen(after, number, scale=1)
    return ImageChops.difference(one, other).getbbox()


def codes(image: Image.Image) -> list[str]:
    """The QR codes in a picture."""
    return [found.text for found in zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormat.QRCode)]


@contextmanager
def widget(pdf: bytes) -> Iterator[Any]:
    """The field of the seal: the last annotation of the first page that has any."""
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        yield next(each.obj.Annots[-1] for each in opened.pages if each.obj.get("/Annots"))


def described(pdf: bytes) -> str:
    """What a screen reader says of the seal."""
    with widget(pdf) as found:
        return str(found.TU)


def upright(image: Image.Image) -> bool:
    """Whether the one QR code in a picture stands upright."""
    (found,) = zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormat.QRCode)
    return abs(found.orientation) < 5
