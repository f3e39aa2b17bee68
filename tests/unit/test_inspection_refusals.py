"""What is refused and why: each document is examined in this process, without the walls."""

import io
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, Stream, String

from service.inspection.codes import CODES, NOTES, REFUSALS
from service.inspection.examine import examine
from service.inspection.findings import Answer
from service.inspection.limits import MIB, InspectionLimits
from service.inspection.opening import bound_decoders
from tests import inspection_support as made
from tests.printing_support import form

LIMITS = InspectionLimits(
    size=4 * MIB, pages=5, attachments=3, attachment_bytes=MIB, stream_bytes=8 * MIB, unpacked_bytes=16 * MIB
)


@pytest.fixture(autouse=True)
def _bounded_decoders() -> Iterator[None]:
    before = bound_decoders(LIMITS)
    yield
    pikepdf.settings.set_qpdf_limits(**before)  # type: ignore[arg-type]


def look(data: bytes) -> Answer:
    return examine(data, LIMITS)


def annotation(**keys: Any) -> Callable[[pikepdf.Pdf], None]:
    def change(pdf: pikepdf.Pdf) -> None:
        pdf.pages[0].obj.Annots = Array([pdf.make_indirect(Dictionary(Type=Name.Annot, Rect=[0, 0, 9, 9], **keys))])

    return change


def script() -> Dictionary:
    return Dictionary(S=Name.JavaScript, JS=String("app.alert(1)"))


def javascript_in_names(pdf: pikepdf.Pdf) -> None:
    pdf.Root.Names = Dictionary(JavaScript=Dictionary(Names=Array([String("a"), pdf.make_indirect(script())])))


def javascript_without_a_type(pdf: pikepdf.Pdf) -> None:
    entry = pdf.make_indirect(Dictionary(JS=String("app.alert(1)")))
    pdf.Root.Names = Dictionary(JavaScript=Dictionary(Names=Array([String("a"), entry])))


def javascript_in_page_events(pdf: pikepdf.Pdf) -> None:
    pdf.pages[0].obj.AA = Dictionary(O=script())


def javascript_in_catalogue_events(pdf: pikepdf.Pdf) -> None:
    pdf.Root.AA = Dictionary(WC=pdf.make_indirect(script()))


def javascript_in_a_field(pdf: pikepdf.Pdf) -> None:
    field = Dictionary(FT=Name.Tx, T=String("sum"), AA=Dictionary(C=script()))
    pdf.Root.AcroForm = Dictionary(Fields=Array([pdf.make_indirect(field)]))


def javascript_as_a_next_action(pdf: pikepdf.Pdf) -> None:
    pdf.Root.OpenAction = Dictionary(S=Name.GoTo, D=Array([0, Name.Fit]), Next=Array([script()]))


def javascript_in_a_stream(pdf: pikepdf.Pdf) -> None:
    code = pdf.make_indirect(Stream(pdf, b"app.alert(1)"))
    pdf.Root.OpenAction = Dictionary(S=Name.JavaScript, JS=code)


def javascript_in_an_outline(pdf: pikepdf.Pdf) -> None:
    item = pdf.make_indirect(Dictionary(Title=String("x"), A=script()))
    pdf.Root.Outlines = pdf.make_indirect(Dictionary(Type=Name.Outlines, First=item, Last=item, Count=1))


def javascript_nobody_refers_to(pdf: pikepdf.Pdf) -> None:
    pdf.Root.Hidden = pdf.make_indirect(script())


def type_in_an_object_of_its_own(pdf: pikepdf.Pdf) -> None:
    pdf.Root.OpenAction = Dictionary(S=pdf.make_indirect(Name.Launch), F=String("x"))


JAVASCRIPT = [
    made.document(made.action(S=Name.JavaScript, JS=String("app.alert(1)"))),
    *map(
        made.document,
        (
            javascript_in_names,
            javascript_without_a_type,
            javascript_in_page_events,
            javascript_in_catalogue_events,
            javascript_in_a_field,
            javascript_as_a_next_action,
            javascript_in_a_stream,
            javascript_in_an_outline,
            javascript_nobody_refers_to,
            annotation(Subtype=Name.Link, A=script()),
            annotation(Subtype=Name.Link, A=Dictionary(S=Name.URI, URI=String("JavaScript:alert(1)"))),
            annotation(Subtype=Name.Link, A=Dictionary(S=Name("/Unheard-of"), JS=String("x"))),
        ),
    ),
    # The same name spelt with escapes, as a reader would undo them.
    made.document(made.action(S=Name.JavaScript)).replace(b"/JavaScript", b"/Java#53cript"),
    made.raw_document(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /J#61vaScript /JS (1) >> >>",
            2: b"<< /Type /Pages /Kids [ 3 0 R ] /Count 1 >>",
            3: b"<< /Type /Page /Parent 2 0 R /MediaBox [ 0 0 9 9 ] >>",
        }
    ),
    made.written(
        pikepdf.open(io.BytesIO(made.document(javascript_in_names))),
        object_stream_mode=pikepdf.ObjectStreamMode.generate,
    ),
]


def encrypted(**how: object) -> bytes:
    pdf = pikepdf.open(io.BytesIO(made.document()))
    return made.written(pdf, encryption=pikepdf.Encryption(**how))  # type: ignore[arg-type]


def external_stream(pdf: pikepdf.Pdf) -> None:
    content = Stream(pdf, b"")
    content.stream_dict.F = Dictionary(Type=Name.Filespec, F=String("http://host.invalid/page"))
    pdf.pages[0].obj.Contents = pdf.make_indirect(content)


def external_page(pdf: pikepdf.Pdf) -> None:
    form = Stream(pdf, b"")
    form.stream_dict.Subtype = Name.Form
    form.stream_dict.Ref = Dictionary(F=String("other.pdf"), Page=0)
    pdf.pages[0].obj.Resources = Dictionary(XObject=Dictionary(X=pdf.make_indirect(form)))


def xfa(pdf: pikepdf.Pdf) -> None:
    pdf.Root.AcroForm = Dictionary(Fields=Array([]), XFA=pdf.make_indirect(Stream(pdf, b"<xdp/>")))


def huge_image() -> bytes:
    return made.with_stream(b"\x00", Subtype=Name.Image, Width=60_000, Height=60_000)


def many_attachments() -> bytes:
    def change(pdf: pikepdf.Pdf) -> None:
        for number in range(LIMITS.attachments + 1):
            pdf.attachments[f"{number}.txt"] = b"x"

    return made.document(change)


def protected_archive() -> bytes:
    packed = bytearray(made.archive({"letter.txt": b"secret"}))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        packed[packed.index(mark) + place] |= 1
    return bytes(packed)


def nested_archive(depth: int) -> bytes:
    content = made.archive({"letter.txt": b"text"})
    for _ in range(depth):
        content = made.archive({"more.zip": content})
    return content


EXECUTABLES = [
    ("letter.txt", made.PROGRAM),
    ("letter.txt", b"\x7fELF\x02\x01\x01"),
    ("letter.txt", b"\xcf\xfa\xed\xfe"),
    ("letter.txt", b"\xca\xfe\xba\xbe"),
    ("letter.txt", b"#!/bin/sh\n"),
    ("letter.exe", b"nothing of the kind"),
    ("LETTER.PDF.JS", b"x"),
    ("letter.bat . ", b"x"),
    ("letter.zip", made.archive({"folder/setup.msi": b"x"})),
    ("letter.zip", made.archive({"letter.txt": made.PROGRAM})),
    ("letter.zip", made.archive({"inner.zip": made.archive({"run.ps1": b"x"})})),
    ("sums.xlsx", made.archive({"xl/vbaProject.bin": b"x"})),
    ("letter.pdf", made.attached("a.exe", b"x")),
]

CASES: dict[str, list[bytes]] = {
    "not_a_pdf": [
        b"",
        b"Hello",
        b"%PDF",
        b"<html></html>",
        b"\x00" * 2000 + made.document(),
        b"From: somebody\n\n" + made.document(),
    ],
    "polyglot": [
        made.archive({"a.txt": b"x"})[:200] + made.document(),
        b"GIF89a" + made.document(),
        b"MZ" + made.document(),
        made.document() + made.archive({"a.txt": b"x"}),
        made.document() + made.archive({"a.txt": b"x"}) + b"",
        made.document() + b"\n<html><script>alert(1)</script></html>",
        made.document() + b"\n#!/bin/sh\n",
        made.document()[:257].ljust(257) + b"ustar" + made.document(),
    ],
    "too_large": [b"%PDF-1.7\n" + bytes(LIMITS.size)],
    "encrypted": [encrypted(owner="a", user="b"), encrypted(owner="a", user=""), encrypted(owner="a", user="b", R=4)],
    "damaged": [
        b"%PDF-1.7\n",
        made.document()[:100],
        made.looping_pages(),
        made.nested(5000),
        made.with_stream(b"not deflated", Filter=Name.FlateDecode)[:-60],
    ],
    "damaged_signed": [made.without_cross_references(made.signed())],
    "no_pages": [made.document(pages=0)],
    "too_many_pages": [made.document(pages=LIMITS.pages + 1)],
    "launch_action": [
        made.document(made.action(S=Name.Launch, F=String("calc.exe"))),
        made.document(type_in_an_object_of_its_own),
        made.document(annotation(Subtype=Name.Link, A=Dictionary(S=Name.URI, URI=String("file:///C:/calc.exe")))),
    ],
    "external_stream": [made.document(external_stream), made.document(external_page)],
    "javascript": JAVASCRIPT,
    "xfa_form": [made.document(xfa)],
    "form_values_unseen": [
        form("Peeters", appearance="", anew=True),
        form("Peeters", appearance="  ", anew=True, kind="Ch"),
    ],
    "rich_media": [
        made.document(annotation(Subtype=Name(f"/{kind}"))) for kind in ("RichMedia", "Movie", "Sound", "Screen", "3D")
    ],
    "embedded_executable": [made.attached(name, content) for name, content in EXECUTABLES],
    "attachment_unreadable": [
        made.attached("letter.zip", protected_archive()),
        made.attached("letter.zip", nested_archive(6)),
        made.attached("letter.pdf", encrypted(owner="a", user="b")),
    ],
    "too_many_attachments": [many_attachments()],
    "too_large_unpacked": [
        made.with_stream(made.deflated_zeros(64 * MIB), Filter=Name.FlateDecode),
        made.attached("zeros.txt", bytes(2 * MIB)),
        made.attached("zeros.zip", made.archive({"zeros.txt": bytes(2 * MIB)})),
        huge_image(),
    ],
    "certified_no_changes": [made.signed(1), made.signed(lock=1)],
}
ELSEWHERE = {
    "malware": "tests/contract/test_malware_scanners.py",
    "too_complex": "tests/integration/test_document_bombs.py",
    "inspection_crashed": "tests/integration/test_inspection_sandbox.py",
    "inspection_timeout": "tests/integration/test_inspection_sandbox.py",
    "inspection_memory": "tests/integration/test_inspection_sandbox.py",
}


@pytest.mark.parametrize(
    ("code", "data"),
    [pytest.param(code, data, id=f"{code}-{n}") for code in CASES for n, data in enumerate(CASES[code])],
)
def test_each_kind_of_bad_document_is_refused_with_its_code(code: str, data: bytes) -> None:
    assert look(data).findings.refusal == code


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(form("Peeters", appearance="Peeters", anew=True), id="it shows the value"),
        pytest.param(form("Peeters", anew=True), id="it shows nothing of its own"),
        pytest.param(form("Peeters", appearance=""), id="no viewer is asked to draw"),
        pytest.param(form(" ", appearance="", anew=True), id="nothing is filled in"),
        pytest.param(form("Peeters", appearance="", anew=True, flags=2), id="it is hidden"),
    ],
)
def test_a_form_that_shows_what_was_filled_in_or_that_nobody_draws_is_taken(data: bytes) -> None:
    assert look(data).findings.refusal is None


def test_every_code_of_refusal_has_a_test() -> None:
    assert set(CASES) | set(ELSEWHERE) == set(REFUSALS)
    for code, place in ELSEWHERE.items():
        assert f'"{code}"' in (made.DOCUMENTS.parents[1] / place).read_text(encoding="utf-8")


def test_every_code_has_one_sentence_that_ends() -> None:
    assert set(REFUSALS).isdisjoint(NOTES)
    for code, sentence in CODES.items():
        assert code.isidentifier()
        assert code == code.lower()
        assert sentence[0].isupper()
        assert sentence.endswith(".")


def test_a_bomb_of_a_gigabyte_is_refused_without_unpacking_it() -> None:
    once = made.deflated_zeros(1024 * MIB)
    twice = made.with_stream(zlib.compress(once, 9), Filter=Array([Name.FlateDecode, Name.FlateDecode]))
    assert look(made.with_stream(once, Filter=Name.FlateDecode)).findings.refusal == "too_large_unpacked"
    assert len(twice) < 20_000
    assert look(twice).findings.refusal == "too_large_unpacked"
