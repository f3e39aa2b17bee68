"""What is sealed when seals are measured."""

import io
import random
from pathlib import Path

import pikepdf
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas


def documents() -> list[bytes]:
    """Twelve letters of 32 to 155 KB: text, tables and pictures, with classic and with compressed cross-references."""
    chance = random.Random(20261123)
    made = []
    for number in range(6):
        plain = _letter(chance, pages=1 + number // 2, picture=100 + 20 * number)
        out = io.BytesIO()
        with pikepdf.open(io.BytesIO(plain)) as opened:
            opened.save(out, object_stream_mode=pikepdf.ObjectStreamMode.generate)
        made += [plain, out.getvalue()]
    return made


def _letter(chance: random.Random, *, pages: int, picture: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    canvas = Canvas(out, pageCompression=1, invariant=True)
    noise = Image.frombytes("RGB", (picture, picture), chance.randbytes(picture * picture * 3))
    canvas.drawImage(ImageReader(noise), 60, 600, 120, 120)
    for _ in range(pages):
        for line in range(45):
            canvas.drawString(60, 560 - 12 * line, " ".join(str(chance.randrange(10**6)) for _ in range(9)))
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def large(target: Path, *, pages: int, bytes_a_page: int) -> None:
    """A document of many pages, each with so much content."""
    chance = random.Random(pages)
    with pikepdf.new() as made:
        for _ in range(pages):
            page = made.add_blank_page()
            page.Contents = pikepdf.Stream(made, b"% " + chance.randbytes(bytes_a_page // 2 - 1).hex().encode())
        made.save(target, compress_streams=False)
