"""Small PDFs and letters for the tests of printing."""

import os
import shutil
import subprocess
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
import pypdfium2
import pytest
from pikepdf import Array, Dictionary, Name
from PIL import Image
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

import printing.typeset
from printing.batch import BatchLetter
from printing.letters import Language, Letter, Sender, compose
from printing.manifest import ManifestLetter, read_manifest
from printing.profiles import Profile, load

A4 = (595.276, 841.89)
ROOT = Path(__file__).parent.parent
SENDER = Sender("Dienst Voorbeeld", ("Voorbeeldlaan 1", "9999 Voorbeeldegem"), ("Telefoon 000 00 00 00",))
ADDRESS = ("Mevrouw Anaïs Voorbeeld", "Kerkstraat 12 bus 3", "9999 Voorbeeldegem")
REFUSED_SAMPLES = {"libreoffice-writer-password.pdf": "PDF_ENCRYPTED"}


@cache
def embedded_font() -> str:
    """The name by which reportlab knows a font that it embeds."""
    folder = Path(printing.typeset.__file__).with_name("fonts")
    pdfmetrics.registerFont(TTFont("Plain", str(folder / "LiberationSans-Regular.ttf")))
    return "Plain"


@cache
def strong_font() -> str:
    """The bold one of the same family, as `embedded_font`."""
    folder = Path(printing.typeset.__file__).with_name("fonts")
    pdfmetrics.registerFont(TTFont("Strong", str(folder / "LiberationSans-Bold.ttf")))
    return "Strong"


@cache
def logo() -> bytes:
    """A PNG of some kilobytes."""
    out = BytesIO()
    Image.effect_noise((120, 80), 64).save(out, "PNG")
    return out.getvalue()


def document(*texts: str, size: tuple[float, float] = A4) -> bytes:
    """A PDF with one page per text."""
    out = BytesIO()
    canvas = Canvas(out, pagesize=size, initialFontName=embedded_font(), invariant=True)  # type: ignore[arg-type]  # the stubs say float
    for text in texts:
        canvas.drawString(60, size[1] - 90, text)
        canvas.rect(60, 60, size[0] / 3, size[1] / 4, fill=1)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def changed(pdf: bytes, **entries: object) -> bytes:
    """The PDF with entries set on its first page."""
    with pikepdf.open(BytesIO(pdf)) as opened:
        for key, value in entries.items():
            opened.pages[0].obj[f"/{key}"] = value
        out = BytesIO()
        opened.save(out, static_id=True)
    return out.getvalue()


def form(value: str, *, appearance: str | None = None, flags: int = 4, anew: bool = False, kind: str = "Tx") -> bytes:
    """A PDF with one form field; ``appearance`` is the text that its appearance shows, None for a field without one."""
    with pikepdf.open(BytesIO(document("Formulier"))) as pdf:
        font = pdf.make_indirect(
            Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica, Encoding=Name.WinAnsiEncoding)
        )
        resources = Dictionary(Font=Dictionary(Helv=font))
        widget = pdf.make_indirect(
            Dictionary(
                Type=Name.Annot,
                Subtype=Name.Widget,
                FT=Name("/" + kind),
                T="veld",
                V=value,
                DA=b"/Helv 12 Tf 0 g",
                Rect=[60, 600, 320, 620],
                F=flags,
            )
        )
        if appearance is not None:
            widget.AP = Dictionary(
                N=pdf.make_stream(
                    b"BT /Helv 12 Tf 2 4 Td (%s) Tj ET" % appearance.encode("cp1252"),
                    Type=Name.XObject,
                    Subtype=Name.Form,
                    BBox=[0, 0, 260, 20],
                    Resources=resources,
                )
            )
        pdf.pages[0].obj.Annots = Array([widget])
        pdf.Root.AcroForm = Dictionary(Fields=[widget], DR=resources, DA=b"/Helv 12 Tf 0 g", NeedAppearances=anew)
        out = BytesIO()
        pdf.save(out, static_id=True)
    return out.getvalue()


def letter(
    pdf: bytes,
    *attachments: bytes,
    duplex: bool = True,
    language: Language = "nl",
    address: tuple[str, ...] = ADDRESS,
    sender: Sender = SENDER,
    reference: str = "VB/2026/0001",
    profile: Profile | None = None,
    **more: Any,
) -> Letter:
    return compose(
        pdf,
        attachments,
        address_lines=address,
        sender=sender,
        reference=reference,
        language=language,
        duplex=duplex,
        profile=profile or load(),
        **more,
    )


def batch_letter(number: int, made: Letter) -> BatchLetter:
    entry = ManifestLetter(
        id=f"let_{number}",
        attempt=1,
        sheets=made.sheets,
        grams=made.grams,
        envelope=made.envelope or "",
        product="normal",
        address_lines=ADDRESS,
        return_address=SENDER.return_address,
        undeliverable="return",
        content_sha256=made.sha256,
    )
    return BatchLetter(entry, made.pdf, made.duplex)


def texts_of(pdf: bytes) -> list[str]:
    """The text of every page as pdfium reads it, lines joined by blanks."""
    opened = pypdfium2.PdfDocument(pdf)
    try:
        return [" ".join(page.get_textpage().get_text_range().split()) for page in opened]
    finally:
        opened.close()


def picture(pdf: bytes, page: int, dpi: int = 72) -> Image.Image:
    """One page (from 0) as grey pixels."""
    opened = pypdfium2.PdfDocument(pdf)
    try:
        rendered: Image.Image = opened[page].render(scale=dpi / 72, grayscale=True).to_pil()
        return rendered.convert("L")
    finally:
        opened.close()


def dark_box(image: Image.Image) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of all that is not white, in pixels."""
    return image.point(lambda value: 255 if value < 200 else 0).getbbox()


def check_with_qpdf(pdf: bytes, folder: Path) -> None:
    """Let qpdf judge the file; without qpdf the test is skipped, and fails where CI is set."""
    qpdf = shutil.which("qpdf")
    if qpdf is None:
        if os.environ.get("CI"):
            pytest.fail("qpdf is not installed")
        pytest.skip("qpdf is not installed")
    path = folder / "checked.pdf"
    path.write_bytes(pdf)
    done = subprocess.run([qpdf, "--check", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def real_documents() -> list[Path]:
    """The documents of the tests, and the samples beside the checkout where there are some."""
    folders = (ROOT / "tests" / "documents", ROOT.parent / "shared" / "samples")
    return [path for folder in folders for path in sorted(folder.glob("*.pdf"))]


def printed_in(folder: Path) -> list[str]:
    """The deliveries of every letter that the print house with this folder was ever given, as often as it was."""
    manifests = [read_manifest(BytesIO(file.read_bytes())) for file in sorted(folder.glob("*.ZIP"))]
    return sorted(each.id.rsplit("-", 1)[0] for manifest in manifests for each in manifest.letters)
