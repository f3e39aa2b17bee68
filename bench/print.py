"""What letters cost: the whole way from a document to a file whose codes were read back; checking; merging; and peers.

Letters have three pages of text, two fonts and a logo, each letter in a file of its own, as senders make them.
"""

import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pdfplumber
import pikepdf
import pypdf
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

import printing
from bench.measure import Result, cost, options, rate, report, time_in_turns
from printing.batch import BatchLetter, merge
from printing.checks import check_document
from printing.letters import Letter, Sender, compose
from printing.manifest import ManifestLetter
from printing.profiles import MM, load
from printing.readback import read_back

PAGES = 3
CPU, WALL = "ms CPU/page", "s"
A4 = (595.276, 841.89)
SENDER = Sender("Dienst Voorbeeld", ("Voorbeeldlaan 1", "9999 Voorbeeldegem"))
ADDRESS = ("Anaïs Voorbeeld", "Kerkstraat 12 bus 3", "9999 Voorbeeldegem")
SENTENCE = "Deze brief is verzonnen om te meten wat drukken kost; wie hem leest, hoeft niets te doen. "
FOLDER = Path(printing.__file__).with_name("fonts")
PROBE = "--merge-in-a-process"
PROGRAMS = frozenset({"qpdf", "pdfunite"})


def document(number: int, *, darkest: int = 180) -> bytes:
    """A letter of three pages, with its own embedded subset of the font and its own copy of the logo."""
    out = BytesIO()
    canvas = Canvas(out, pagesize=A4, initialFontName=font(), invariant=True)  # type: ignore[arg-type]  # the stubs say float
    for page in range(PAGES):
        canvas.setFont(font(), 11)
        if page == 0:
            canvas.setFont("Strong", 11)
            canvas.drawString(60, 590, "Beslissing over uw aanvraag, met wat u daarna nog kunt doen")
            canvas.setFont("Plain", 11)
        top = 770 if page else 560  # the first page leaves room for the address
        canvas.drawImage(ImageReader(BytesIO(logo(darkest))), 60, 790, 80, 32)
        for line, baseline in enumerate(range(top, 60, -15)):
            canvas.drawString(60, baseline, f"{SENTENCE[:72]}{number:05}/{page}/{line:02}")
        canvas.showPage()
    canvas.save()
    return out.getvalue()


@cache
def font() -> str:
    for name, weight in (("Plain", "Regular"), ("Strong", "Bold")):
        pdfmetrics.registerFont(TTFont(name, str(FOLDER / f"LiberationSans-{weight}.ttf")))
    return "Plain"


@cache
def logo(darkest: int) -> bytes:
    """A coat of arms of 20 kB, in greys from that one to white: a dark one is looked at closely for codes."""
    out, grain = BytesIO(), random.Random(1)
    flat = Image.linear_gradient("L").resize((120, 60))
    rows = bytearray()
    for grey in flat.tobytes():
        shade = darkest + grey * (255 - darkest) // 255
        rows += bytes(max(0, shade - grain.randrange(16)) for _ in range(3))
    Image.frombytes("RGB", flat.size, bytes(rows)).save(out, "PNG")
    return out.getvalue()


def write_documents(folder: Path, count: int) -> None:
    """So many different letters as files: nothing of one stands in another but the font and the logo."""
    for number in range(count):
        (folder / f"in-{number:05}.pdf").write_bytes(document(number))


def entry_of(number: int, pdf: bytes, sheets: int, *, codes: bool) -> ManifestLetter:
    return ManifestLetter(
        id=f"letter-{number}",
        attempt=1,
        sheets=sheets,
        grams=20,
        envelope="C5/6",
        product="letter",
        address_lines=ADDRESS,
        return_address=SENDER.return_address,
        undeliverable="return",
        content_sha256=sha256(pdf).hexdigest(),
        duplex=False,
        set=f"{number + 1:012}" if codes else None,
        sequence=number + 1,
    )


def raw_letters(files: Sequence[Path], *, codes: bool) -> Iterator[BatchLetter]:
    """The documents as letters: each is read, hashed and merged."""
    for number, file in enumerate(files):
        pdf = file.read_bytes()
        yield BatchLetter(entry_of(number, pdf, PAGES, codes=codes), pdf, duplex=False)


def pipeline(pdfs: Sequence[bytes]) -> int:
    """Open, check, stamp the address, check the letter, merge with sheet codes, read every code back."""
    profile, letters = load(), []
    for number, pdf in enumerate(pdfs):
        found = check_document(pdf, profile, "stamp", duplex=False)
        assert not found.problems, found.problems
        made: Letter = compose(
            pdf, (), address_lines=ADDRESS, sender=SENDER, reference=f"{number}", language="nl", duplex=False,
            profile=profile, mode="stamp",
        )  # fmt: skip
        letters.append(BatchLetter(entry_of(number, made.pdf, made.sheets, codes=True), made.pdf, duplex=False))
    out = BytesIO()
    entries = merge(letters, out, duplex=False, profile=profile)
    assert read_back(out.getvalue(), entries, profile) == PAGES * len(pdfs)
    return len(pdfs)


def check_ours(pdfs: Sequence[bytes]) -> int:
    profile = load()
    for pdf in pdfs:
        assert not check_document(pdf, profile, "stamp", duplex=False).problems
    return PAGES * len(pdfs)


def check_pdfplumber(pdfs: Sequence[bytes]) -> int:
    """Text, lines, rectangles and pictures of each page against the margins and the window: what it can see of ink."""
    profile = load()
    box, window = profile.printable, profile.window_reach
    for pdf in pdfs:
        with pdfplumber.open(BytesIO(pdf)) as opened:
            for number, page in enumerate(opened.pages):
                for each in (*page.chars, *page.lines, *page.rects, *page.images, *page.curves):
                    left, top, right, bottom = (each[key] / MM for key in ("x0", "top", "x1", "bottom"))
                    outside = left < box.left - 1 or right > box.right + 1 or top < box.top - 1
                    inside = left < window.right and right > window.left and top < window.bottom and bottom > window.top
                    assert not outside
                    assert number or not inside
    return PAGES * len(pdfs)


def merge_ours(files: Sequence[Path], to: Path) -> None:
    with to.open("wb") as out:
        merge(raw_letters(files, codes=False), out, duplex=False)


def merge_coded(files: Sequence[Path], to: Path) -> None:
    with to.open("wb") as out:
        merge(raw_letters(files, codes=True), out, duplex=False, profile=load())


def merge_pikepdf(files: Sequence[Path], to: Path) -> None:
    with pikepdf.Pdf.new() as pdf:
        for file in files:
            with pikepdf.open(file) as source:
                pdf.pages.extend(source.pages)
        pdf.save(to)


def merge_pypdf(files: Sequence[Path], to: Path) -> None:
    writer = pypdf.PdfWriter()
    for file in files:
        writer.append(file)
    writer.write(to)


def program(name: str) -> str:
    found = shutil.which(name)
    assert found is not None
    return found


def merge_qpdf(files: Sequence[Path], to: Path) -> None:
    names = to.with_suffix(".names")
    names.write_text("\n".join(["--empty", "--pages", *map(str, files), "--", str(to)]))
    subprocess.run([program("qpdf"), f"@{names}"], check=True)


def merge_pdfunite(files: Sequence[Path], to: Path) -> None:
    subprocess.run([program("pdfunite"), *map(str, files), str(to)], check=True)


WAYS: dict[str, Callable[[Sequence[Path], Path], None]] = {
    "ours": merge_ours,
    "with-codes": merge_coded,
    "pikepdf-extend": merge_pikepdf,
    "pypdf": merge_pypdf,
    "qpdf": merge_qpdf,
    "pdfunite": merge_pdfunite,
}


def probe(way: str, count: int, folder: Path) -> None:
    """In a process of its own: seconds, bytes of the file, and the most memory that it or its program held."""
    files, to = sorted(folder.glob("in-*.pdf"))[:count], folder / f"{way}.pdf"
    began = time.perf_counter()
    WAYS[way](files, to)
    seconds = time.perf_counter() - began
    whose = resource.RUSAGE_CHILDREN if way in PROGRAMS else resource.RUSAGE_SELF
    print(seconds, to.stat().st_size, resource.getrusage(whose).ru_maxrss)
    to.unlink()


def merged(way: str, count: int, folder: Path, *, rounds: int) -> tuple[float, int, float] | None:
    """Best seconds, bytes and MiB of a way; None where its program is not installed or breaks."""
    if way in PROGRAMS and shutil.which(way) is None:
        return None
    best: tuple[float, int, float] | None = None
    for _ in range(rounds):
        command = [sys.executable, __file__, PROBE, way, str(count), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{way} gives up at {count} letters: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
            return None
        seconds, size, memory = done.stdout.split()
        found = (float(seconds), int(size), int(memory) / 1024)
        best = found if best is None or found[0] < best[0] else best
    return best


def compare(count: int, folder: Path, *, rounds: int) -> tuple[list[Result], float]:
    """All ways of merging so many letters, in turns."""
    found = {way: merged(way, count, folder, rounds=rounds) for way in WAYS}
    ours, coded = found["ours"], found["with-codes"]
    assert ours is not None
    assert coded is not None
    results = []
    for way, theirs in found.items():
        if way in {"ours", "with-codes"} or theirs is None:
            continue
        name = "" if way == "pikepdf-extend" else f"/{way}"
        results += [
            cost(f"merge/{count}/time{name}", ours[0], WALL, peer=way, peer_value=theirs[0]),
            cost(f"merge/{count}/size{name}", ours[1] / 1e6, "MB", peer=way, peer_value=theirs[1] / 1e6),
            cost(f"merge/{count}/memory{name}", ours[2], "MiB peak", peer=way, peer_value=theirs[2]),
        ]
    results += [
        cost(f"merge/{count}/with-codes/time", coded[0], WALL),
        cost(f"merge/{count}/with-codes/size", coded[1] / 1e6, "MB"),
        cost(f"merge/{count}/with-codes/memory", coded[2], "MiB peak"),
    ]
    return results, ours[0]


def main() -> None:
    if sys.argv[1:2] == [PROBE]:
        probe(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
        return
    chosen = options("What letters cost")
    pdfs = [document(number) for number in range(30 if chosen.quick else 100)]
    few, dark = pdfs[:4], [document(number, darkest=0) for number in range(4)]
    works = {
        "pipeline": lambda: pipeline(pdfs),
        "check": lambda: check_ours(few),
        "dark": lambda: check_ours(dark),
        "pdfplumber": lambda: check_pdfplumber(few),
    }
    spent = time_in_turns(works, rounds=2 if chosen.quick else 5)
    results = [
        rate("pipeline/letters", 1e3 / spent["pipeline"].cpu, "letters/s/core"),
        cost("check/page", spent["check"].cpu, CPU, peer="pdfplumber", peer_value=spent["pdfplumber"].cpu),
        cost("check/page/dark-picture", spent["dark"].cpu, CPU, peer="pdfplumber", peer_value=spent["pdfplumber"].cpu),
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_documents(folder, 1000 if chosen.quick else 10_000)
        rounds = 1 if chosen.quick else 3
        thousand, small = compare(1000, folder, rounds=rounds)
        results += thousand
        if not chosen.quick:
            many, _ = compare(10_000, folder, rounds=1)
            # The best of as many as of a thousand: one of ten thousand beside the best of three says what else ran.
            large = merged("ours", 10_000, folder, rounds=rounds)
            assert large is not None
            results += [*many, cost("merge/growth", large[0] / small, "t(10,000)/t(1,000)")]
    report(results, json_file=chosen.json)


if __name__ == "__main__":
    main()
