"""Places kept free for people who sign in turn, each visibly."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pikepdf
import pytest
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import enumerate_sig_fields

from signing.appearance import LATIN, Appearance, InCorner, Reason
from signing.cms import SealTemplate
from signing.errors import AlreadySigned, FieldUnusable
from signing.filling import fill
from signing.reserving import reserve
from signing.revision import SignatureWriter
from signing.validate import validate
from tests.appearance_support import NOW, appearance, codes, page, seen
from tests.pdfa_support import faults
from tests.signing_support import outside, roots, seal_key

SIGNERS = {"Signature1": "Zoë Dvořák", "Signature2": "Jan De Verzonnen-Van Molenbeek", "Signature3": "Łukasz Ø"}
DOCUMENTS = Path(__file__).parents[1] / "documents"
LOOK: Appearance = appearance(act="signed", characters=LATIN)


def reserved(pdf: bytes, look: Appearance = LOOK, signers: dict[str, str] = SIGNERS) -> bytes:
    stream = io.BytesIO(pdf)
    reserve(stream, look, signers, at=NOW, code="AAAA-BBBB")
    return stream.getvalue()


def signed(pdf: bytes, field: str, name: str) -> bytes:
    """Signed as a person does: prepared, signed elsewhere, completed."""
    key = seal_key()
    template = SealTemplate(key.certificate, key.chain, key.mechanism)
    writer = SignatureWriter(key.mechanism, reserved=template.largest(0), field_prefix="Signature", appearance=LOOK)
    stream = io.BytesIO(pdf)
    hole = writer.prepare(stream, at=datetime.now(UTC), code="AAAA-BBBB", name=name, field=field)
    assert hole.shown is not None
    assert hole.shown.page is not None
    attributes = template.attributes(hole.digest)
    fill(hole, template.fill(attributes, key.sign(attributes.digest), None))
    return stream.getvalue()


def test_people_sign_visibly_in_turn_and_every_signature_stays_valid(tmp_path: Path) -> None:
    pdf = reserved(page(text_to=400))
    # In another order than they were kept in.
    for field in ("Signature2", "Signature3", "Signature1"):
        pdf = signed(pdf, field, SIGNERS[field])
    report = validate(pdf, trust_roots=roots(), at=datetime.now(UTC))
    assert report.valid, report
    assert len(report.signatures) == 3
    assert len(codes(seen(pdf, scale=3))) == 3
    file = tmp_path / "signed.pdf"
    file.write_bytes(pdf)
    assert outside("pdfsig", "-nocert", file).stdout.count("Signature is Valid.") == 3
    assert outside("qpdf", "--check", file).returncode == 0
    read = outside("pdftotext", "-layout", file, "-").stdout
    assert all(name in read for name in SIGNERS.values())


def test_places_do_not_overlap_and_say_for_whom_they_are() -> None:
    pdf = reserved(page(text_to=400))
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        fields = list(opened.Root.AcroForm.Fields)
        assert [str(field.TU) for field in fields] == [
            f"Plaats voor de handtekening van {name}." for name in SIGNERS.values()
        ]
        boxes = [[float(side) for side in field.Rect] for field in fields]
    for number, one in enumerate(boxes):
        for other in boxes[number + 1 :]:
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart, (one, other)


@pytest.mark.parametrize(
    ("name", "part"), [("permit-nl-pdfa.pdf", 1), ("attest-nl-pdfa2b.pdf", 2), ("attest-de-pdfa3b.pdf", 3)]
)
def test_pdf_a_stays_pdf_a_with_places_kept_and_with_one_of_them_signed(name: str, part: int) -> None:
    pdf = (DOCUMENTS / name).read_bytes()
    kept = reserved(pdf)
    assert faults(pdf, kept, part=part) == []
    assert faults(kept, signed(kept, "Signature1", "Zoë Dvořák"), part=part) == []


def test_a_place_in_a_tagged_document_stands_in_its_structure_before_anybody_signs() -> None:
    kept = reserved((DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes())
    with pikepdf.open(io.BytesIO(kept)) as opened:
        keys = [int(field.StructParent) for field in opened.Root.AcroForm.Fields]
        tree = pikepdf.NumberTree(opened.Root.StructTreeRoot.ParentTree)
        assert [str(tree[key].Alt) for key in keys] == [
            f"Plaats voor de handtekening van {name}." for name in SIGNERS.values()
        ]


def test_where_there_is_no_room_no_field_is_made_and_nothing_is_written() -> None:
    pdf = page(text_to=5)
    stream = io.BytesIO(pdf)
    found = reserve(stream, LOOK, SIGNERS, at=NOW)
    assert {shown.reason for shown in found.values()} == {Reason.NO_ROOM}
    assert stream.getvalue() == pdf


def test_the_last_ones_are_invisible_where_there_is_room_for_some_only() -> None:
    look = appearance(act="signed", characters=LATIN, place=InCorner())
    stream = io.BytesIO(page(size=(298, 420), text_to=70))
    found = reserve(stream, look, {f"S{number}": "Zoë" for number in range(4)}, at=NOW, code="AAAA")
    visible = [name for name, shown in found.items() if shown.page]
    assert 0 < len(visible) < 4
    names = [name for name, _, _ in enumerate_sig_fields(PdfFileReader(io.BytesIO(stream.getvalue())))]
    assert names == visible


def test_after_the_first_signature_it_is_too_late() -> None:
    with pytest.raises(AlreadySigned):
        reserved(signed(reserved(page()), "Signature1", "Zoë"), signers={"Other": "Jan"})


def test_a_field_of_the_same_name_is_not_taken_over() -> None:
    with pytest.raises(FieldUnusable):
        reserved(reserved(page()))
