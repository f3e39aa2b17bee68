"""What may stand behind a signature without it counting as modified.

Stricter than viewers, which take form entries and new visible fields for harmless: a visible field can cover what was
signed with something else to read. A signature that expressly allows more (DocMDP level 2 or 3) is taken at its word.
"""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its constructors without.

from collections.abc import Iterable

from pyhanko.sign.diff_analysis import (
    DEFAULT_DIFF_POLICY,
    CatalogModificationRule,
    DiffPolicy,
    DocInfoRule,
    DSSCompareRule,
    FieldComparisonContext,
    FormUpdate,
    FormUpdatingRule,
    MetadataUpdateRule,
    ModificationLevel,
    ObjectStreamRule,
    SigFieldCreationRule,
    SigFieldModificationRule,
    StandardDiffPolicy,
    SuspiciousModification,
    XrefStreamRule,
)
from pyhanko.sign.diff_analysis.rules.form_field_rules import is_field_visible
from pyhanko.sign.fields import MDPPerm


class _InvisibleFieldsOnly(SigFieldCreationRule):
    """New signature fields are welcome as long as there is nothing to see of them."""

    def apply(self, context: FieldComparisonContext) -> Iterable[tuple[ModificationLevel, FormUpdate]]:
        for spec in context.field_specs.values():
            added = None if spec.old_field_ref else spec.new_field_ref
            if added and is_field_visible(added.get_object()):
                raise SuspiciousModification("A visible field was added after signing.")
        yield from super().apply(context)


_STRICT = StandardDiffPolicy(
    global_rules=[
        CatalogModificationRule(),
        *(
            rule.as_qualified(ModificationLevel.LTA_UPDATES)
            for rule in (DocInfoRule(), XrefStreamRule(), ObjectStreamRule(), DSSCompareRule(), MetadataUpdateRule())
        ),
    ],
    form_rule=FormUpdatingRule(field_rules=[_InvisibleFieldsOnly(), SigFieldModificationRule()]),
)


def policy_for(permission: MDPPerm | None) -> DiffPolicy:
    """The policy for a signature that declares ``permission`` (None: it declares nothing)."""
    if permission in {MDPPerm.FILL_FORMS, MDPPerm.ANNOTATE}:
        return DEFAULT_DIFF_POLICY
    return _STRICT
