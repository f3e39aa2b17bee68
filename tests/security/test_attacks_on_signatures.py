"""The signature itself bent, wrapped or moved: whatever a viewer would make of it, nothing is called valid."""

import re

import pytest

from signing.report import Verdict
from tests.attack_support import (
    OTHER_WORDS,
    Hole,
    container_hex,
    contents_number,
    contract_pdf,
    free_number,
    hole_of,
    last_startxref,
    revision,
    seen,
    signature_number,
    stream,
    with_hole,
    with_range,
)
from tests.longterm_support import judge, sign
from tests.mutation_support import is_said_by

SEALED = sign("b-t", pdf=contract_pdf())
ARCHIVED = sign("b-lta", pdf=contract_pdf(form=False))
HOLE = hole_of(SEALED)


def test_the_documents_are_valid_before_anything_is_done_to_them() -> None:
    assert judge(SEALED).valid
    assert judge(ARCHIVED, require_revocation=True).valid


# -------------------------------------------------------------------------------------------------------- bits


def regions(pdf: bytes, hole: Hole) -> dict[str, range]:
    """The file by what its bytes are for."""
    cms = hole.start + 1 + len(container_hex(pdf))
    return {
        "header": range(16),
        "objects": range(16, hole.start + 1),
        "padding": range(cms, hole.end - 1),
        "behind the hole": range(hole.end - 1, hole.range_start),
        "byte range": range(hole.range_start, hole.range_end),
        "behind the range": range(hole.range_end, pdf.index(b"xref", hole.end)),
        "end": range(pdf.index(b"xref", hole.end), len(pdf)),
    }


@pytest.mark.parametrize("region", regions(SEALED, HOLE))
def test_no_turned_bit_is_called_valid(region: str) -> None:
    places = regions(SEALED, HOLE)[region]
    step = max(1, len(places) // 40)
    for turn, place in enumerate(range(places.start, places.stop, step)):
        turned = bytearray(SEALED)
        turned[place] ^= 1 << turn % 8
        assert not judge(bytes(turned)).valid, place


def test_a_turned_bit_inside_the_signature_adds_nothing_to_what_is_said() -> None:
    # Not every byte in there is signed: certificates sent along, the time-stamp's place. What is said of the document
    # then stays the same or becomes less, or it isn't valid.
    honest = judge(SEALED)
    size = len(container_hex(SEALED))
    for turn, place in enumerate(range(HOLE.start + 1, HOLE.start + 1 + size, 41)):
        turned = bytearray(SEALED)
        turned[place] ^= 1 << turn % 4
        report = judge(bytes(turned))
        assert not report.valid or is_said_by(honest, report), place


def test_no_turned_bit_of_an_archived_document_leaves_the_whole_valid() -> None:
    last = ARCHIVED.rindex(b"/Contents")
    for turn, place in enumerate(range(0, last, len(ARCHIVED) // 60)):
        turned = bytearray(ARCHIVED)
        turned[place] ^= 1 << turn % 8
        assert not judge(bytes(turned)).valid, place


# -------------------------------------------------------------------------------------- universal signature forgery

LENGTHS = [int(each) for each in re.findall(rb"\d+", SEALED[HOLE.range_start : HOLE.range_end])]
A, B, C, D = LENGTHS
RANGES = {
    "missing": b"",
    "null": b"/ByteRange null",
    "empty": b"/ByteRange []",
    "a number": b"/ByteRange 0",
    "a string": b"/ByteRange (0 1 2 3)",
    "a name": b"/ByteRange /All",
    "three numbers": b"/ByteRange [0 %d %d]" % (B, C),
    "six numbers": b"/ByteRange [0 9 9 9 %d %d]" % (C, D),
    "nothing covered": b"/ByteRange [0 0 0 0]",
    "only the first part": b"/ByteRange [0 %d 0 0]" % B,
    "only the second part": b"/ByteRange [0 0 %d %d]" % (C, D),
    "negative start": b"/ByteRange [-1 %d %d %d]" % (B, C, D),
    "negative length": b"/ByteRange [0 -%d %d %d]" % (B, C, D),
    "negative end": b"/ByteRange [0 %d %d -%d]" % (B, C, D),
    "overlapping": b"/ByteRange [0 %d %d %d]" % (B, B - 99, D),
    "the same twice": b"/ByteRange [0 %d 0 %d]" % (B, B),
    "too long": b"/ByteRange [0 %d %d %d]" % (B, C, D + 999),
    "too short": b"/ByteRange [0 %d %d %d]" % (B, C, D - 9),
    "huge": b"/ByteRange [0 %d %d 99999999999]" % (B, C),
    "starts later": b"/ByteRange [9 %d %d %d]" % (B - 9, C, D),
    "real numbers": b"/ByteRange [0.0 %d %d %d]" % (B, C, D),
    "strings": b"/ByteRange [(0) %d %d %d]" % (B, C, D),
    "nulls": b"/ByteRange [null null null null]",
    "an array inside": b"/ByteRange [[0 %d %d %d]]" % (B, C, D),
    "references": b"/ByteRange [1 0 R 1 0 R 1 0 R 1 0 R]",
    "swapped": b"/ByteRange [%d %d 0 %d]" % (C, D, B),
    "wider hole": b"/ByteRange [0 %d %d %d]" % (B - 50, C, D),
}


@pytest.mark.parametrize("variant", RANGES)
def test_an_odd_byte_range_is_not_called_valid(variant: str) -> None:
    assert len(RANGES[variant]) <= HOLE.range_end - HOLE.range_start, "the file's other places would move"
    assert not judge(with_range(SEALED, RANGES[variant])).valid


HEX = container_hex(SEALED)
CONTENTS = {
    "null": b"null",
    "empty": b"<>",
    "a zero": b"<00>",
    "zeros": b"<" + b"00" * 2000 + b">",
    "an empty string": b"()",
    "a string": b"(signed)",
    "a number": b"0",
    "a name": b"/Signed",
    "an array": b"[<" + HEX + b">]",
    "a reference to nothing": b"9999 0 R",
    "not hexadecimal": b"<" + b"zz" * 100 + b">",
    "half a byte": b"<" + HEX[:-1] + b">",
    "cut": b"<" + HEX[:600] + b">",
    "nonsense": b"<30030201ff>",
    "an empty sequence": b"<3000>",
    "endless": b"<3080" + HEX[8:] + b">",
    "spaces in it": b"< " + HEX[:100] + b" " + HEX[100:] + b">",
    "something behind it": b"<" + HEX + b"deadbeef>",
    "a comment behind it": b"<" + HEX + b"> % later",
    "twice": b"<" + HEX + b"><" + HEX[:8] + b">",
}


@pytest.mark.parametrize("variant", CONTENTS)
def test_odd_contents_are_not_called_valid(variant: str) -> None:
    assert not judge(with_hole(SEALED, CONTENTS[variant])).valid


def test_a_signature_without_contents_is_not_called_valid() -> None:
    name = SEALED.rindex(b"/Contents", 0, HOLE.start)
    assert not judge(SEALED[:name] + b"/Kontents" + SEALED[name + 9 :]).valid


@pytest.mark.parametrize(
    "entry",
    [b"/SubFilter /ETSI.CAdES.detacheX", b"/SubFilter /adbe.pkcs7.sha1", b"/SubFilter (odd)", b"/SubFilterX /Odd", b""],
)
def test_an_odd_subfilter_is_not_called_valid(entry: bytes) -> None:
    found = re.search(rb"/SubFilter\s*/ETSI\.CAdES\.detached", SEALED)
    assert found is not None
    assert not judge(SEALED[: found.start()] + entry.ljust(found.end() - found.start()) + SEALED[found.end() :]).valid


@pytest.mark.parametrize("entry", [b"/ByteRange", b"/Contents"])
def test_a_signature_that_is_redefined_by_a_later_revision_is_not_called_valid(entry: bytes) -> None:
    number = signature_number(SEALED)
    start = SEALED.index(b"%d 0 obj" % number)
    body = SEALED[SEALED.index(b"<<", start) : SEALED.index(b"endobj", start)]
    odd = {b"/ByteRange": b"/ByteRange [0 1 2 3]", b"/Contents": b"/Contents <00>"}[entry]
    bent = re.sub(re.escape(entry) + rb"\s*(\[[^\]]*\]|<[^>]*>)", odd, body)
    assert bent != body
    assert not judge(revision(SEALED, {number: bent})).valid
    # The very same signature once more, as incremental saving attacks bring it to please viewers.
    assert not judge(revision(SEALED, {number: body, contents_number(SEALED): stream(OTHER_WORDS)})).valid
    # And somewhere else, so that it must be fetched over another object.
    elsewhere = free_number(SEALED)
    assert not judge(revision(SEALED, {elsewhere: body, number: b"%d 0 R" % elsewhere})).valid


# -------------------------------------------------------------------------------------------------- wrapping


def wrapped(behind: bytes) -> bytes:
    """Something put behind the signature, in the room of its padding: the covered bytes stay what they were."""
    return with_hole(SEALED, b"<" + HEX + b">" + behind)


@pytest.mark.parametrize(
    "behind",
    [
        b"",
        b" ",
        b"/ByteRange [0 %d %d %d]" % (B, C, D),
        b"/Reason (something else)",
        b">>\nendobj\n99 0 obj\n<</Type /Catalog>>",
        b"\n" + b"%" * 40,
    ],
    ids=["shorter", "a space", "a second range", "another entry", "an object", "a comment"],
)
def test_something_in_the_signatures_room_is_not_called_valid(behind: bytes) -> None:
    pdf = wrapped(behind)
    assert pdf[: HOLE.start] + pdf[HOLE.end :] == SEALED[: HOLE.start] + SEALED[HOLE.end :]
    report = judge(pdf)
    assert report.verdict in {Verdict.INVALID, Verdict.INDETERMINATE}, report


def test_objects_that_wait_in_the_signatures_room_are_never_shown_as_signed() -> None:
    number = contents_number(SEALED)
    hidden = b"\n%d 0 obj\n%s\nendobj\n" % (number, stream(OTHER_WORDS))
    pdf = wrapped(hidden)
    at = pdf.index(hidden) + 1
    attack = revision(pdf, {}, offsets={number: at})
    assert seen(attack) != seen(SEALED), "the attack shows nothing: it proves nothing either"
    assert not judge(attack).valid


def test_a_second_part_that_was_moved_is_not_called_valid() -> None:
    """Signature wrapping: the signed end of the file stands further down, and something else in between."""
    evil = b"\n%d 0 obj\n%s\nendobj\n" % (contents_number(SEALED), stream(OTHER_WORDS))
    moved = SEALED[: HOLE.end] + evil + SEALED[HOLE.end :]
    assert not judge(moved).valid
    further = C + len(evil)
    assert not judge(with_range(moved, b"/ByteRange [0 %d %d %d]" % (B, further, D))).valid
    again = SEALED[:C] + evil + SEALED[C:] + SEALED[C:]
    assert not judge(with_range(again, b"/ByteRange [0 %d %d %d]" % (B, len(again) - D, D))).valid


def test_a_signature_of_another_document_is_not_called_valid() -> None:
    other = sign("b-t", pdf=contract_pdf(form=False))
    assert not judge(with_hole(SEALED, b"<" + container_hex(other) + b">")).valid
    start = last_startxref(SEALED)
    assert not judge(SEALED[:start] + other[last_startxref(other) :]).valid
