"""Judging signatures: nothing that was changed is ever called valid, and nothing ever breaks the judge."""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its methods without.

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pikepdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils.generic import ArrayObject, NameObject, NumberObject, TextStringObject, pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, append_signature_field

from service.embedded.pki import ensure_pki
from signing.errors import TimeStampInvalid
from signing.revision import byte_range_in
from signing.seal import Sealer
from signing.tokens import verify_token
from signing.trust import load_certificates
from signing.validate import Changes, Report, Verdict, validate
from tests.signing_support import InProcessAuthority, form_pdf, now, plain_pdf, roots, seal_key

SEALED = Sealer(seal_key(), InProcessAuthority()).seal(plain_pdf(), at=now())
SEALED_FORM = Sealer(seal_key(), InProcessAuthority()).seal(form_pdf(), at=now())
RANGE = byte_range_in(SEALED)
assert RANGE is not None
HOLE = (RANGE[1], RANGE[2])


def judge(pdf: bytes) -> Report:
    return validate(pdf, trust_roots=roots(), at=now())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_changed_bit_of_the_covered_bytes_is_called_valid(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(SEALED) - 1).filter(lambda place: not HOLE[0] <= place < HOLE[1]))
    changed = bytearray(SEALED)
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    assert not judge(bytes(changed)).valid


def container() -> bytes:
    return bytes.fromhex(SEALED[HOLE[0] + 1 : HOLE[1] - 1].decode())


def with_container(content: bytes) -> bytes:
    return SEALED[: HOLE[0] + 1] + content.hex().encode() + SEALED[HOLE[1] - 1 :]


def test_no_changed_bit_of_the_signature_or_its_attributes_is_called_valid() -> None:
    cms = container()
    digest_at = cms.index(bytes.fromhex("06092a864886f70d010904"))
    signature_at = cms.index(bytes.fromhex("06082a8648ce3d040302"), digest_at) + 10
    for place in [*range(digest_at, digest_at + 47, 6), *range(signature_at, signature_at + 70, 9)]:
        changed = bytearray(cms)
        changed[place] ^= 4
        assert not judge(with_container(bytes(changed))).valid, place


def test_something_hidden_behind_the_signature_is_not_called_valid() -> None:
    content = container()
    report = judge(with_container(content[:-4] + b"evil"))
    assert (report.verdict, report.code) == (Verdict.INVALID, "coverage_unclear")


def test_a_changed_token_is_not_called_valid() -> None:
    cms = bytearray(container())
    token_at = cms.index(bytes.fromhex("060b2a864886f70d010910020e"))
    info_at = cms.index(bytes.fromhex("060b2a864886f70d0109100104"), token_at)
    imprint_at = cms.index(bytes.fromhex("0420"), info_at)
    cms[imprint_at + 9] ^= 1
    report = judge(with_container(bytes(cms)))
    assert report.verdict is not Verdict.VALID
    assert report.code is not None
    assert report.code.startswith("timestamp_")


def test_a_document_without_a_signature_is_indeterminate() -> None:
    assert (judge(plain_pdf()).verdict, judge(plain_pdf()).code) == (Verdict.INDETERMINATE, "no_signature")
    assert judge(plain_pdf()).last is None


@pytest.mark.parametrize("content", [b"", b"no pdf", SEALED[:500], SEALED[:-700]])
def test_what_is_no_pdf_is_indeterminate(content: bytes) -> None:
    report = judge(content)
    assert (report.verdict, report.code) == (Verdict.INDETERMINATE, "pdf_unreadable")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(SEALED)), st.integers(0, len(SEALED)), st.binary(max_size=40))
def test_no_mangled_file_breaks_the_judge_or_is_called_valid(start: int, end: int, put: bytes) -> None:
    mangled = SEALED[: min(start, end)] + put + SEALED[max(start, end) :]
    assert mangled == SEALED or not judge(mangled).valid


def updated(pdf: bytes, change: str) -> bytes:
    """``pdf`` with a later revision."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    if change == "page":
        page = writer.root["/Pages"]["/Kids"][0]
        page["/MediaBox"] = ArrayObject(NumberObject(number) for number in (0, 0, 100, 100))
        writer.update_container(page)
    elif change == "form":
        field = writer.root["/AcroForm"]["/Fields"][0]
        field["/V"] = TextStringObject("somebody else")
        writer.update_container(field)
    elif change == "catalogue":
        first = writer.root["/Pages"]["/Kids"].raw_get(0)
        writer.root["/OpenAction"] = ArrayObject([first, NameObject("/Fit")])
        writer.update_root()
    elif change == "visible field":
        append_signature_field(writer, SigFieldSpec("Stamp", box=(50, 50, 500, 700)))
    else:
        writer.root[pdf_name("/Extensions")] = writer.root["/Extensions"]
        writer.update_root()
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


@pytest.mark.parametrize("change", ["page", "form", "catalogue", "visible field"])
def test_what_was_changed_after_the_seal_makes_it_modified(change: str) -> None:
    report = judge(updated(SEALED_FORM, change))
    assert (report.verdict, report.code) == (Verdict.MODIFIED, "changed_afterwards")
    assert report.signatures[0].changes is Changes.NOT_ALLOWED
    assert report.signatures[0].intact


def test_an_update_that_changes_nothing_to_be_read_is_allowed() -> None:
    report = judge(updated(SEALED_FORM, "nothing"))
    assert report.valid
    assert report.signatures[0].changes is Changes.ALLOWED


@pytest.mark.parametrize(
    "behind",
    [b"\n% something more\n", b"junk", b"\n%junk\n" + SEALED[SEALED.rindex(b"startxref") :]],
    # Named here: a name made of the bytes would differ from one test process to the next.
    ids=["a comment", "junk", "a second end"],
)
def test_text_behind_the_end_is_not_called_valid(behind: bytes) -> None:
    assert judge(SEALED + behind).verdict is Verdict.MODIFIED
    more = updated(SEALED_FORM, "nothing")
    assert not judge(more + behind).valid
    assert judge(more + b"\n%junk\n" + more[more.rindex(b"startxref") :]).verdict is Verdict.MODIFIED


def test_empty_lines_behind_the_end_do_no_harm() -> None:
    assert judge(SEALED + b"\r\n").valid


def test_a_whole_document_put_behind_is_not_called_valid() -> None:
    assert not judge(SEALED + plain_pdf(pages=3)).valid


def test_a_seal_carried_over_to_another_document_is_not_valid() -> None:
    other = Sealer(seal_key(), InProcessAuthority()).seal(plain_pdf(pages=2), at=now())
    found = byte_range_in(other)
    assert found is not None
    moved = other[: found[1]] + SEALED[HOLE[0] : HOLE[1]] + other[found[2] :]
    report = judge(moved)
    assert (report.verdict, report.code) == (Verdict.INVALID, "not_intact")


def test_roots_that_are_not_given_are_not_believed(tmp_path: Path) -> None:
    strangers = load_certificates(ensure_pki(tmp_path).trust_anchor)
    for believed in (strangers, ()):
        report = validate(SEALED, trust_roots=believed, at=now())
        assert report.verdict is Verdict.INDETERMINATE
        assert report.signatures[0].intact
        assert not report.signatures[0].trusted


def test_a_time_stamp_keeps_a_seal_valid_after_its_certificate_ended() -> None:
    later = now() + timedelta(days=365 * 11)
    assert validate(SEALED, trust_roots=roots(), at=later).valid
    unstamped = Sealer(seal_key(), None).seal(plain_pdf(), at=now())
    report = validate(unstamped, trust_roots=roots(), at=later)
    assert report.verdict is Verdict.INDETERMINATE
    assert report.code is not None
    assert report.code.startswith("untrusted")


def test_a_signature_field_that_holds_rubbish_is_indeterminate() -> None:
    with pikepdf.open(io.BytesIO(SEALED)) as opened:
        opened.Root.AcroForm.Fields[0].V = pikepdf.Dictionary(Type=pikepdf.Name.Sig)
        out = io.BytesIO()
        opened.save(out)
    report = judge(out.getvalue())
    assert (report.verdict, report.code) == (Verdict.INDETERMINATE, "signature_unreadable")


def test_a_token_is_only_good_for_its_data() -> None:
    import hashlib

    token = InProcessAuthority().token(hashlib.sha256(b"this").digest())
    assert verify_token(token, b"this", roots()) <= datetime.now(UTC)
    with pytest.raises(TimeStampInvalid) as caught:
        verify_token(token, b"that", roots())
    assert caught.value.reason == "imprint"


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_break_the_reading_of_tokens(content: bytes) -> None:
    with pytest.raises(TimeStampInvalid):
        verify_token(content, b"", roots())


def test_permissions_of_a_certification_are_taken_at_their_word() -> None:
    from tests.unit.test_signing_seal import certified

    filled = updated(certified(form_pdf(), MDPPerm.FILL_FORMS), "form")
    report = judge(filled)
    assert report.valid, report
    assert report.signatures[0].changes is Changes.ALLOWED
