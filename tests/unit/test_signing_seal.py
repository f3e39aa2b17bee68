"""Sealing: what comes out is what went in, and a seal that others accept."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pikepdf
import pytest
from asn1crypto import algos
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import FieldMDPAction, FieldMDPSpec, MDPPerm, SigFieldSpec, enumerate_sig_fields
from pyhanko.sign.signers import ExternalSigner, PdfSignatureMetadata, PdfSigner
from pyhanko.sign.signers.pdf_signer import PdfTBSDocument

from service.embedded.pki import Algorithm
from signing.algorithms import Mechanism
from signing.cms import SealTemplate
from signing.errors import (
    ChangesForbidden,
    KeyUnusable,
    PdfEncrypted,
    PdfUnreadable,
    SealCheckFailed,
    TimeStampUnavailable,
    Unsealable,
)
from signing.filling import fill
from signing.keys import SealKey
from signing.revision import Hole
from signing.seal import Sealer
from signing.validate import Changes, Coverage, Level, validate
from tests.signing_support import (
    InProcessAuthority,
    form_pdf,
    judged_by_openssl,
    now,
    outside,
    plain_pdf,
    roots,
    sample_documents,
    seal_key,
)


def sealer(algorithm: Algorithm = "p-256", *, stamped: bool = True) -> Sealer:
    return Sealer(seal_key(algorithm), InProcessAuthority() if stamped else None)


@pytest.mark.parametrize("algorithm", ["p-256", "rsa-3072"])
@pytest.mark.parametrize("stamped", [True, False])
def test_a_seal_is_valid_and_covers_the_whole_file(algorithm: Algorithm, *, stamped: bool) -> None:
    moment = now()
    sealed = sealer(algorithm, stamped=stamped).seal(plain_pdf(), at=moment)
    report = validate(sealed, trust_roots=roots(), at=now())
    assert report.valid
    assert report.last is not None
    assert report.last.coverage is Coverage.WHOLE_FILE
    assert report.last.level is (Level.B_T if stamped else Level.B_B)
    assert (report.last.time is not None) is stamped
    assert report.last.claimed_time == moment.replace(microsecond=0)


def test_the_original_stays_byte_for_byte() -> None:
    pdf = plain_pdf()
    assert sealer().seal(pdf, at=now()).startswith(pdf)


def test_documents_are_sealed_in_parts_by_a_key_that_signs_singly_too() -> None:
    shared = sealer()
    assert shared.together == 1
    begun = [shared.begin(plain_pdf(pages=number), at=now()) for number in (1, 2)]
    sealed = [shared.finish(*pair).content for pair in zip(begun, shared.sign_many(begun), strict=True)]
    assert all(validate(each, trust_roots=roots(), at=now()).valid for each in sealed)
    with pytest.raises(SealCheckFailed):  # the signature of another document
        shared.finish(shared.begin(plain_pdf(), at=now()), shared.sign_many(begun)[1])


def test_a_seal_changes_no_metadata_and_no_version() -> None:
    with pikepdf.open(io.BytesIO(plain_pdf())) as pdf:
        pdf.docinfo["/ModDate"] = "D:20200101120000Z"
        with pdf.open_metadata() as meta:
            meta["dc:title"] = "Attest"
        written = io.BytesIO()
        pdf.save(written, force_version="1.7")
    before, after = pikepdf.open(written), pikepdf.open(io.BytesIO(sealer().seal(written.getvalue(), at=now())))
    assert after.pdf_version == "1.7"
    assert "/Version" not in after.Root
    assert dict(after.docinfo) == dict(before.docinfo)
    assert after.Root.Metadata.read_bytes() == before.Root.Metadata.read_bytes()
    assert after.Root.Extensions.ESIC.ExtensionLevel == 1


@pytest.mark.parametrize("document", sample_documents(), ids=lambda path: path.name)
def test_real_documents_are_sealed_and_stay_sound(document: Path, tmp_path: Path) -> None:
    pdf = document.read_bytes()
    try:
        sealed = sealer().seal(pdf, at=now())
    except PdfEncrypted:
        assert b"/Encrypt" in pdf
        return
    file = tmp_path / "sealed.pdf"
    file.write_bytes(sealed)
    checked = outside("qpdf", "--check", file)
    before = tmp_path / "original.pdf"
    before.write_bytes(pdf)
    assert checked.returncode <= outside("qpdf", "--check", before).returncode
    judged = outside("pdfsig", "-nocert", file).stdout
    assert "Total document signed" in judged
    assert judged.count("Signature is Valid.") == judged.count("Signature #")
    report = validate(sealed, trust_roots=roots(), at=now())
    assert report.last is not None
    assert report.last.verdict == "valid"


def test_a_second_seal_leaves_the_first_valid(tmp_path: Path) -> None:
    twice = sealer().seal(sealer("rsa-3072").seal(plain_pdf(), at=now()), at=now())
    report = validate(twice, trust_roots=roots(), at=now())
    assert report.valid
    assert [entry.field for entry in report.signatures] == ["Seal1", "Seal2"]
    assert [entry.changes for entry in report.signatures] == [Changes.ALLOWED, Changes.NONE]
    file = tmp_path / "twice.pdf"
    file.write_bytes(twice)
    assert outside("pdfsig", "-nocert", file).stdout.count("Signature is Valid.") == 2
    assert outside("qpdf", "--check", file).returncode == 0


def test_two_threads_may_share_a_sealer() -> None:
    shared = sealer()
    documents = [plain_pdf(pages=number) for number in range(1, 9)]
    with ThreadPoolExecutor(2) as pool:
        sealed = list(pool.map(lambda pdf: shared.seal(pdf, at=now()), documents))
    assert all(validate(one, trust_roots=roots(), at=now()).valid for one in sealed)
    assert all(one.startswith(pdf) for one, pdf in zip(sealed, documents, strict=True))


def resaved(pdf: bytes, **how: object) -> bytes:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        opened.save(out, **how)  # type: ignore[arg-type] # each case gives what pikepdf knows
    return out.getvalue()


def hybrid(pdf: bytes) -> bytes:
    """A file with a classic table that also points at a cross-reference stream (ISO 32000-2, 7.5.8.4)."""
    start = len(pdf)
    previous = int(pdf[pdf.rindex(b"startxref") + 9 :].split()[0])
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        size, root = int(opened.trailer["/Size"]), opened.Root.objgen[0]
    entry = b"\x01" + start.to_bytes(4, "big") + b"\x00"
    stream = (
        b"%d 0 obj\n<< /Type /XRef /Size %d /W [1 4 1] /Index [%d 1] /Root %d 0 R /Length %d >>\n"
        b"stream\n%s\nendstream\nendobj\n" % (size, size + 1, size, root, len(entry), entry)
    )
    table = start + len(stream)
    trailer = b"xref\n0 1\n0000000000 65535 f \ntrailer\n<< /Size %d /Root %d 0 R /Prev %d /XRefStm %d >>\n" % (
        size + 1, root, previous, start,
    )  # fmt: skip
    return pdf + stream + trailer + b"startxref\n%d\n%%%%EOF\n" % table


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "object streams": lambda pdf: resaved(pdf, object_stream_mode=pikepdf.ObjectStreamMode.generate),
    "linearised": lambda pdf: resaved(pdf, linearize=True),
    "old header": lambda pdf: resaved(pdf, object_stream_mode=pikepdf.ObjectStreamMode.disable, force_version="1.2"),
    "hybrid cross-references": hybrid,
    "no newline at the end": lambda pdf: pdf.rstrip(),
    "spaces behind the end": lambda pdf: pdf + b"\r\n\r\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_file_is_sealed(form: str, tmp_path: Path) -> None:
    sealed = sealer().seal(FORMS[form](plain_pdf()), at=now())
    file = tmp_path / "sealed.pdf"
    file.write_bytes(sealed)
    assert "Signature is Valid." in outside("pdfsig", "-nocert", file).stdout
    assert outside("qpdf", "--check", file).returncode == 0
    assert validate(sealed, trust_roots=roots(), at=now()).valid


def test_openssl_verifies_the_seal(tmp_path: Path) -> None:
    judged_by_openssl(sealer().seal(plain_pdf(), at=now()), tmp_path)


def certified(pdf: bytes, permission: MDPPerm, *, lock_only: bool = False) -> bytes:
    """A document certified by someone, or signed in a field with a lock."""
    key = seal_key()
    signer = ExternalSigner(
        asn1_x509.Certificate.load(key.certificate.public_bytes(Encoding.DER)),
        None,
        signature_mechanism=algos.SignedDigestAlgorithm.load(key.mechanism.encoded),
    )
    lock = FieldMDPSpec(FieldMDPAction.INCLUDE, fields=[])
    spec = SigFieldSpec("Author", field_mdp_spec=lock if lock_only else None, doc_mdp_update_value=permission)
    meta = PdfSignatureMetadata("Author", md_algorithm="sha256", certify=not lock_only, docmdp_permissions=permission)
    session = PdfSigner(meta, signer, new_field_spec=spec).init_signing_session(
        IncrementalPdfFileWriter(io.BytesIO(pdf))
    )
    document = session.prepare_tbs_document(None, bytes_reserved=16384)
    out = io.BytesIO()
    prepared, _ = document.digest_tbs_document(output=out)
    template = SealTemplate(key.certificate, key.chain, key.mechanism)
    attributes = template.attributes(prepared.document_digest)
    PdfTBSDocument.resume_signing(out, prepared, template.fill(attributes, key.sign(attributes.digest), None))
    return out.getvalue()


@pytest.mark.parametrize("lock_only", [False, True])
def test_a_document_that_forbids_every_change_is_not_sealed(*, lock_only: bool) -> None:
    with pytest.raises(ChangesForbidden) as caught:
        sealer().seal(certified(plain_pdf(), MDPPerm.NO_CHANGES, lock_only=lock_only), at=now())
    assert caught.value.code == "pdf_certified_no_changes"
    assert isinstance(caught.value, Unsealable)
    assert not caught.value.retryable


def test_a_certification_that_no_field_shows_counts_too() -> None:
    with pikepdf.open(io.BytesIO(certified(plain_pdf(), MDPPerm.NO_CHANGES))) as pdf:
        pdf.Root.AcroForm.Fields = pikepdf.Array()
        del pdf.pages[0].Annots
        written = io.BytesIO()
        pdf.save(written)
    with pytest.raises(ChangesForbidden):
        sealer().seal(written.getvalue(), at=now())


@pytest.mark.parametrize("lock_only", [False, True])
def test_a_document_that_allows_forms_to_be_filled_is_sealed_and_stays_certified(*, lock_only: bool) -> None:
    pdf = certified(plain_pdf(), MDPPerm.FILL_FORMS, lock_only=lock_only)
    report = validate(sealer().seal(pdf, at=now()), trust_roots=roots(), at=now())
    assert report.valid, report


def test_an_encrypted_document_is_not_sealed() -> None:
    locked = resaved(plain_pdf(), encryption=pikepdf.Encryption(owner="o", user=""))
    with pytest.raises(PdfEncrypted):
        sealer().seal(locked, at=now())


PAGES_INSIDE = plain_pdf().replace(b"/Pages 6 0 R", b"/Pages <<>> ")
"""The page tree as part of the catalogue, which pyHanko doesn't expect."""
ODD_NUMBER = plain_pdf().replace(b"/MediaBox [ 0 0 595.2", b"/MediaBox [ 0 0 5.5.2")


@pytest.mark.parametrize(
    "content", [b"", b"not a pdf", b"%PDF-1.7\nnothing", plain_pdf()[:-300], PAGES_INSIDE, ODD_NUMBER]
)
def test_what_is_no_pdf_is_refused_with_a_code(content: bytes) -> None:
    with pytest.raises(PdfUnreadable) as caught:
        sealer().seal(content, at=now())
    assert caught.value.code == "pdf_unreadable"


def test_a_taken_field_name_is_left_alone() -> None:
    with pikepdf.open(io.BytesIO(form_pdf())) as opened:
        opened.Root.AcroForm.Fields[0].T = pikepdf.String("Seal1")
        out = io.BytesIO()
        opened.save(out)
    sealed = sealer().seal(out.getvalue(), at=now())
    names = [name for name, _, _ in enumerate_sig_fields(PdfFileReader(io.BytesIO(sealed)))]
    assert names == ["Seal2"]
    assert validate(sealed, trust_roots=roots(), at=now()).valid


def test_a_certificate_outside_its_validity_does_not_seal() -> None:
    for moment in (now() - timedelta(days=3), now() + timedelta(days=365 * 40)):
        with pytest.raises(KeyUnusable):
            sealer().seal(plain_pdf(), at=moment)


class Faulty:
    """A key whose device answers wrongly."""

    def __init__(self, key: SealKey) -> None:
        self._key = key

    @property
    def certificate(self) -> x509.Certificate:
        return self._key.certificate

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        return self._key.chain

    @property
    def mechanism(self) -> Mechanism:
        return self._key.mechanism

    def sign(self, digest: bytes) -> bytes:
        return self._key.sign(bytes(len(digest)))


def test_a_seal_by_a_faulty_key_never_leaves() -> None:
    with pytest.raises(SealCheckFailed):
        Sealer(Faulty(seal_key()), None).seal(plain_pdf(), at=now())


class Verbose:
    """An authority whose tokens don't fit."""

    def token(self, digest: bytes) -> bytes:
        return digest * 1250


def test_a_seal_too_large_for_its_space_never_leaves() -> None:
    with pytest.raises(SealCheckFailed):
        Sealer(seal_key(), Verbose()).seal(plain_pdf(), at=now())


def test_a_file_that_is_not_what_was_signed_never_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoiled(hole: Hole, cms: bytes) -> None:
        fill(hole, cms)
        hole.stream.seek(-1, 2)
        hole.stream.write(b"?")

    monkeypatch.setattr("signing.seal.fill", spoiled)
    with pytest.raises(SealCheckFailed):
        sealer(stamped=False).seal(plain_pdf(), at=now())


class Away:
    """An authority that can't be reached; remembers being closed."""

    closed = False

    def token(self, digest: bytes) -> bytes:
        raise TimeStampUnavailable("away", context={"size": str(len(digest))})

    def close(self) -> None:
        self.closed = True


def test_without_a_token_there_is_no_seal() -> None:
    away = Away()
    with Sealer(seal_key(), away) as closing, pytest.raises(TimeStampUnavailable):
        closing.seal(plain_pdf(), at=now())
    assert away.closed
