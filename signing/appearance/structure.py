"""A visible seal in a tagged document: an element of the structure, so that screen readers come to it (ISO 14289-1)."""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its constructors without.

from typing import Any, Final, NamedTuple

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from signing.appearance.geometry import entry

_DEEPEST: Final = 32


class _Leaf(NamedTuple):
    """The end of the parent tree: the nodes that lead there, and its last key."""

    path: list[generic.DictionaryObject]
    numbers: generic.ArrayObject
    last: int


def tag(
    writer: IncrementalPdfFileWriter,
    widget: generic.IndirectObject,
    page: generic.IndirectObject,
    *,
    description: str,
    language: str,
) -> bool:
    """Put the widget into the document's structure as a form with a description, last of all.

    Returns:
        Whether that was done: a document without structure, or with one that isn't sound, is left as it is.
    """
    root = entry(writer.root, "/StructTreeRoot")
    leaf = _last_leaf(root) if isinstance(root, generic.DictionaryObject) else None
    parent = _parent(root) if leaf is not None else None
    if leaf is None or parent is None:
        return False
    told = entry(root, "/ParentTreeNextKey")
    key = max(leaf.last + 1, int(told) if isinstance(told, int) else 0)
    element = writer.add_object(
        generic.DictionaryObject(
            {
                pdf_name("/Type"): pdf_name("/StructElem"),
                pdf_name("/S"): pdf_name("/Form"),
                pdf_name("/P"): generic.IndirectObject(*_numbers_of(parent), writer),
                pdf_name("/Pg"): page,
                pdf_name("/Alt"): generic.pdf_string(description),
                pdf_name("/Lang"): generic.pdf_string(language),
                pdf_name("/K"): generic.DictionaryObject(
                    {pdf_name("/Type"): pdf_name("/OBJR"), pdf_name("/Obj"): widget, pdf_name("/Pg"): page}
                ),
            }
        )
    )
    kids = parent.raw_get("/K") if "/K" in parent else None
    found = kids.get_object() if kids is not None else None
    if isinstance(found, generic.ArrayObject):
        found.append(element)
        writer.update_container(found)
    else:
        parent[pdf_name("/K")] = generic.ArrayObject([element] if kids is None else [kids, element])
        writer.update_container(parent)
    _append(writer, leaf, key, element)
    root[pdf_name("/ParentTreeNextKey")] = generic.NumberObject(key + 1)
    writer.update_container(root)
    annotation = widget.get_object()
    annotation[pdf_name("/StructParent")] = generic.NumberObject(key)
    shown = page.get_object()
    if "/Tabs" not in shown:
        # From field to field in the order of the structure (ISO 14289-1, 7.18.3).
        shown[pdf_name("/Tabs")] = pdf_name("/S")
        writer.update_container(shown)
    return True


def _append(writer: IncrementalPdfFileWriter, leaf: _Leaf, key: int, element: generic.IndirectObject) -> None:
    number = generic.NumberObject(key)
    leaf.numbers.extend([number, element])
    writer.update_container(leaf.numbers)
    for node in leaf.path:
        limits = entry(node, "/Limits")
        if isinstance(limits, generic.ArrayObject) and len(limits) > 1:
            limits[1] = number
            writer.update_container(limits)


def _last_leaf(root: generic.DictionaryObject) -> _Leaf | None:
    """The leaf of the parent tree that has the largest keys (ISO 32000-1, 7.9.7), or None when the tree isn't sound."""
    node: Any = entry(root, "/ParentTree")
    path: list[generic.DictionaryObject] = []
    while isinstance(node, generic.DictionaryObject) and len(path) < _DEEPEST:
        path.append(node)
        numbers = entry(node, "/Nums")
        if isinstance(numbers, generic.ArrayObject):
            return _leaf(path, numbers)
        kids = entry(node, "/Kids")
        node = kids[-1] if isinstance(kids, generic.ArrayObject) and kids else None
    return None


def _leaf(path: list[generic.DictionaryObject], numbers: generic.ArrayObject) -> _Leaf | None:
    if len(numbers) % 2:
        return None
    keys = [key.get_object() for key in list(numbers)[::2]]
    if not all(isinstance(key, int) for key in keys):
        return None
    return _Leaf(path, numbers, int(max(keys, default=-1)))


def _parent(root: generic.DictionaryObject) -> generic.DictionaryObject | None:
    """The one element that holds the whole document where there is one, else the root itself."""
    kids = entry(root, "/K")
    if isinstance(kids, generic.ArrayObject) and len(kids) == 1:
        kids = kids[0]
    if isinstance(kids, generic.DictionaryObject) and entry(kids, "/S") == "/Document" and _is_own_object(kids):
        return kids
    return root if _is_own_object(root) else None


def _is_own_object(found: generic.DictionaryObject) -> bool:
    # Something inside another object has no number of its own that an element could name as its parent.
    return isinstance(found.container_ref, generic.Reference) and found.container_ref.get_object() is found


def _numbers_of(found: generic.DictionaryObject) -> tuple[int, int]:
    assert isinstance(found.container_ref, generic.Reference)
    return found.container_ref.idnum, found.container_ref.generation
