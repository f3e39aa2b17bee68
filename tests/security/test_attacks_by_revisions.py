"""What is put behind a signature: whatever changes what is read, or could, is never called valid.

Each change is made to a document signed by somebody, to a seal of our own, and to a certification that allows nothing
or forms only; those that a viewer shows are first shown to change what it shows.
"""

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm

from signing.report import Verdict
from tests.attack_changes_support import ELSEWHERE, FORM, SHOWN
from tests.attack_support import (
    OTHER_WORDS,
    array,
    changed,
    contents_number,
    contract_pdf,
    first_page,
    free_number,
    last_startxref,
    page_number,
    revision,
    seen,
    stream,
    trailer_numbers,
)
from tests.longterm_support import SIGNED, house, judge, sign, stamped

SIGNED_BY_SOMEBODY = sign("b-t", pdf=contract_pdf())
FORBIDS_ALL = sign("b-t", pdf=contract_pdf(), certify_as=MDPPerm.NO_CHANGES)
ALLOWS_FORMS = sign("b-t", pdf=contract_pdf(), certify_as=MDPPerm.FILL_FORMS)
ALLOWS_NOTES = sign("b-t", pdf=contract_pdf(), certify_as=MDPPerm.ANNOTATE)
OWN = house().seal.asn1.sha256.hex()


@pytest.mark.parametrize("name", SHOWN)
def test_the_changes_change_what_is_read(name: str) -> None:
    assert seen(changed(SIGNED_BY_SOMEBODY, SHOWN[name])) != seen(SIGNED_BY_SOMEBODY)


@pytest.mark.parametrize("name", {**SHOWN, **ELSEWHERE, **FORM})
def test_no_change_behind_a_signature_is_called_valid(name: str) -> None:
    change = {**SHOWN, **ELSEWHERE, **FORM}[name]
    for base in (SIGNED_BY_SOMEBODY, FORBIDS_ALL):
        report = judge(changed(base, change))
        assert report.verdict is Verdict.MODIFIED, report
    assert judge(changed(SIGNED_BY_SOMEBODY, change), own_seals={OWN}).verdict is Verdict.MODIFIED


@pytest.mark.parametrize("name", {**SHOWN, **ELSEWHERE})
def test_what_allows_forms_and_notes_allows_nothing_else(name: str) -> None:
    change = {**SHOWN, **ELSEWHERE}[name]
    for base in (ALLOWS_FORMS, ALLOWS_NOTES):
        assert not judge(changed(base, change)).valid


@pytest.mark.parametrize("name", ["evil annotation", "field value", "page contents replaced"])
def test_no_later_time_stamp_washes_a_change_clean(name: str) -> None:
    evil = changed(SIGNED_BY_SOMEBODY, {**SHOWN, **FORM}[name])
    report = judge(stamped(evil, SIGNED))
    assert report.verdict is Verdict.MODIFIED
    assert report.signatures[0].code == "changed_afterwards"
    assert report.signatures[1].verdict is Verdict.VALID


# ------------------------------------------------------------------------------------------------- incremental saving

CONTENTS = contents_number(SIGNED_BY_SOMEBODY)
OTHER = {CONTENTS: stream(OTHER_WORDS)}
AFTER_OTHER = {free_number(SIGNED_BY_SOMEBODY): b"<</Type /Font>>"}


@pytest.mark.parametrize(
    "attack",
    [
        {},
        {"table": False},
        {"table": False, "trailer": False},
        {"table": False, "trailer": False, "start": False, "ending": b""},
        {"trailer": False},
        {"start": False},
        {"ending": b""},
        {"ending": b"%%EOF"},
        {"previous": 0},
        {"extra": b"/Info 1 0 R"},
        {"twice": {CONTENTS: stream(b"")}},
    ],
    ids=lambda attack: " ".join(map(str, attack)) or "whole",
)
def test_incremental_saving_is_not_called_valid(attack: dict[str, object]) -> None:
    assert not judge(revision(SIGNED_BY_SOMEBODY, OTHER, **attack)).valid  # type: ignore[arg-type]


def test_incremental_saving_changes_what_is_read() -> None:
    assert seen(revision(SIGNED_BY_SOMEBODY, OTHER)) != seen(SIGNED_BY_SOMEBODY)


def test_tables_that_leave_out_or_repeat_history_are_not_called_valid() -> None:
    first = int(SIGNED_BY_SOMEBODY.split(b"/Prev ")[1].split()[0])
    second = last_startxref(SIGNED_BY_SOMEBODY)
    for previous in (first, second, 17, len(SIGNED_BY_SOMEBODY) + 400, 10**12):
        assert not judge(revision(SIGNED_BY_SOMEBODY, OTHER, previous=previous)).valid
    for previous in (first, 17, 10**12):
        assert not judge(revision(SIGNED_BY_SOMEBODY, AFTER_OTHER, previous=previous)).valid
    itself = revision(SIGNED_BY_SOMEBODY, AFTER_OTHER, previous=len(SIGNED_BY_SOMEBODY))
    assert not judge(itself).valid


def test_objects_set_free_are_not_called_valid() -> None:
    for freed in (CONTENTS, page_number(SIGNED_BY_SOMEBODY, 1)):
        assert not judge(revision(SIGNED_BY_SOMEBODY, {}, freed=(freed,))).valid


def test_a_table_that_points_into_other_objects_is_not_called_valid() -> None:
    offsets = {CONTENTS: SIGNED_BY_SOMEBODY.index(b"1 0 obj")}
    assert not judge(revision(SIGNED_BY_SOMEBODY, {}, offsets=offsets)).valid


def test_hybrid_tables_are_not_called_valid() -> None:
    """Two tables at once: programs that know streams of cross-references see one document, others another."""
    at = len(SIGNED_BY_SOMEBODY)
    catalogue, size = trailer_numbers(SIGNED_BY_SOMEBODY)
    evil = stream(OTHER_WORDS)
    body = b"%d 0 obj\n%s\nendobj\n" % (CONTENTS, evil)
    rows = b"\x01" + at.to_bytes(4, "big") + b"\x00"
    table = b"<</Type /XRef /W [1 4 1] /Index [%d 1] /Size %d /Root %d 0 R /Length %d>>\nstream\n%s\nendstream" % (
        CONTENTS,
        size + 1,
        catalogue,
        len(rows),
        rows,
    )
    hidden = SIGNED_BY_SOMEBODY + body
    stream_at = len(hidden)
    hidden += b"%d 0 obj\n%s\nendobj\n" % (size, table)
    attack = revision(
        hidden, {size + 1: b"null"}, extra=b"/XRefStm %d" % stream_at, previous=last_startxref(SIGNED_BY_SOMEBODY)
    )
    report = judge(attack)
    assert not report.valid
    assert not report.strict


@pytest.mark.parametrize(
    "behind",
    [
        b"x",
        b"\n%%EOF",
        b"\n% note",
        b"\n5 0 obj\n<<>>\nendobj\n",
        b"\x00" * 9,
        contract_pdf(),
        b"\nstartxref\n9\n%%EOF\n",
    ],
    ids=["a letter", "an end", "a comment", "an object", "zeros", "a document", "another start"],
)
def test_something_behind_the_end_is_not_called_valid(behind: bytes) -> None:
    for base in (SIGNED_BY_SOMEBODY, stamped(SIGNED_BY_SOMEBODY, SIGNED)):
        assert judge(base).valid
        assert not judge(base + behind).valid


# ---------------------------------------------------------------------------------------------------------- shadows


def shadowed() -> tuple[bytes, dict[str, int]]:
    """A document whose hidden parts are signed along: what an attacker prepares before it is signed."""
    plain = contract_pdf()
    _, size = trailer_numbers(plain)
    page = page_number(plain)
    overlay, words, tree, hidden, root = range(size, size + 5)
    prepared = revision(
        plain,
        {
            overlay: stream(b"1 g 0 0 600 900 re f 0 g BT /F1 20 Tf 72 500 Td (Signed words) Tj ET"),
            words: stream(OTHER_WORDS),
            tree: b"<</Type /Pages /Count 1 /Kids [%d 0 R]>>" % hidden,
            hidden: b"<</Type /Page /Parent %d 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Resources <<>> >>"
            % (tree, words),
            root: b"<</Type /Catalog /Pages %d 0 R>>" % tree,
        },
    )

    def cover(writer: IncrementalPdfFileWriter) -> None:
        target = first_page(writer)
        before = target.raw_get("/Contents")
        target[pdf_name("/Contents")] = array(before, generic.IndirectObject(overlay, 0, writer))
        writer.update_container(target)

    return sign("b-t", pdf=changed(prepared, cover)), {
        "overlay": overlay,
        "words": words,
        "tree": tree,
        "root": root,
        "page": page,
    }


SHADOWED, PARTS = shadowed()


def place_of(part: int) -> int:
    return SHADOWED.index(b"\n%d 0 obj" % part) + 1


@pytest.mark.parametrize(
    "attack",
    [
        revision(SHADOWED, {PARTS["overlay"]: stream(b"")}),
        revision(SHADOWED, {}, freed=(PARTS["overlay"],)),
        revision(SHADOWED, {}, offsets={PARTS["overlay"]: place_of(PARTS["words"])}),
        revision(SHADOWED, {}, root=PARTS["root"]),
        revision(SHADOWED, {}, offsets={trailer_numbers(SHADOWED)[0]: place_of(PARTS["root"])}),
        revision(SHADOWED, {PARTS["overlay"]: stream(OTHER_WORDS)}),
    ],
    ids=["hide", "hide by freeing", "replace by pointing", "hide and replace", "replace the root in place", "replace"],
)
def test_shadows_prepared_before_signing_are_not_called_valid(attack: bytes) -> None:
    assert judge(SHADOWED).valid
    assert not judge(attack).valid


def test_shadows_change_what_is_read() -> None:
    hide = revision(SHADOWED, {PARTS["overlay"]: stream(b"")})
    replace = revision(SHADOWED, {}, offsets={PARTS["overlay"]: place_of(PARTS["words"])})
    both = revision(SHADOWED, {}, root=PARTS["root"])
    assert len({seen(each) for each in (SHADOWED, hide, replace, both)}) >= 3


# --------------------------------------------------------------------------------------------------- further signing


def test_a_sneaky_signature_is_not_called_valid() -> None:
    """A visible signature over what a certification signed, by somebody who is believed."""
    for base in (SIGNED_BY_SOMEBODY, FORBIDS_ALL, ALLOWS_FORMS, ALLOWS_NOTES):
        pdf = sign("b-t", pdf=base, name="Sneaky", box=(60, 600, 500, 800)) if base is not FORBIDS_ALL else None
        if pdf is not None:
            assert judge(pdf).signatures[0].verdict is Verdict.MODIFIED


def test_further_signatures_are_borne_if_nothing_is_to_be_seen_of_them_and_they_are_by_somebody_known() -> None:
    second = sign("b-t", pdf=SIGNED_BY_SOMEBODY, name="Second")
    assert judge(second).valid, judge(second)
    unknown = sign("b-t", pdf=SIGNED_BY_SOMEBODY, name="Second", of=house("strange "))
    report = judge(unknown)
    assert [entry.verdict for entry in report.signatures] == [Verdict.MODIFIED, Verdict.INDETERMINATE]
    assert report.signatures[0].code == "signed_by_unknown_afterwards"


def test_behind_our_own_seal_only_time_stamps_and_validation_data_are_borne() -> None:
    second = sign("b-t", pdf=SIGNED_BY_SOMEBODY, name="Second")
    assert judge(second, own_seals={OWN}).signatures[0].verdict is Verdict.MODIFIED
    archived = sign("b-lta", pdf=contract_pdf())
    assert judge(archived, own_seals={OWN}).valid
    assert judge(stamped(SIGNED_BY_SOMEBODY, SIGNED), own_seals={OWN}).valid
