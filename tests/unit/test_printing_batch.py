import hashlib
import io
import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path

import pikepdf
import pytest
from PIL import ImageChops

from printing.batch import BatchLetter, BatchWriter, merge
from printing.errors import BatchRefused
from printing.manifest import (
    MANIFEST,
    BatchKey,
    Manifest,
    ManifestLetter,
    describe_file,
    file_name,
    is_file_name,
    pack,
    read_manifest,
)
from tests.printing_support import (
    REFUSED_SAMPLES,
    batch_letter,
    changed,
    check_with_qpdf,
    document,
    letter,
    picture,
    real_documents,
    texts_of,
)

NOW = datetime(2026, 11, 23, 17, 50, 1, tzinfo=UTC)
KEY = BatchKey("map", "normal", colour=False, duplex=True, envelope="C5/6", registered=None, language="nl")


def _merged(letters: list[BatchLetter], *, duplex: bool = True) -> tuple[bytes, tuple[ManifestLetter, ...]]:
    out = BytesIO()
    entries = merge(letters, out, duplex=duplex)
    return out.getvalue(), entries


def _raw(number: int, pdf: bytes, sheets: int, *, duplex: bool = True) -> BatchLetter:
    made = batch_letter(number, letter(document("x")))
    entry = replace(made.entry, content_sha256=hashlib.sha256(pdf).hexdigest(), sheets=sheets)
    return BatchLetter(entry, pdf, duplex)


def test_a_batch_shows_every_page_once_as_it_was_composed(tmp_path: Path) -> None:
    sources = [letter(document(f"Brief {number}", "twee"), document("bijlage")) for number in range(3)]
    merged, entries = _merged([batch_letter(number, made) for number, made in enumerate(sources)])
    check_with_qpdf(merged, tmp_path)
    for made, entry in zip(sources, entries, strict=True):
        for page in range(entry.pages):
            difference = ImageChops.difference(picture(made.pdf, page), picture(merged, entry.first_page - 1 + page))
            assert difference.getbbox() is None


PRINTABLE = [path for path in real_documents() if path.name not in REFUSED_SAMPLES]


@pytest.mark.parametrize("path", PRINTABLE, ids=lambda path: path.name)
def test_real_documents_look_the_same_in_a_batch(path: Path, tmp_path: Path) -> None:
    made = letter(path.read_bytes())
    merged, entries = _merged([batch_letter(0, made), batch_letter(1, made)])
    assert [entry.first_page for entry in entries] == [1, made.pages + 1]
    for page in range(0, made.pages, 1 + made.pages // 5):
        assert ImageChops.difference(picture(made.pdf, page), picture(merged, made.pages + page)).getbbox() is None
    check_with_qpdf(merged, tmp_path)


def test_what_letters_share_is_kept_once() -> None:
    made = [letter(document(f"Brief {number}"), reference=f"VB/{number}") for number in range(40)]
    merged, _ = _merged([batch_letter(number, one) for number, one in enumerate(made)])
    assert len(merged) < sum(len(one.pdf) for one in made) / 10
    with pikepdf.open(BytesIO(merged)) as opened:
        programs = {
            page.resources.Font.Regular.DescendantFonts[0].FontDescriptor.FontFile2.objgen
            for page in opened.pages
            if "/Font" in page.resources and "/Regular" in page.resources.Font
        }
    assert len(programs) == 1


def test_a_frozen_batch_can_be_made_again_byte_for_byte() -> None:
    letters = [batch_letter(number, letter(document(f"Brief {number}"))) for number in range(3)]
    assert _merged(letters) == _merged(letters)


def test_letters_are_read_one_at_a_time_and_the_file_grows_meanwhile() -> None:
    made = letter(document("x"))
    seen: list[int] = []
    out = BytesIO()

    def read() -> bytes:
        seen.append(out.tell())
        return made.pdf

    merge((replace(batch_letter(number, made), read=read) for number in range(3)), out)
    assert seen == sorted(set(seen))


def test_a_large_batch_has_a_balanced_page_tree(tmp_path: Path) -> None:
    made = letter(document(*(str(number) for number in range(49))), duplex=False)
    out = BytesIO()
    writer = BatchWriter(out, file="a.pdf", duplex=False)
    for number in range(52):
        writer.add(batch_letter(number, made))
    assert writer.size == out.tell()
    writer.finish()
    with pikepdf.open(BytesIO(out.getvalue())) as opened:
        assert len(opened.pages) == writer.pages == 52 * 50
        assert len(opened.Root.Pages.Kids) == 2
        assert all(len(kid.Kids) <= 50 for kid in opened.Root.Pages.Kids)
    check_with_qpdf(out.getvalue(), tmp_path)


def test_a_single_sided_letter_gets_empty_backs_in_a_two_sided_file() -> None:
    merged, entries = _merged(
        [batch_letter(0, letter(document("A1", "A2"), duplex=False)), batch_letter(1, letter(document("B1")))]
    )
    assert [(entry.first_page, entry.pages, entry.sheets) for entry in entries] == [(1, 6, 3), (7, 4, 2)]
    assert texts_of(merged)[2:6] == ["A1", "", "A2", ""]


def test_an_odd_two_sided_letter_is_filled_up() -> None:
    _, entries = _merged([_raw(0, document("a", "b", "c"), 2), _raw(1, document("d"), 1)])
    assert [(entry.first_page, entry.pages) for entry in entries] == [(1, 4), (5, 2)]


@pytest.mark.parametrize(
    ("one", "duplex", "code"),
    [
        (replace(_raw(0, document("a"), 1), read=b"other"), True, "CONTENT_CHANGED"),
        (_raw(0, b"no pdf", 1), True, "PDF_UNREADABLE"),
        (_raw(0, document("a"), 2), True, "SHEETS_DIFFER"),
        (_raw(0, document("a"), 1), False, "DUPLEX_MIXED"),
    ],
)
def test_a_letter_that_is_not_what_was_frozen_stops_the_batch(one: BatchLetter, *, duplex: bool, code: str) -> None:
    with pytest.raises(BatchRefused) as refused:
        _merged([one], duplex=duplex)
    assert refused.value.code == code


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(BatchRefused) as refused:
        _merged([])
    assert refused.value.code == "BATCH_EMPTY"


def test_inherited_entries_strings_that_look_like_references_and_circles_survive(tmp_path: Path) -> None:
    with pikepdf.open(BytesIO(document("x"))) as pdf:
        page = pdf.pages[0].obj
        pdf.Root.Pages.MediaBox = page.MediaBox
        del page.MediaBox
        circle = pdf.make_indirect(
            pikepdf.Dictionary(Text=rb"a (1 0 R) \ 2 0 R) 3 0 R", Name=pikepdf.Name("/A#20 1 0 R"))
        )
        circle.Self = circle
        circle.Other = pdf.make_indirect(pikepdf.Dictionary(Back=circle, Nothing=None))
        circle.Twice = pikepdf.Array([circle.Other, circle.Other])
        page.Resources.Properties = pikepdf.Dictionary(P=circle)
        out = BytesIO()
        pdf.save(out, static_id=True)
    merged, _ = _merged([_raw(0, out.getvalue(), 1), _raw(1, out.getvalue(), 1)])
    check_with_qpdf(merged, tmp_path)
    with pikepdf.open(BytesIO(merged)) as opened:
        assert [float(value) for value in opened.pages[0].mediabox.as_list()][2:] == pytest.approx([595.276, 841.89])
        for number in (0, 2):
            found = opened.pages[number].resources.Properties.P
            assert bytes(found.Text) == rb"a (1 0 R) \ 2 0 R) 3 0 R"
            assert found.Name == "/A#20 1 0 R"
            assert found.Self.objgen == found.objgen == found.Other.Back.objgen
            assert found.Twice[1].objgen == found.Other.objgen


def test_a_dangling_reference_becomes_nothing() -> None:
    source = changed(document("x"), Group=pikepdf.Dictionary(S=pikepdf.Name.Transparency))
    broken = source.replace(b"/S /Transparency", b"/S 9999 0 R     ")
    assert broken != source
    merged, _ = _merged([_raw(0, broken, 1)])
    with pikepdf.open(BytesIO(merged)) as opened:
        assert "/S" not in opened.pages[0].obj.Group


def test_layers_that_are_equal_but_one_is_hidden_stay_apart() -> None:
    def layered(*, off: bool) -> bytes:
        with pikepdf.open(BytesIO(document("x"))) as pdf:
            group = pdf.make_indirect(pikepdf.Dictionary(Type=pikepdf.Name.OCG, Name="laag"))
            pdf.pages[0].obj.Resources.Properties = pikepdf.Dictionary(L=group)
            pdf.pages[0].contents_add(b"/OC /L BDC 0 g 400 400 50 50 re f EMC")
            hidden = pikepdf.Array([group] if off else [])
            pdf.Root.OCProperties = pikepdf.Dictionary(OCGs=pikepdf.Array([group]), D=pikepdf.Dictionary(OFF=hidden))
            out = BytesIO()
            pdf.save(out, static_id=True)
            return out.getvalue()

    merged, _ = _merged(
        [batch_letter(n, letter(layered(off=off), duplex=False)) for n, off in enumerate((True, False))]
    )
    assert picture(merged, 2).getpixel((425, 842 - 425)) == 255
    assert picture(merged, 6).getpixel((425, 842 - 425)) == 0


def _package(letters: int = 2) -> tuple[Manifest, bytes]:
    merged, entries = _merged([batch_letter(n, letter(document(f"Brief {n}"))) for n in range(letters)])
    files = (describe_file("letters.pdf", BytesIO(merged), entries), describe_file("none.pdf", BytesIO(b"%"), entries))
    manifest = Manifest(7, "VOORBEEL", NOW, KEY, files, entries)
    out = BytesIO()
    pack(manifest, {"letters.pdf": BytesIO(merged), "none.pdf": BytesIO(b"%")}, out)
    return manifest, out.getvalue()


def test_a_package_is_the_same_every_time_and_reads_back_equal() -> None:
    manifest, package = _package()
    assert _package() == (manifest, package)
    assert read_manifest(BytesIO(package)) == manifest
    first, second = manifest.files
    assert (first.letters, first.pages, first.sheets) == (2, 8, 4)
    assert (second.letters, second.size) == (0, 1)


def test_the_manifest_is_canonical_json_that_names_every_letter() -> None:
    manifest, package = _package()
    with zipfile.ZipFile(BytesIO(package)) as archive:
        assert archive.namelist() == [MANIFEST, "letters.pdf", "none.pdf"]
        raw = archive.read(MANIFEST)
        assert all(member.date_time == (1980, 1, 1, 0, 0, 0) for member in archive.infolist())
    value = json.loads(raw)
    assert raw == json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    assert value["schema"] == 2
    assert value["created"] == "2026-11-23T17:50:01Z"
    assert [entry["id"] for entry in value["letters"]] == ["let_0", "let_1"]
    assert value["letters"][1] | {"first_page": 5, "pages": 4, "file": "letters.pdf"} == value["letters"][1]
    assert value["key"]["registered"] is None
    assert manifest.encode() == raw


def _rewritten(package: bytes, name: str, change: bytes | None) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(BytesIO(package)) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.namelist():
            if member != name:
                new.writestr(member, old.read(member))
        if change is not None:
            new.writestr(name, change)
    return out.getvalue()


def test_a_package_that_was_changed_is_refused() -> None:
    manifest, package = _package(1)
    newer = replace(manifest, schema=3).encode()
    for broken, code in (
        (b"no zip", "PACKAGE_UNREADABLE"),
        (_rewritten(package, MANIFEST, None), "PACKAGE_UNREADABLE"),
        (_rewritten(package, MANIFEST, b"{}"), "PACKAGE_UNREADABLE"),
        (_rewritten(package, MANIFEST, newer), "SCHEMA_UNKNOWN"),
        (_rewritten(package, "none.pdf", None), "FILE_DIFFERS"),
        (_rewritten(package, "none.pdf", b"?"), "FILE_DIFFERS"),
        (_rewritten(package, "more.pdf", b"?"), "FILE_DIFFERS"),
    ):
        with pytest.raises(BatchRefused) as refused:
            read_manifest(BytesIO(broken))
        assert refused.value.code == code


def test_a_later_manifest_may_say_more() -> None:
    manifest, package = _package(1)
    more = manifest.encode().replace(b'{"batch"', b'{"alpha":1,"batch"')
    assert read_manifest(BytesIO(_rewritten(package, MANIFEST, more))) == manifest


@pytest.mark.parametrize("files", [{}, {"letters.pdf": b"other", "none.pdf": b"%"}])
def test_nothing_is_packed_that_differs_from_the_manifest(files: dict[str, bytes]) -> None:
    manifest, _ = _package(1)
    with pytest.raises(BatchRefused) as refused:
        pack(manifest, {name: BytesIO(data) for name, data in files.items()}, io.BytesIO())
    assert refused.value.code == "FILE_DIFFERS"


def test_the_file_name_says_sender_batch_and_time_in_utc() -> None:
    local = NOW.astimezone(timezone(timedelta(hours=1)))
    name = file_name("VOORBEEL", 42, local)
    assert name == "PRT_0100_VOORBEEL_0000000042_261123175001_0RQ.ZIP"
    assert is_file_name(name)
    assert not is_file_name(name.replace("ZIP", "TMP"))


@pytest.mark.parametrize(
    ("sender", "batch", "created"),
    [
        ("voorbeel", 1, NOW),
        ("VOORBEEL1", 1, NOW),
        ("VOORBEEL", -1, NOW),
        ("VOORBEEL", 10**10, NOW),
        ("VOORBEEL", 1, NOW.replace(tzinfo=None)),
    ],
)
def test_a_file_name_that_a_print_house_would_refuse_is_never_made(sender: str, batch: int, created: datetime) -> None:
    with pytest.raises(ValueError, match=r"sender|batch"):
        file_name(sender, batch, created)
