"""Every producer's documents, sealed in every way, held against judges that are not ours, and looked at."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pypdfium2
import pytest

from service.embedded.pki import Algorithm
from signing.appearance import Appearance, InCorner
from signing.report import Kind, Level
from signing.revocation import OnlineRevocation
from signing.seal import Sealer
from signing.validate import validate
from tests.appearance_support import CODE, appearance, codes, difference, logo, sealed, seen
from tests.pyhanko_judge_support import kept_is_enough
from tests.signing_support import (
    InProcessAuthority,
    honest_server,
    judged_by_openssl,
    outside,
    revocation,
    roots,
    seal_key,
)

DOCUMENTS = sorted((Path(__file__).parents[1] / "documents").glob("*.pdf"))
ALGORITHMS: tuple[Algorithm, ...] = ("p-256", "rsa-3072")
WAYS = list(product((False, True), Level, ALGORITHMS))
"""Each document goes half of them: every second one, and its neighbour the others."""
LOOK: Appearance = appearance(logo=logo())
_CLOSE = 2
"""Points by which smoothing may spill over the edge of a box."""


@pytest.fixture(scope="module")
def source() -> Iterator[OnlineRevocation]:
    with honest_server() as url, revocation(url) as asked:
        yield asked


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_every_way_of_sealing_stands_before_every_judge(
    document: Path, tmp_path: Path, source: OnlineRevocation
) -> None:
    pdf = document.read_bytes()
    for number, (visible, level, algorithm) in enumerate(WAYS):
        # Kind of key, level and looks are told apart by the documents before and after this one.
        if (number + number // 2 + DOCUMENTS.index(document)) % 2:
            continue
        way = f"{'visible' if visible else 'invisible'}-{level}-{algorithm}"
        file = tmp_path / f"{way}.pdf"
        at = datetime.now(UTC)
        if visible:
            told = {"level": level, "revocation": source, "stamped": level is not Level.B_B}
            content = sealed(pdf, LOOK, at=at, algorithm=algorithm, **told).pdf
        else:
            tsa = None if level is Level.B_B else InProcessAuthority()
            content = Sealer(seal_key(algorithm), tsa, level=level, revocation=source).seal(pdf, at=at)
        file.write_bytes(content)
        judged = outside("pdfsig", "-nocert", file).stdout
        # It lists a document time-stamp too, and does not judge it.
        signatures = judged.count("Signature #") - (level is Level.B_LTA)
        assert judged.count("Signature is Valid.") == signatures > 0, way
        assert "Invalid" not in judged, way
        checked = outside("qpdf", "--check", file)
        assert checked.returncode == 0, (way, checked.stdout)
        if level in {Level.B_LT, Level.B_LTA}:
            assert kept_is_enough(content, at=at + timedelta(hours=1), ours=True), way
        judged_by_openssl(content, tmp_path)
        report = validate(content, trust_roots=roots(), at=at)
        assert report.last is not None
        assert report.last.verdict == "valid", way
        assert [each.level for each in report.signatures if each.kind is not Kind.TIMESTAMP][-1] is level, way


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("corner", ["bottom-right", "top-left"])
def test_pages_look_the_same_outside_of_the_seal(document: Path, corner: str) -> None:
    pdf = document.read_bytes()
    done = sealed(pdf, appearance(place=InCorner(corner)))  # type: ignore[arg-type] # one of the corners
    pages = _pages(done.pdf)
    assert pages == _pages(pdf)
    for number in {1, 2, pages} & set(range(1, pages + 1)):
        changed = difference(pdf, done.pdf, number)
        if number != done.shown.page:
            assert changed is None
            continue
        assert changed is not None
        left, top, right, bottom = _as_seen(done.pdf, done.shown.box, number)
        assert changed[0] >= left - _CLOSE
        assert changed[1] >= top - _CLOSE
        assert changed[2] <= right + _CLOSE
        assert changed[3] <= bottom + _CLOSE
        assert codes(seen(done.pdf, number))[0].endswith(CODE)


def _pages(pdf: bytes) -> int:
    document = pypdfium2.PdfDocument(pdf)
    count = len(document)
    document.close()
    return count


def _as_seen(pdf: bytes, box: tuple[float, float, float, float] | None, number: int) -> tuple[float, ...]:
    """A box of the page in points from the top left corner, by pdfium's own reckoning."""
    assert box is not None
    document = pypdfium2.PdfDocument(pdf)
    page = document[number - 1]
    wide, high = page.get_size()
    converter = page.render(scale=1).get_posconv(page)
    corners = [converter.to_bitmap(x, y) for x, y in (box[:2], box[2:])]
    document.close()
    assert wide
    assert high
    xs, ys = sorted(x for x, _ in corners), sorted(y for _, y in corners)
    return xs[0], ys[0], xs[1], ys[1]
