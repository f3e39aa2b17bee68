"""Certifying seals: what they allow, when they may be made, and what the file says of its extensions."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pikepdf
import pytest
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, append_signature_field

from service.embedded.pki import Algorithm
from signing.appearance import Reason
from signing.errors import AlreadySigned, ChangesForbidden, Unsealable
from signing.report import Level
from signing.seal import Sealer
from signing.validate import Changes, validate
from tests.appearance_support import appearance, sealed
from tests.signing_support import (
    InProcessAuthority,
    client,
    honest_server,
    outside,
    plain_pdf,
    revocation,
    roots,
    seal_key,
)

DOCUMENTS = Path(__file__).parents[1] / "documents"
EVERY = (MDPPerm.NO_CHANGES, MDPPerm.FILL_FORMS, MDPPerm.ANNOTATE)


def certified(pdf: bytes, permission: MDPPerm, *, stamped: bool = True) -> bytes:
    sealer = Sealer(seal_key(), InProcessAuthority() if stamped else None, certify=permission)
    return sealer.seal(pdf, at=datetime.now(UTC))


@pytest.mark.parametrize("permission", EVERY)
@pytest.mark.parametrize("visible", [False, True])
def test_the_first_seal_certifies_for_us_and_for_others(permission: MDPPerm, *, visible: bool, tmp_path: Path) -> None:
    done = sealed(plain_pdf(), appearance(), certify=permission).pdf if visible else certified(plain_pdf(), permission)
    with pikepdf.open(io.BytesIO(done)) as pdf:
        author = pdf.Root.Perms.DocMDP
        assert author.objgen == pdf.Root.AcroForm.Fields[0].V.objgen
        (reference,) = author.Reference
        assert reference.TransformMethod == "/DocMDP"
        assert permission.value == reference.TransformParams.P
        assert not {"/DigestLocation", "/DigestMethod", "/DigestValue"} & reference.keys()
    report = validate(done, trust_roots=roots(), at=datetime.now(UTC))
    assert report.valid
    file = tmp_path / "certified.pdf"
    file.write_bytes(done)
    judged = outside("pdfsig", "-nocert", file).stdout
    assert "Signature is Valid." in judged
    assert outside("qpdf", "--check", file).returncode == 0
    reader = PdfFileReader(io.BytesIO(done))
    assert reader.embedded_signatures[0].docmdp_level is permission


@pytest.mark.parametrize("permission", EVERY)
def test_a_document_that_bears_a_signature_is_not_certified(permission: MDPPerm) -> None:
    before = Sealer(seal_key(), None).seal(plain_pdf(), at=datetime.now(UTC))
    with pytest.raises(AlreadySigned) as caught:
        certified(before, permission)
    assert caught.value.code == "pdf_signed_before"
    assert isinstance(caught.value, Unsealable)
    assert not caught.value.retryable


def test_an_empty_signature_field_is_no_signature() -> None:
    writer = IncrementalPdfFileWriter(io.BytesIO(plain_pdf()))
    append_signature_field(writer, SigFieldSpec("Later", box=(60, 60, 300, 120)))
    out = io.BytesIO()
    writer.write(out)
    assert validate(certified(out.getvalue(), MDPPerm.FILL_FORMS), trust_roots=roots(), at=datetime.now(UTC)).valid


def test_behind_a_seal_that_allows_no_change_nothing_more_is_sealed() -> None:
    with pytest.raises(ChangesForbidden):
        sealed(certified(plain_pdf(), MDPPerm.NO_CHANGES), appearance())


def test_behind_a_seal_that_allows_forms_another_is_invisible_and_both_are_valid() -> None:
    both = sealed(certified(plain_pdf(), MDPPerm.FILL_FORMS), appearance())
    assert both.shown.reason is Reason.SIGNED_BEFORE
    report = validate(both.pdf, trust_roots=roots(), at=datetime.now(UTC))
    assert report.valid
    assert [entry.changes for entry in report.signatures] == [Changes.ALLOWED, Changes.NONE]


EXTENSIONS = {
    ("1.4", "p-256"): {"/ESIC"},
    ("1.7", "rsa-3072"): {"/ESIC"},
    ("2.0", "p-256"): {"/ISO_"},
    ("2.0", "rsa-3072"): set(),
}


@pytest.mark.parametrize(("version", "algorithm"), EXTENSIONS)
def test_what_goes_beyond_the_files_version_is_said_in_it(version: str, algorithm: Algorithm) -> None:
    """EN 319 142-1, 5.1: ESIC in PDF 1.x, which has no PAdES; ISO 32002 for curves in PDF 2.0, which has it."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(plain_pdf())) as pdf:
        pdf.save(out, force_version=version)
    done = sealed(out.getvalue(), appearance(), algorithm=algorithm, certify=MDPPerm.FILL_FORMS).pdf
    with pikepdf.open(io.BytesIO(done)) as pdf:
        assert pdf.pdf_version == version
        assert set(pdf.Root.get("/Extensions", {}).keys()) == EXTENSIONS[version, algorithm]


@pytest.mark.parametrize("level", [Level.B_LT, Level.B_LTA])
@pytest.mark.parametrize("permission", [None, *EVERY])
def test_what_long_term_levels_add_behind_it_is_allowed(permission: MDPPerm | None, level: Level) -> None:
    """Validation data and archive time-stamps are no changes, even behind a seal that allows none (ISO 32000-2)."""
    with honest_server() as url, client(url) as tsa, revocation(url) as source:
        sealer = Sealer(seal_key(), tsa, level=level, revocation=source, appearance=appearance(), certify=permission)
        done = sealer.seal((DOCUMENTS / "permit-nl-pdfa.pdf").read_bytes(), at=datetime.now(UTC), code="K7QF")
    report = validate(done, trust_roots=roots(), at=datetime.now(UTC))
    assert report.valid, report
    first = PdfFileReader(io.BytesIO(done)).embedded_signatures[0]
    first.compute_integrity_info()
    assert first.summarise_integrity_info()["docmdp_ok"]
