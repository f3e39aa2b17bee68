"""PDF/A files stay what they are when they are sealed."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyhanko.sign.fields import MDPPerm

from signing.report import Level
from signing.seal import Sealer
from signing.validate import validate
from tests.appearance_support import appearance, logo, sealed
from tests.pdfa_support import faults, preflight
from tests.signing_support import InProcessAuthority, client, honest_server, outside, revocation, roots, seal_key

DOCUMENTS = Path(__file__).parents[1] / "documents"
PARTS = {"permit-nl-pdfa.pdf": 1, "attest-nl-pdfa2b.pdf": 2, "attest-de-pdfa3b.pdf": 3}


def invisible(pdf: bytes) -> bytes:
    return Sealer(seal_key(), InProcessAuthority()).seal(pdf, at=datetime.now(UTC))


def visible(pdf: bytes) -> bytes:
    return sealed(pdf, appearance(logo=logo()), stamped=True).pdf


def certified(pdf: bytes) -> bytes:
    return sealed(pdf, appearance(), certify=MDPPerm.FILL_FORMS).pdf


def twice(pdf: bytes) -> bytes:
    return invisible(visible(pdf))


def archived(pdf: bytes) -> bytes:
    with honest_server() as url, client(url) as tsa, revocation(url) as source:
        sealer = Sealer(seal_key(), tsa, level=Level.B_LTA, revocation=source)
        return sealer.seal(pdf, at=datetime.now(UTC))


WAYS = {"archived": archived, "invisible": invisible, "visible": visible, "certified": certified, "twice": twice}


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("way", WAYS)
def test_sealing_keeps_the_part_of_pdf_a(name: str, way: str) -> None:
    pdf = (DOCUMENTS / name).read_bytes()
    done = WAYS[way](pdf)
    assert faults(pdf, done, part=PARTS[name]) == []
    assert validate(done, trust_roots=roots(), at=datetime.now(UTC)).valid


def test_apache_preflight_finds_sealed_files_to_be_pdf_a_1b(tmp_path: Path) -> None:
    pdf = (DOCUMENTS / "permit-nl-pdfa.pdf").read_bytes()
    files = {"original.pdf": pdf, **{f"{way}.pdf": WAYS[way](pdf) for way in WAYS}}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert preflight(*(tmp_path / name for name in files)) == dict.fromkeys(files, "")


def test_apache_preflight_refuses_what_is_not_pdf_a_1b(tmp_path: Path) -> None:
    pdf = visible((DOCUMENTS / "permit-nl-pdfa.pdf").read_bytes())
    (tmp_path / "broken.pdf").write_bytes(pdf.replace(b"/CIDSet", b"/CIDNot"))
    (said,) = preflight(tmp_path / "broken.pdf").values()
    assert "CIDSet" in said


HARM = {
    "6.3.2": (b"/F 132", b"/F 134"),
    "6.2.11.4.2": (b"/CIDSet", b"/CIDNot"),
    "6.2.11.4 ": (b"/FontFile2", b"/FontFileX"),
    "6.2.11.3": (b"/Identity-H", b"/Identity-V"),
    "6.2.11.5": (b"/W [ 0 [", b"/W [ 1 ["),
    "6.2.4": (b"/CalRGB", b"/CalXXX"),
    "6.2.2": (b"/Resources", b"/Ressource"),
    "6.3.3": (b"/AP", b"/AX"),
    "6.4.1": (b"/TU", b"/AA"),
    "6.4.3": (b"/ETSI.CAdES.detached", b"/adbe.pkcs7.detached"),
    "6.1.9": (b"endobj\n", b"endobj "),
    "6.1.3": (b"%%EOF\n", b"%%EOF\n\n\n"),
    "6.2.9": (b"/BBox", b"/OPI "),
}


@pytest.mark.parametrize("clause", HARM)
def test_each_clause_is_looked_at(clause: str) -> None:
    """The checks themselves: harm done to the update is found under its clause."""
    pdf = (DOCUMENTS / "attest-nl-pdfa2b.pdf").read_bytes()
    done = visible(pdf)
    update = done[len(pdf) :]
    old, new = HARM[clause]
    assert old in update
    harmed = update.replace(old, new, 1) if len(old) != len(new) or b"endobj" in old else update.replace(old, new)
    assert any(fault.startswith(clause) for fault in faults(pdf, pdf + harmed, part=2))


def test_qpdf_finds_sealed_pdf_a_files_sound(tmp_path: Path) -> None:
    for name in PARTS:
        file = tmp_path / name
        file.write_bytes(visible((DOCUMENTS / name).read_bytes()))
        assert outside("qpdf", "--check", file).returncode == 0
