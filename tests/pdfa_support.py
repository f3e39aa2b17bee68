"""Whether an update leaves a PDF/A file one: Apache PDFBox's preflight for part 1b, and our own reading of the clauses.

Ours looks at what the update adds and nowhere else: the file before is taken to be what it claims. Clauses are those of
ISO 19005-2 (part 3 has the same), and of ISO 19005-1 where part 1 asks for more.
"""

import io
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pikepdf
import pytest
from pikepdf import Name
from pyhanko.pdf_utils.reader import PdfFileReader

from service.embedded.checks import JARS, JAVA

_DEVICE: Final = frozenset({"g", "G", "rg", "RG", "k", "K", "gs", "sh", "BI", "ri"})
_PRINT, _UNSEEN = 0x4, 0x1 | 0x2 | 0x20 | 0x100
_LONGEST, _DEEPEST = 32_767, 28


def preflight(*files: Path) -> dict[str, str]:
    """What preflight says of each file, by name: nothing when it is PDF/A-1b."""
    jars = [JAVA / f"{jar}.jar" for jar in JARS]
    missing = [str(jar) for jar in jars if not jar.exists()]
    if missing or shutil.which("java") is None:
        what = f"not installed: {', '.join(missing) or 'java'}"
        if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
            pytest.fail(what)
        pytest.skip(what)
    said = {}
    for file in files:
        command = ["java", "-cp", ":".join(map(str, jars)), "org.apache.pdfbox.preflight.Validator_A1b", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert "a valid PDF/A-1b file" in done.stdout, done.stderr
        said[file.name] = "" if "is a valid" in done.stdout else done.stdout
    return said


def faults(before: bytes, after: bytes, *, part: int) -> list[str]:
    """What in the update from ``before`` to ``after`` breaks PDF/A of that part; each with its clause."""
    assert after.startswith(before)
    with pikepdf.open(io.BytesIO(before)) as old, pikepdf.open(io.BytesIO(after)) as new:
        numbers = _added(before, after)
        found = [new.get_object(number, 0) for number in numbers]
        checks = (
            _syntax(after, numbers, part),
            _trailer(new, after, part),
            _document(old, new),
            *(_object(each, part) for each in found),
        )
        return [fault for check in checks for fault in check]


def _added(before: bytes, after: bytes) -> dict[int, int]:
    """Number → place of every object that the update writes."""
    reader = PdfFileReader(io.BytesIO(after))
    first = PdfFileReader(io.BytesIO(before)).xrefs.total_revisions
    found = {}
    for revision in range(first, reader.xrefs.total_revisions):
        for reference in reader.xrefs.explicit_refs_in_revision(revision):
            place = reader.xrefs[reference]
            assert isinstance(place, int), "in an object stream"
            found[reference.idnum] = place
    assert found
    return found


def _syntax(after: bytes, numbers: dict[int, int], part: int) -> Iterator[str]:
    for number, place in numbers.items():
        if (
            re.compile(rb"%d 0 obj[\r\n]" % number).match(after, place) is None
            or after[place - 1 : place] not in b"\r\n"
        ):
            yield f"6.1.9 how object {number} begins"
        length = re.compile(rb"/Length (\d+)[^R]*?>>[\r\n]+stream(\r\n|\n)", re.DOTALL)
        end = after.index(b"endobj", place)
        stream = length.search(after, place, end)
        if stream is not None:
            close = stream.end() + int(stream[1])
            if not re.compile(rb"(\r\n|\n|\r)endstream\s").match(after, close):
                yield f"6.1.7.1 the length of stream {number}"
            end = after.index(b"endobj", close)
        if after[end - 1 : end] not in b"\r\n" or after[end + 6 : end + 7] not in b"\r\n":
            yield f"6.1.9 how object {number} ends"
        dictionary = after[place : stream.start() if stream else end]
        for text in re.findall(rb"(?<!<)<([0-9A-Fa-f\s]*)>(?!>)", dictionary):
            if len(re.sub(rb"\s", b"", text)) % 2:
                yield f"6.1.6 half a byte in {number}"
            if len(text) // 2 > _LONGEST:
                yield f"6.1.13 a string too long in {number}"
        if part == 1 and re.search(rb"/Type\s*/(ObjStm|XRef)", dictionary):
            yield "ISO 19005-1, 6.1.4: compressed objects"


def _trailer(new: pikepdf.Pdf, after: bytes, part: int) -> Iterator[str]:
    if not re.search(rb"%%EOF(\r\n|\n|\r)?\Z", after):
        yield "6.1.3 bytes behind the end"
    if len(new.trailer.get("/ID", ())) != 2:
        yield "6.1.3 no ID"
    if "/Encrypt" in new.trailer:
        yield "6.1.3 encrypted"
    last = int(after[after.rindex(b"startxref") + 9 :].split()[0])
    if part == 1 and not after[last : last + 5].startswith(b"xref"):
        yield "ISO 19005-1, 6.1.4: no cross-reference table"


def _document(old: pikepdf.Pdf, new: pikepdf.Pdf) -> Iterator[str]:
    if old.Root.Metadata.read_raw_bytes() != new.Root.Metadata.read_raw_bytes():
        yield "6.6.2 other metadata"
    if old.Root.get("/OutputIntents") != new.Root.get("/OutputIntents"):
        yield "6.2.3 other output intents"
    if dict(old.docinfo) != dict(new.docinfo):
        yield "6.6.3 other document information"
    if {"/AA", "/OpenAction", "/Requirements"} & new.Root.keys() - old.Root.keys():
        yield "6.5.2 actions"
    form = new.Root.AcroForm
    if form.get("/NeedAppearances", False) or "/XFA" in form:
        yield "6.4.1 appearances left to the reader"
    if new.Root.get("/Perms", {}).keys() - {"/DocMDP", "/UR3"}:
        yield "6.1.12 other permissions"


def _object(found: Any, part: int) -> Iterator[str]:
    if not isinstance(found, pikepdf.Dictionary | pikepdf.Stream):
        return
    looks = {
        "/Widget": _widget,
        "/Sig": _signature,
        "/DocTimeStamp": _signature,
        "/Form": _form,
        "/Image": _image,
        "/Type0": _font,
    }
    look = looks.get(str(found.get("/Subtype"))) or looks.get(str(found.get("/Type")))
    if look is not None:
        yield from look(found, part)
    if isinstance(found, pikepdf.Stream) and {"/F", "/FFilter", "/FDecodeParms"} & found.keys():
        yield "6.1.7.1 a stream elsewhere"
    if found.get("/Filter") in {Name.LZWDecode, Name.Crypt}:
        yield "6.1.7.2 a filter"


def _image(image: Any, part: int) -> Iterator[str]:
    if "/SMask" in image and part == 1:
        yield "ISO 19005-1, 6.4: a soft mask"
    if {"/Alternates", "/OPI"} & image.keys() or image.get("/Interpolate", False):
        yield "6.2.8 an image's entries"
    yield from _space(image.ColorSpace)


def _widget(field: Any, part: int) -> Iterator[str]:
    flags = int(field.get("/F", 0))
    if not flags & _PRINT or flags & _UNSEEN:
        yield "6.3.2 flags"
    if {"/A", "/AA"} & field.keys():
        yield "6.4.1 actions"
    left, bottom, right, top = (float(side) for side in field.Rect)
    appearance = field.get("/AP")
    if appearance is None:
        if part == 1 or (left != right and bottom != top):
            yield "6.3.3 no appearance"
        return
    if set(appearance.keys()) != {"/N"} or not isinstance(appearance.N, pikepdf.Stream):
        yield "6.3.3 what the appearance holds"


def _signature(signature: Any, _part: int) -> Iterator[str]:
    if signature.SubFilter not in {Name("/ETSI.CAdES.detached"), Name("/ETSI.RFC3161")}:
        yield "6.4.3 the kind of signature"
    for reference in signature.get("/Reference", ()):
        if {"/DigestLocation", "/DigestMethod", "/DigestValue"} & reference.keys():
            yield "6.1.12 digests in a reference"


def _form(form: Any, part: int) -> Iterator[str]:
    if {"/OPI", "/PS", "/Ref"} & form.keys() or form.get("/Subtype2") is not None:
        yield "6.2.9 a form's entries"
    if "/Group" in form:
        yield "ISO 19005-1, 6.4: a group" if part == 1 else "6.2.10 a group without a colour space"
    resources = form.get("/Resources")
    if resources is None:
        yield "6.2.2 no resources"
        return
    for space in resources.get("/ColorSpace", pikepdf.Dictionary()).values():
        yield from _space(space)
    yield from _content(form, set(resources.get("/ColorSpace", {}).keys()))


def _content(form: Any, spaces: set[str]) -> Iterator[str]:
    chosen, deepest, depth = set(), 0, 0
    for operands, operator in pikepdf.parse_content_stream(form):
        name = str(operator)
        depth += {"q": 1, "Q": -1}.get(name, 0)
        deepest = max(deepest, depth)
        if name in _DEVICE:
            yield f"6.2.4 colours of a device, by {name}"
        elif name in {"cs", "CS"}:
            chosen.add(name)
            if str(operands[0]) not in spaces:
                yield "6.2.4 a colour space of a device"
        elif {"f": "cs", "Tj": "cs", "S": "CS"}.get(name, "cs") not in chosen and name in {"f", "Tj", "S"}:
            yield f"6.2.4 {name} in the colours of a device"
    if deepest > _DEEPEST:
        yield "6.1.13 too deep"


def _space(space: Any) -> Iterator[str]:
    base = space[1] if space[0] == Name.Indexed else space
    if not isinstance(base, pikepdf.Array) or base[0] not in {Name.CalRGB, Name.CalGray, Name.ICCBased, Name.Lab}:
        yield "6.2.4 a colour space of a device"


def _font(font: Any, _part: int) -> Iterator[str]:
    descendant = font.DescendantFonts[0]
    descriptor = descendant.FontDescriptor
    if font.Encoding != Name("/Identity-H") or descendant.get("/CIDToGIDMap") != Name.Identity:
        yield "6.2.11.3 how glyphs are numbered"
    if not font.BaseFont == descendant.BaseFont == descriptor.FontName or "+" not in str(font.BaseFont):
        yield "6.2.11 names that differ"
    if "/FontFile2" not in descriptor:
        yield "6.2.11.4 not embedded"
        return
    program = descriptor.FontFile2.read_bytes()
    if int(descriptor.FontFile2.Length1) != len(program):
        yield "6.2.11.4 the length of the program"
    tables = {
        tag: program[start : start + size]
        for tag, _, start, size in struct.iter_unpack(
            ">4sLLL", program[12 : 12 + 16 * struct.unpack(">H", program[4:6])[0]]
        )
    }
    count = struct.unpack(">H", tables[b"maxp"][4:6])[0]
    bits = descriptor.CIDSet.read_bytes() if "/CIDSet" in descriptor else b""
    present = {at for at in range(8 * len(bits)) if bits[at // 8] >> (7 - at % 8) & 1}
    if present != set(range(count)):
        yield "6.2.11.4.2 CIDSet"
    unit = struct.unpack(">H", tables[b"head"][18:20])[0]
    advances = [
        round(wide * 1000 / unit) for wide in struct.unpack(f">{2 * count}H", tables[b"hmtx"][: 4 * count])[::2]
    ]
    start, widths = descendant.W
    if advances[int(start) :] != [round(width) for width in widths]:
        yield "6.2.11.5 widths"
    told = re.findall(rb"^<([0-9A-F]{4})> <(?!FFFF>)", font.ToUnicode.read_bytes(), re.MULTILINE)
    mapped = {int(code, 16) for code in told}
    # Parts of composed glyphs come last and are never shown themselves; 0 is for what is missing.
    if not mapped or mapped != set(range(1, max(mapped) + 1)):
        yield "6.2.11.7 characters of glyphs"
