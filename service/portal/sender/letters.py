"""The form of a new letter: filled in by a clerk, sent as the hand-in of the API, its problems beside the fields."""

import secrets
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import msgspec

from service.domain.countries import COUNTRIES
from service.domain.errors import FieldError
from service.domain.identifiers import RecipientKind
from service.domain.legal_basis import Ending, Mode
from service.portal.forms import Form
from service.portal.languages import N_
from service.portal.wording import Wording
from service.usecases.admission import Upload

TEXTS: Final = (
    "kind", "number", "name", "attention_of", "street", "house_number", "box", "postcode", "municipality", "country",
    "subject", "document_type", "language", "reference", "registered", "registered_mode", "acceptance_days",
    "after_refusal", "seen",
)  # fmt: skip
"""Every field that holds text."""
FILES: Final[Mapping[str, str]] = MappingProxyType({"document": "document", "attachments": "attachment"})
"""Every field that holds files, and the role of its files."""

KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        RecipientKind.CITIZEN.value: N_("A person"),
        RecipientKind.ENTERPRISE.value: N_("A company or association"),
        RecipientKind.ADMINISTRATION.value: N_("A government body"),
        RecipientKind.POSTAL.value: N_("Somebody whose number I do not know"),
    }
)
NUMBER_LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        RecipientKind.CITIZEN.value: N_("National register number"),
        RecipientKind.ENTERPRISE.value: N_("Enterprise number"),
        RecipientKind.ADMINISTRATION.value: N_("OVO code or enterprise number"),
    }
)
DOCUMENT_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "letter": N_("Letter"),
        "decision": N_("Decision"),
        "tax-assessment": N_("Tax assessment"),
        "permit": N_("Permit"),
        "invitation": N_("Invitation"),
        "invoice": N_("Invoice"),
        "reminder": N_("Reminder"),
        "certificate": N_("Certificate"),
    }
)
"""What every clerk can choose; programs of the organisation may use other types as well."""
NAMED_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {"formal-notice": N_("Formal notice"), "confidential-notice": N_("Confidential notice")}
)
"""Words for further types, which clerks can choose where the organisation sends them under an entry it named."""

# Where the hand-in's problems belong on the form; a pointer below one of these belongs there too.
_PLACES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "/recipient/type": "kind",
        "/recipient/id": "number",
        "/recipient/name": "name",
        "/attention_of": "attention_of",
        "/postal_address/name": "name",
        "/postal_address/attention_of": "attention_of",
        "/postal_address/street": "street",
        "/postal_address/number": "house_number",
        "/postal_address/box": "box",
        "/postal_address/postcode": "postcode",
        "/postal_address/municipality": "municipality",
        "/postal_address/country": "country",
        "/postal_address": "street",
        "/subject": "subject",
        "/document_type": "document_type",
        "/language": "language",
        "/reference": "reference",
        "/document": "document",
        "/attachment": "attachments",
        "/registered": "registered",
        "/policy/registered_mode": "registered_mode",
        "/policy/acceptance_days": "acceptance_days",
        "/policy/fallback": "after_refusal",
    }
)
_SENDING: Final = TEXTS.index("registered")
ORDER: Final = (*TEXTS[:_SENDING], "document", "attachments", *TEXTS[_SENDING:])
"""The fields in the order of the page, for the summary of problems."""


@dataclass(frozen=True)
class LetterForm:
    """A form as it is shown.

    Attributes:
        values: text fields by name.
        key: sent along once, so that a form that is sent twice makes one letter.
        problems: field → what is wrong with it, in words, in the order of the page.
        general: what is wrong with no field in particular.
    """

    values: Mapping[str, str] = field(repr=False)
    key: str
    problems: Mapping[str, str] = field(default_factory=dict)
    general: str = ""


def document_types(named: Iterable[str]) -> dict[str, str]:
    """What a clerk of an organisation can choose: what all can, and the types it named entries of the register for."""
    return {**DOCUMENT_TYPES, **{code: NAMED_TYPES.get(code, code) for code in named if code not in DOCUMENT_TYPES}}


def blank(language: str) -> LetterForm:
    """An empty form."""
    values = dict.fromkeys(TEXTS, "") | {"country": "BE", "language": language, "document_type": "letter"}
    return LetterForm(values | {"kind": RecipientKind.CITIZEN.value}, new_key())


def with_problems(
    values: Mapping[str, str], errors: Iterable[FieldError], wording: Wording, *, general: str = ""
) -> LetterForm:
    """The form again, with what is wrong beside its fields and a key of its own."""
    found: dict[str, str] = {}
    for error in errors:
        found_at = place(error.pointer or "", _PLACES)
        if found_at is None:
            general = general or wording.field_error(error)
        else:
            found.setdefault(found_at, wording.field_error(error))
    ordered: dict[str, str] = {name: found[name] for name in ORDER if name in found}
    return LetterForm(values, new_key(), ordered, general)


def new_key() -> str:
    """An Idempotency-Key for one form."""
    return f"form-{secrets.token_urlsafe(18)}"


def texts(form: Form) -> dict[str, str]:
    """What was filled in."""
    return {name: form.text(name) for name in TEXTS}


def hand_in_json(values: Mapping[str, str]) -> bytes:
    """The hand-in's JSON, as a program of the organisation would send it."""
    kind = values["kind"]
    recipient: dict[str, Any] = {"type": kind, "name": values["name"]}
    if kind != RecipientKind.POSTAL.value:
        recipient["id"] = values["number"]
    address = {
        "name": values["name"],
        "street": values["street"],
        "number": values["house_number"],
        "box": values["box"] or None,
        "postcode": values["postcode"],
        "municipality": values["municipality"],
        "country": values["country"],
    }
    return msgspec.json.encode(
        {
            "reference": values["reference"],
            "recipient": recipient,
            "postal_address": address,
            "attention_of": values["attention_of"] or None,
            "subject": values["subject"],
            "document_type": values["document_type"],
            "language": values["language"],
            "registered": values["registered"] == "yes",
            "policy": policy_json(values),
        }
    )


def policy_json(values: Mapping[str, str]) -> dict[str, Any] | None:
    """What was chosen of how registered mail is brought; None for ordinary mail."""
    if values["registered"] != "yes":
        return None
    days = values["acceptance_days"]
    consent = values["registered_mode"] == Mode.CONSENT
    return {
        "registered_mode": values["registered_mode"] or None,
        # What is no number goes on as it is: the hand-in says what is wrong with it.
        "acceptance_days": ((int(days) if days.isdecimal() else days) or None) if consent else None,
        "fallback": [Ending.REFUSED.value] if consent and values["after_refusal"] == "yes" else [],
    }


def uploads(form: Form) -> list[Upload]:
    """The files that were chosen, the letter first."""
    return [Upload(role, file.filename, file.content) for name, role in FILES.items() for file in form.chosen(name)]


def missing_files(chosen: Sequence[Upload]) -> list[FieldError]:
    """What is wrong with the choice of files itself; the hand-in looks at the rest."""
    main = sum(upload.role == FILES["document"] for upload in chosen)
    if main == 1:
        return []
    return [FieldError("/document", "document_repeated" if main else "document_missing", "")]


def countries(locale: Any) -> list[tuple[str, str]]:
    """Codes and names, in the order of the reader's language, Belgium first."""
    named = [(code, str(locale.territories.get(code, code))) for code in COUNTRIES]
    return sorted(named, key=lambda each: (each[0] != "BE", _unaccented(each[1])))


def place(pointer: str, places: Mapping[str, str]) -> str | None:
    """The field that a pointer belongs to: the one it names, or the nearest above it."""
    while pointer:
        if pointer in places:
            return places[pointer]
        pointer = pointer.rpartition("/")[0]
    return None


def _unaccented(name: str) -> str:
    """A name as it is put in order: Égypte among the E, Österreich among the O."""
    letters = unicodedata.normalize("NFKD", name)
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).casefold()
