"""What may stand behind a signature without it counting as modified.

Stricter than viewers, which take form entries and new visible fields for harmless: a visible field can cover what was
signed with something else to read. A signature that expressly allows more (DocMDP level 2 or 3) is taken at its word.
Behind a seal of the checker's own nothing is accepted but validation data and document time-stamps.
"""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its constructors without.

from collections.abc import Iterable
from typing import Any, Final

from lxml import etree
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import HistoricalResolver
from pyhanko.sign.diff_analysis import (
    CatalogModificationRule,
    DiffPolicy,
    DocInfoRule,
    DSSCompareRule,
    FieldComparisonContext,
    FieldComparisonSpec,
    FormUpdate,
    FormUpdatingRule,
    GenericFieldModificationRule,
    MetadataUpdateRule,
    ModificationLevel,
    ObjectStreamRule,
    ReferenceUpdate,
    SigFieldCreationRule,
    SigFieldModificationRule,
    StandardDiffPolicy,
    SuspiciousModification,
    XrefStreamRule,
)
from pyhanko.sign.diff_analysis.rules.form_field_rules import is_field_visible
from pyhanko.sign.fields import MDPPerm

_PROGRAMS_KEYS: Final = {"/ModDate", "/Producer"}
"""What programs write into the document information with any update."""
_PROGRAMS_XMP: Final = {"ModifyDate", "MetadataDate", "Producer", "about"}
_PROGRAMS_BEGIN: Final = {"CreateDate", "CreatorTool", "format"}
_RDF: Final = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"


class _InvisibleFieldsOnly(SigFieldCreationRule):
    """New signature fields are welcome as long as there is nothing to see of them."""

    def __init__(self, *, stamps_only: bool) -> None:
        super().__init__()
        self._stamps_only = stamps_only

    def apply(self, context: FieldComparisonContext) -> Iterable[tuple[ModificationLevel, FormUpdate]]:
        for spec in context.field_specs.values():
            if spec.new_field_ref is None:
                continue
            field = spec.new_field_ref.get_object()
            if spec.old_field_ref is None and is_field_visible(field):
                raise SuspiciousModification("A visible field was added after signing.")
            if self._stamps_only and _newly_filled(spec, field) and not _is_stamp(field):
                raise SuspiciousModification("Something was signed again after a seal.")
        yield from super().apply(context)


def _newly_filled(spec: FieldComparisonSpec, field: Any) -> bool:
    """Whether a signature field is new, or was empty when the seal was made."""
    if spec.field_type != "/Sig":
        return False
    if spec.old_field_ref is None:
        return True
    before: Any = spec.old_field_ref.get_object()
    return "/V" in field and "/V" not in before


def _is_stamp(field: Any) -> bool:
    # Its `get` would give the reference.
    value = field["/V"] if "/V" in field else None  # noqa: SIM401
    return isinstance(value, generic.DictionaryObject) and value.raw_get("/Type") == "/DocTimeStamp"


class _ProgramsInfoOnly(DocInfoRule):
    """The document information may say that a program wrote an update; title, author and the like stay."""

    def apply(self, old: HistoricalResolver, new: HistoricalResolver) -> Iterable[ReferenceUpdate]:
        if _said(old) != _said(new):
            raise SuspiciousModification("The document information was changed after signing.")
        yield from super().apply(old, new)


def _said(revision: HistoricalResolver) -> dict[str, str]:
    entries = _info(revision)
    return {str(key): repr(entries[key]) for key in entries if key not in _PROGRAMS_KEYS}


def _info(revision: HistoricalResolver) -> dict[Any, Any]:
    try:
        info = revision.trailer_view["/Info"]
    except KeyError:
        return {}
    return info if isinstance(info, generic.DictionaryObject) else {}


class _ProgramsMetadataOnly(MetadataUpdateRule):
    """The same for XMP. Where there was none, an update may write anew what the document information says already."""

    def apply(self, old: HistoricalResolver, new: HistoricalResolver) -> Iterable[ReferenceUpdate]:
        yield from super().apply(old, new)
        before, after = _described(old), _described(new)
        if before is None and after is not None:
            known = {str(value) for value in _info(old).values()}
            after = {(name, text) for name, text in after if name not in _PROGRAMS_BEGIN and text not in known}
        if (before or set()) != (after or set()):
            raise SuspiciousModification("The document's metadata were changed after signing.")


def _described(revision: HistoricalResolver) -> set[tuple[str, str]] | None:
    """What the XMP of a revision says, by the names of its properties; None without any."""
    try:
        stream: Any = revision.root["/Metadata"]
    except KeyError:
        return None
    root = etree.fromstring(stream.data, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    said = set()
    for element in root.iter(etree.Element):
        told = element.attrib.items() if element.tag == f"{_RDF}Description" else ()
        # Lists of several languages or authors keep their entries in elements of no name of their own.
        names = (each for each in (element, *element.iterancestors()) if not each.tag.startswith(_RDF))
        said |= {(etree.QName(name).localname, text.strip()) for name, text in told}
        if (text := (element.text or "").strip()) and not len(element):
            said.add((etree.QName(next(names)).localname, text))
    return {(name, text) for name, text in said if name not in _PROGRAMS_XMP}


def _policy(form: FormUpdatingRule) -> DiffPolicy:
    return StandardDiffPolicy(
        global_rules=[
            CatalogModificationRule(),
            *(
                rule.as_qualified(ModificationLevel.LTA_UPDATES)
                for rule in (
                    _ProgramsInfoOnly(),
                    XrefStreamRule(),
                    ObjectStreamRule(),
                    DSSCompareRule(),
                    _ProgramsMetadataOnly(),
                )
            ),
        ],
        form_rule=form,
    )


def _strict_form(*, stamps_only: bool) -> FormUpdatingRule:
    return FormUpdatingRule(
        field_rules=[_InvisibleFieldsOnly(stamps_only=stamps_only), SigFieldModificationRule()],
        # Fonts, styles and who draws the fields decide on what is read in them.
        ignored_acroform_keys=frozenset({"/Fields"}),
    )


_STRICT: Final = _policy(_strict_form(stamps_only=False))
_OWN_SEAL: Final = _policy(_strict_form(stamps_only=True))
_FORMS: Final = _policy(
    FormUpdatingRule(field_rules=[SigFieldCreationRule(), SigFieldModificationRule(), GenericFieldModificationRule()])
)


def allows_more(permission: MDPPerm | None) -> bool:
    """Whether a signature that declares ``permission`` expressly welcomes forms filled in and further signatures."""
    return permission in {MDPPerm.FILL_FORMS, MDPPerm.ANNOTATE}


def policy_for(permission: MDPPerm | None, *, own_seal: bool = False) -> DiffPolicy:
    """The policy for a signature that declares ``permission`` (None: it declares nothing)."""
    if own_seal:
        return _OWN_SEAL
    return _FORMS if allows_more(permission) else _STRICT
