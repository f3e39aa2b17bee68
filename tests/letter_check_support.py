"""Pages with ink and text at given places in mm, for the tests of letter checks."""

from collections.abc import Callable, Sequence
from io import BytesIO

import msgspec
import pikepdf
import zxingcpp
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from printing.asked import Asked
from printing.checks import Findings
from printing.profiles import MM, Box, load
from service.domain.errors import Retryable
from service.inspection.letter_inspector import LetterInspector
from tests.printing_support import embedded_font

WIDTH, HEIGHT = 210, 297
STRICT = msgspec.structs.replace(load(), rules=msgspec.structs.replace(load().rules, reduce=False))
"""A profile that makes no page smaller: what is on it is judged as it is."""

Draw = Callable[[Canvas], None]


def page(*draws: Draw) -> bytes:
    """A page of A4 on which these draw; in points from the bottom-left corner, as PDF does."""
    return pages(draws)


def pages(*each: Sequence[Draw]) -> bytes:
    out = BytesIO()
    canvas = Canvas(out, pagesize=(WIDTH * MM, HEIGHT * MM), initialFontName=embedded_font(), invariant=True)
    for draws in each:
        for draw in draws:
            draw(canvas)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def ink(box: Box, grey: float = 0) -> Draw:
    """A filled rectangle, its box in mm from the top-left corner."""

    def draw(canvas: Canvas) -> None:
        canvas.setFillGray(grey)
        canvas.rect(box.left * MM, (HEIGHT - box.bottom) * MM, box.width * MM, box.height * MM, stroke=0, fill=1)
        canvas.setFillGray(0)

    return draw


def text(left: float, baseline: float, *lines: str, grey: float = 0, size: float = 11, unseen: bool = False) -> Draw:
    """Lines of text, 5 mm apart; in mm."""

    def draw(canvas: Canvas) -> None:
        canvas.setFillGray(grey)
        for number, line in enumerate(lines):
            written = canvas.beginText(left * MM, (HEIGHT - baseline - 5 * number) * MM)
            written.setFont(embedded_font(), size)
            written.setTextRenderMode(3 if unseen else 0)
            written.textOut(line)
            canvas.drawText(written)
        canvas.setFillGray(0)

    return draw


def code(said: str, kind: zxingcpp.BarcodeFormat, left: float, top: float, width: float, height: float) -> Draw:
    """A bar code, drawn as a picture."""
    drawn = zxingcpp.write_barcode_to_image(zxingcpp.create_barcode(said, kind), scale=6, add_quiet_zones=False)
    picture = drawn if isinstance(drawn, Image.Image) else Image.fromarray(drawn)

    def draw(canvas: Canvas) -> None:
        canvas.drawImage(ImageReader(picture), left * MM, (HEIGHT - top - height) * MM, width * MM, height * MM)

    return draw


def turned(pdf: bytes, rotate: int, offset: tuple[float, float], *, crop: bool) -> bytes:
    """The same page as it is seen, with another origin, perhaps within a larger media box, and turned by /Rotate."""
    x, y = offset
    width, height = WIDTH * MM, HEIGHT * MM
    with pikepdf.open(BytesIO(pdf)) as opened:
        for each in opened.pages:
            # What is turned clockwise by the viewer is drawn turned the other way.
            matrix = {
                0: (1, 0, 0, 1, x, y),
                90: (0, 1, -1, 0, x + height, y),
                180: (-1, 0, 0, -1, x + width, y + height),
                270: (0, -1, 1, 0, x, y + width),
            }[rotate]
            across, up = (height, width) if rotate % 180 else (width, height)
            each.contents_add(b"q %.4f %.4f %.4f %.4f %.4f %.4f cm" % matrix, prepend=True)
            each.contents_add(b"Q")
            seen = [x, y, x + across, y + up]
            each.obj.MediaBox = [x - 40, y - 30, x + across + 20, y + up + 10] if crop else seen
            if crop:
                each.obj.CropBox = seen
            each.obj.Rotate = rotate
        out = BytesIO()
        opened.save(out)
    return out.getvalue()


def judged(inspector: LetterInspector, asked: Asked, pdf: bytes) -> Findings:
    """What is found of one document.

    Raises:
        Retryable: nothing can be said of it just now.
    """
    (found,) = inspector.check([(asked, pdf)])
    if isinstance(found, Retryable):
        raise found
    return found
