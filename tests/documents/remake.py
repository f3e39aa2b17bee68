"""Makes the documents beside it anew: ``python tests/documents/remake.py``.

Needs LibreOffice Writer, Chromium, Ghostscript, python3-cairo and qpdf from Debian, and the fonts "Liberation"; from
the development requirements Pillow, pikepdf, pypdfium2, pyHanko and reportlab. Times and keys differ at each run, so
the files do too; what they show does not.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pikepdf
import pypdfium2
import typst
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID
from PIL import Image, ImageFilter
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields, signers
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "sources"
FONT = Path("/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf")
sys.path.insert(0, str(HERE.parents[1]))

from tests.documents.sources import texts  # noqa: E402 - found through the path just added


def run(*command: str | Path) -> None:
    """Run a program, and show what it says only when it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} failed:\n{done.stdout}\n{done.stderr}")


def libreoffice(source: str, target: Path, scratch: Path, **options: object) -> None:
    """Turn flat OpenDocument text into PDF; `options` are those of LibreOffice's PDF export."""
    flat = scratch / f"{target.stem}.fodt"
    flat.write_text(source, encoding="utf-8")
    kinds = {bool: "boolean", int: "long"}
    chosen = ",".join(
        f'"{name}":{{"type":"{kinds[type(value)]}","value":"{str(value).lower()}"}}' for name, value in options.items()
    )
    profile = f"-env:UserInstallation=file://{scratch}/profile"
    run(
        "soffice",
        profile,
        "--headless",
        "--convert-to",
        f"pdf:writer_pdf_Export:{{{chosen}}}",
        "--outdir",
        scratch,
        flat,
    )
    shutil.move(scratch / f"{target.stem}.pdf", target)


def chromium(page: Path, target: Path, scratch: Path) -> None:
    """Print a web page."""
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    quiet = ["--disable-gpu", "--disable-background-networking", f"--user-data-dir={scratch}/chromium"]
    run(
        "chromium",
        "--headless",
        *as_root,
        *quiet,
        "--no-pdf-header-footer",
        f"--print-to-pdf={target}",
        f"file://{page}",
    )


def scan(source: Path, target: Path) -> None:
    """Pages as a scanner gives them: grey pictures, a little crooked, with noise and no text."""
    sheets = []
    document = pypdfium2.PdfDocument(source)
    for number in range(min(2, len(document))):
        sheet = document[number].render(scale=110 / 72).to_pil().convert("L")
        sheet = sheet.rotate(0.6 - number, resample=Image.Resampling.BICUBIC, fillcolor=246)
        noise = Image.effect_noise(sheet.size, 18)
        sheets.append(Image.blend(sheet, noise, 0.1).filter(ImageFilter.GaussianBlur(0.5)))
    document.close()
    sheets[0].save(target, "PDF", save_all=True, append_images=sheets[1:], resolution=110, quality=45)


def sign(source: Path, target: Path) -> None:
    """Sign with a key that exists only during this call."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Notariskantoor Verzinsel (fictief)")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * 30))
        .add_extension(x509.KeyUsage(True, True, *[False] * 7), critical=True)
        .sign(key, hashes.SHA256())
    )
    pack = pkcs12.serialize_key_and_certificates(b"k", key, certificate, None, serialization.NoEncryption())
    signer = signers.SimpleSigner.load_pkcs12_data(pack, other_certs=[], passphrase=None)
    if signer is None:
        raise SystemExit("pyHanko cannot use the key")
    about = signers.PdfSignatureMetadata(field_name="Handtekening", reason="Voor akkoord (fictief)", location="Brussel")
    field = fields.SigFieldSpec("Handtekening", box=(70, 90, 270, 140))
    signed = signers.PdfSigner(about, signer, new_field_spec=field).sign_pdf(
        IncrementalPdfFileWriter(BytesIO(source.read_bytes()))
    )
    target.write_bytes(signed.getvalue())


def fill(source: Path, target: Path) -> None:
    """Fill the form's fields, with appearances that show the words."""
    words = {
        "nom": "Anatole Imaginaire",
        "adresse": "Rue du Moulin 8 bte 12, 9998 Modèleville",
        "date": "1er janvier 2027",
    }
    with pikepdf.open(source) as pdf:
        for field in pdf.acroform.fields:
            field.set_value(words[field.fully_qualified_name])
        pdf.generate_appearance_streams()
        pdf.save(target)


def turned(source: Path, target: Path) -> None:
    """The second page turned by its /Rotate key, as scanners and drawing programs do."""
    with pikepdf.open(source) as pdf:
        pdf.pages[1].rotate(90, relative=False)
        pdf.save(target)


def receipt(target: Path) -> None:
    """A receipt made with reportlab, the font embedded."""
    pdfmetrics.registerFont(TTFont("Liberation", FONT))
    canvas = Canvas(str(target), pagesize=A4, initialFontName="Liberation")  # type: ignore[arg-type]
    canvas.setTitle("Ontvangstbewijs (fictief)")
    lines = (
        (16, "Ontvangstbewijs"),
        (11, "Griffie van het Fictieve Vredegerecht · 9999 Voorbeeldegem"),
        (11, "Wij ontvingen op 23 november 2026 uw verzoekschrift met drie bijlagen."),
        (11, "Rolnummer: 26A417. Bewaar dit bewijs tot de zaak is afgesloten."),
        (8, "Fictief document, gemaakt om Zending te beproeven; geen enkele juridische waarde."),
    )
    height = 255 * mm
    for size, words in lines:
        canvas.setFont("Liberation", size)
        canvas.drawString(25 * mm, height, words)
        height -= 12 * mm
    canvas.save()


def attest(target: Path, words: dict[str, object], standard: str) -> None:
    """An attestation set by typst as PDF/A; with data attached where the words bring some."""
    target.write_bytes(
        typst.compile(
            (SOURCES / "attest.typ").read_bytes(),
            root=str(SOURCES),
            font_paths=typst.Fonts(include_system_fonts=False, font_paths=[str(FONT.parent)]),
            format="pdf",
            sys_inputs={"words": json.dumps(words)},
            pdf_standards=[standard],
            timestamp=datetime(2026, 11, 23, 9, tzinfo=UTC),
        )
    )


def attach(source: Path, target: Path, scratch: Path) -> None:
    """A list of documents attached inside the letter, by qpdf."""
    pieces = scratch / "pieces.csv"
    pieces.write_text("numero;piece;date\n1;Demande;2026-10-02\n2;Facture de mazout;2026-10-14\n", encoding="utf-8")
    run("qpdf", source, "--add-attachment", pieces, "--mimetype=text/csv", "--", target)


def main() -> None:
    """Make them all."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        libreoffice(texts.permit_nl(), HERE / "permit-nl-libreoffice.pdf", scratch, UseTaggedPDF=True)
        libreoffice(texts.permit_nl(), HERE / "permit-nl-pdfa.pdf", scratch, SelectPdfVersion=1)
        libreoffice(texts.annual_report_nl(), HERE / "report-60-pages-nl.pdf", scratch)
        libreoffice(texts.summons_fr(), scratch / "summons.pdf", scratch / ".")
        libreoffice(texts.form_fr(), scratch / "form.pdf", scratch, ExportFormFields=True)
        chromium(SOURCES / "letter-fr.html", HERE / "letter-fr-chromium.pdf", scratch)
        notice = HERE / "notice-nl-ghostscript.pdf"
        run("gs", "-q", "-dSAFER", "-sDEVICE=pdfwrite", f"-sOutputFile={notice}", SOURCES / "notice-nl.ps")
        run("/usr/bin/python3", SOURCES / "tables_cairo.py", scratch / "tables.pdf")
        turned(scratch / "tables.pdf", HERE / "landscape-and-turned-nl-cairo.pdf")
        attach(scratch / "summons.pdf", HERE / "attachment-fr.pdf", scratch)
        fill(scratch / "form.pdf", HERE / "form-filled-fr.pdf")
        sign(HERE / "notice-nl-ghostscript.pdf", HERE / "signed-nl.pdf")
        scan(HERE / "letter-fr-chromium.pdf", HERE / "scan-fr.pdf")
        receipt(HERE / "receipt-nl-reportlab.pdf")
        attest(HERE / "attest-nl-pdfa2b.pdf", texts.attest_nl(), "a-2b")
        attest(HERE / "attest-de-pdfa3b.pdf", texts.attest_de(), "a-3b")
    for made in sorted(HERE.glob("*.pdf")):
        print(f"{made.stat().st_size:8d}  {made.name}")  # noqa: T201 - a command prints


if __name__ == "__main__":
    main()
