"""Whether a PDF is tagged as PDF/UA-1 (ISO 14289-1) and level A of PDF/A-3 want it; clauses are those of PDF/UA-1.

Only what a program can judge: that a heading is a heading is for people to say.
"""

import io
import re
from collections.abc import Iterator
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name

_BEGIN, _END = frozenset({"BDC", "BMC"}), "EMC"
_PAINTING = frozenset({"Tj", "TJ", "'", '"', "f", "F", "f*", "B", "B*", "b", "b*", "S", "s", "sh", "Do", "EI"})
_TYPES = frozenset({
    "Document", "Part", "Art", "Sect", "Div", "BlockQuote", "Caption", "TOC", "TOCI", "Index", "NonStruct", "Private",
    "P", "H", "H1", "H2", "H3", "H4", "H5", "H6", "L", "LI", "Lbl", "LBody", "Table", "TR", "TH", "TD", "THead",
    "TBody", "TFoot", "Span", "Quote", "Note", "Reference", "BibEntry", "Code", "Link", "Annot", "Ruby", "Warichu",
    "Figure", "Formula", "Form",
})  # fmt: skip


def structure_faults(pdf: bytes) -> list[str]:
    """What of the tagging is not as it must be."""
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        if "/StructTreeRoot" not in opened.Root:
            return ["7.1: there is no structure tree"]
        checks = (_document(opened), _contents(opened), _tree(opened), _headings(opened), _annotations(opened))
        return [fault for check in checks for fault in check]


def _document(pdf: pikepdf.Pdf) -> Iterator[str]:
    root = pdf.Root
    if not root.get("/MarkInfo", Dictionary()).get("/Marked"):
        yield "6.2: not marked as tagged"
    if root.get("/MarkInfo", Dictionary()).get("/Suspects"):
        yield "7.1: the tagging is suspect"
    if not re.fullmatch(r"[a-z]{2}-[A-Z]{2}", str(root.get("/Lang", ""))):
        yield "7.2: no language"
    if not root.get("/ViewerPreferences", Dictionary()).get("/DisplayDocTitle"):
        yield "7.1: the title is not shown"
    for spec in root.get("/AF", Array()):
        if not all(str(spec.get(key, "")) for key in ("/F", "/UF", "/Desc", "/AFRelationship")):
            yield "7.11: an attachment without a name, a description or its relation"


def _contents(pdf: pikepdf.Pdf) -> Iterator[str]:
    """All that is painted is real content or an artifact, and all real content hangs in the tree."""
    for number, page in enumerate(pdf.pages):
        parents = _parents(pdf, page.obj.get("/StructParents"))
        depth, seen = 0, set()
        for operands, operator in pikepdf.parse_content_stream(page):
            word = str(operator)
            if word in _BEGIN:
                depth += 1
                if word == "BDC" and isinstance(operands[1], Dictionary) and "/MCID" in operands[1]:
                    seen.add(int(operands[1].MCID))
            elif word == _END:
                depth -= 1
            elif word in _PAINTING and depth == 0:
                yield f"7.1: page {number + 1} paints ({word}) outside the tagging"
        if depth:
            yield f"7.1: page {number + 1} leaves marks open"
        if seen - set(range(len(parents))) or any(parents[each] is None for each in seen):
            yield f"7.1: page {number + 1} has content that no element owns"


def _parents(pdf: pikepdf.Pdf, key: Any) -> list[Any]:
    tree = pikepdf.NumberTree(pdf.Root.StructTreeRoot.ParentTree)
    return [] if key is None or int(key) not in tree else list(tree[int(key)])


def _elements(node: Any) -> Iterator[Any]:
    if isinstance(node, Array):
        for child in node:
            yield from _elements(child)
    elif isinstance(node, Dictionary) and "/S" in node:
        yield node
        yield from _elements(node.get("/K", Array()))


def _kind(pdf: pikepdf.Pdf, element: Any) -> str:
    roles, kind = pdf.Root.StructTreeRoot.get("/RoleMap", Dictionary()), str(element.S)
    return str(roles[kind])[1:] if kind in roles else kind[1:]


def _tree(pdf: pikepdf.Pdf) -> Iterator[str]:
    for element in _elements(pdf.Root.StructTreeRoot.K):
        kind = _kind(pdf, element)
        if kind not in _TYPES:
            yield f"7.1: {kind} is no standard type and stands for none"
        if kind in {"Figure", "Formula"} and not str(element.get("/Alt", "")):
            yield f"7.3: a {kind} without a description"
        if kind == "TH" and not _scope(element):
            yield "7.5: a table's header that does not say what it heads"
        if kind == "LI" and not {_kind(pdf, each) for each in element.K} <= {"Lbl", "LBody"}:
            yield "7.6: a list's item that is none"


def _scope(element: Any) -> bool:
    attributes = element.get("/A", Array())
    listed = attributes if isinstance(attributes, Array) else [attributes]
    return any(each.get("/Scope") in {Name.Row, Name.Column, Name.Both} for each in listed)


def _headings(pdf: pikepdf.Pdf) -> Iterator[str]:
    kinds = [_kind(pdf, element) for element in _elements(pdf.Root.StructTreeRoot.K)]
    last = 0
    for level in (int(kind[1]) for kind in kinds if re.fullmatch(r"H[1-6]", kind)):
        if level > last + 1:
            yield f"7.4: a heading of level {level} after one of level {last}"
        last = level
    if last == 0:
        yield "7.4: no heading"


def _annotations(pdf: pikepdf.Pdf) -> Iterator[str]:
    for number, page in enumerate(pdf.pages):
        annotations = page.obj.get("/Annots", Array())
        if len(annotations) and page.obj.get("/Tabs") != Name.S:
            yield f"7.18: page {number + 1} is not walked in the order of its structure"
        for each in annotations:
            left, bottom, right, top = (float(side) for side in each.Rect)
            # One that takes no room is not seen, so it needs no place in the reading order (7.18.1).
            if right > left and top > bottom and "/StructParent" not in each:
                yield f"7.18: page {number + 1} has an annotation that is not tagged"
