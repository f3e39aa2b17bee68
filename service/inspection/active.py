"""What a document would do, carries and promises: every object is looked at, reachable or not.

Each indirect object is written out by qpdf (names in their one normal form, whatever way the file spells them) and
searched for names that matter. Only objects that hold one are taken apart; most documents have none.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream, String

from service.inspection.opening import Refused
from service.inspection.structure import extent

_TELLING: Final = re.compile(
    rb"/(?:JS|JavaScript|Launch|URI|F|UF|EF|EmbeddedFile|Ref|OPI|XFA|RichMedia\w*|3D|GoTo3DView|Movie|Sound|Screen"
    rb"|Rendition|GoToR|GoToE|SubmitForm|ImportData|ByteRange|DocMDP|Lock)(?![\w.#+-])"
)
_REFUSED_ACTIONS: Final = {
    "/JavaScript": "javascript",
    "/Launch": "launch_action",
    "/Movie": "rich_media",
    "/Sound": "rich_media",
    "/Rendition": "rich_media",
    "/RichMediaExecute": "rich_media",
    "/GoTo3DView": "rich_media",
}
_OUTSIDE_ACTIONS: Final = frozenset({"/GoToR", "/GoToE", "/SubmitForm", "/ImportData"})
_MEDIA: Final = frozenset({"/RichMedia", "/3D", "/Movie", "/Sound", "/Screen"})
_SCRIPT_LINK: Final = re.compile(r"\s*(?:javascript|vbscript|data\s*:\s*text/html)\s*[:,;]", re.IGNORECASE)
_PROGRAM_LINK: Final = re.compile(
    r"\s*file:.*\.(?:exe|com|bat|cmd|ps1|vbs|vbe|js|jse|wsf|hta|scr|pif|msi|lnk|jar|sh|app|command|desktop)\s*$",
    re.IGNORECASE | re.DOTALL,
)
_NO_CHANGES: Final = 1
_FILE_NAME_KEYS: Final = ("/UF", "/F", "/Unix", "/Mac", "/DOS")


@dataclass(slots=True)
class Survey:
    """What was found in one PDF, nothing of it refused so far.

    ``certified``: a signature says which changes may follow; ``forbids_changes``: it says none, or a signed field's
    lock does. ``longest`` is the extent of the longest object, ``longest_text`` the length of the longest one written
    out, streams' data not counted.
    ``attached`` maps the object and generation number of an embedded file to its stream and its names.
    """

    signatures: int = 0
    certified: bool = False
    forbids_changes: bool = False
    outside_action: bool = False
    longest: int = 0
    longest_text: int = 0
    attached: dict[tuple[int, int], tuple[Stream, set[str]]] = field(default_factory=dict)

    def attach(self, stream: Stream, names: set[str]) -> None:
        """Note an embedded file; one that is named twice is one file with two names."""
        known = self.attached.setdefault(stream.objgen, (stream, set()))
        known[1].update(names)


def survey(pdf: pikepdf.Pdf) -> Survey:
    """Look at every object.

    Raises:
        Refused: ``javascript``, ``launch_action``, ``external_stream``, ``xfa_form``, ``rich_media``.
    """
    found = Survey()
    objects: Iterable[Any] = pdf.objects  # numbers and null come as Python values
    longest = longest_text = 0
    for held in objects:
        if isinstance(held, Stream):
            if _TELLING.search(held.stream_dict.unparse(resolved=True)) is not None:
                _judge_stream(held, found)
                _judge_tree(held.stream_dict, found)
        elif isinstance(held, pikepdf.Object):
            text = held.unparse(resolved=True)
            longest, longest_text = max(longest, extent(text)), max(longest_text, len(text))
            if _TELLING.search(text) is not None:
                _judge_tree(held, found)
    found.longest, found.longest_text = longest, longest_text
    return found


def _judge_tree(root: pikepdf.Object, found: Survey) -> None:
    if isinstance(root, Name):
        # `/S 5 0 R` with the action's type in an object of its own.
        _judge_action_type(str(root), found)
    for dictionary in _dictionaries(root):
        _judge_action(dictionary, found)
        _judge_media(dictionary)
        _judge_signature(dictionary, found)
        _judge_attachment(dictionary, found)


def _dictionaries(root: pikepdf.Object) -> Iterator[Dictionary]:
    """The dictionaries written directly inside an object, itself included; what it refers to comes on its own."""
    waiting: list[object] = [root]
    while waiting:
        held = waiting.pop()
        if isinstance(held, Dictionary):
            yield held
            waiting.extend(value for value in held.values() if _is_inside(value))
        elif isinstance(held, Array):
            waiting.extend(value for value in held if _is_inside(value))


def _is_inside(value: object) -> bool:
    return isinstance(value, (Dictionary, Array)) and not value.is_indirect


def _judge_stream(stream: Stream, found: Survey) -> None:
    described = stream.stream_dict
    if isinstance(described.get("/F"), (String, Dictionary)):
        raise Refused("external_stream")
    if isinstance(described.get("/Ref"), Dictionary) or isinstance(described.get("/OPI"), Dictionary):
        raise Refused("external_stream")
    if described.get("/Type") == Name.EmbeddedFile:
        found.attach(stream, set())


def _judge_action_type(kind: str, found: Survey) -> None:
    code = _REFUSED_ACTIONS.get(kind)
    if code is not None:
        raise Refused(code)
    if kind in _OUTSIDE_ACTIONS:
        found.outside_action = True


def _judge_action(dictionary: Dictionary, found: Survey) -> None:
    kind = dictionary.get("/S")
    if isinstance(kind, Name):
        _judge_action_type(str(kind), found)
        if "/JS" in dictionary:
            raise Refused("javascript")
    scripts = dictionary.get("/JavaScript")
    if isinstance(scripts, Dictionary) and ("/Kids" in scripts or len(_entries(scripts)) > 0):
        raise Refused("javascript")
    link = dictionary.get("/URI")
    if isinstance(link, String):
        _judge_link(str(link))


def _entries(tree: Dictionary) -> Array | tuple[()]:
    names = tree.get("/Names")
    return names if isinstance(names, Array) else ()


def _judge_link(link: str) -> None:
    if _SCRIPT_LINK.match(link) is not None:
        raise Refused("javascript")
    if _PROGRAM_LINK.match(link) is not None:
        raise Refused("launch_action")


def _judge_media(dictionary: Dictionary) -> None:
    form = dictionary.get("/XFA")
    if isinstance(form, (Array, Stream, String)):
        raise Refused("xfa_form")
    subtype = dictionary.get("/Subtype")
    if isinstance(subtype, Name) and str(subtype) in _MEDIA:
        raise Refused("rich_media")


def _judge_signature(dictionary: Dictionary, found: Survey) -> None:
    """ISO 32000-2, 12.8: a signature says which bytes it covers; DocMDP (12.8.2.2) says what may still change."""
    if "/ByteRange" in dictionary and isinstance(dictionary.get("/Contents"), String):
        found.signatures += 1
        _judge_certification(dictionary, found)
    lock = dictionary.get("/Lock")
    # 12.7.5.5: a signed field's lock may forbid every later change.
    if isinstance(lock, Dictionary) and lock.get("/P") == _NO_CHANGES and "/V" in dictionary:
        found.forbids_changes = True


def _judge_certification(signature: Dictionary, found: Survey) -> None:
    references = signature.get("/Reference")
    for reference in references if isinstance(references, Array) else ():
        if not isinstance(reference, Dictionary) or reference.get("/TransformMethod") != Name.DocMDP:
            continue
        found.certified = True
        parameters = reference.get("/TransformParams")
        if isinstance(parameters, Dictionary) and parameters.get("/P") == _NO_CHANGES:
            found.forbids_changes = True


def _judge_attachment(dictionary: Dictionary, found: Survey) -> None:
    files = dictionary.get("/EF")
    if not isinstance(files, Dictionary):
        return
    names = {str(name) for name in (dictionary.get(key) for key in _FILE_NAME_KEYS) if isinstance(name, String)}
    for embedded in files.values():
        if isinstance(embedded, Stream):
            found.attach(embedded, names)
