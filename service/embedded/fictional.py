"""The fictional world of the demonstration and the tests: who sends, who receives, and what is sent.

Nobody here exists. The numbers have right check digits, so that they pass every check; names, addresses and
organisations are invented and say so where people see them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from service.identity.scopes import Scope

AGENCY_SCOPES: Final = (
    Scope.DELIVERIES_WRITE,
    Scope.DELIVERIES_READ,
    Scope.RECIPIENTS_LOOKUP,
    Scope.VALIDATIONS_WRITE,
    Scope.SIGNATURES_WRITE,
    Scope.WEBHOOKS_WRITE,
)
PLATFORM: Final = "platform"
"""In place of an organisation's slug: who runs the service itself."""


@dataclass(frozen=True, slots=True)
class Organisation:
    """Somebody who sends. ``slug`` names it in the database, its seal and its client (``<slug>-demo``).

    Attributes:
        shows_seals: whether its seals can be seen.
        document_types: the entries of the legal-basis register that its document types are sent under.
        shares_envelopes: its letters to one addressee may share an envelope.
    """

    slug: str
    name: str
    number: str
    return_address: tuple[str, ...]
    contact: str
    shows_seals: bool = False
    document_types: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    shares_envelopes: bool = False

    @property
    def client_id(self) -> str:
        """The program that hands in for it."""
        return f"{self.slug}-demo"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can log in at the demonstration's identity provider.

    Attributes:
        login: what the provider calls them.
        does: ``receive`` with a number of their own; ``send`` and ``operate`` for an organisation.
        about: one line for the log-in page.
        number: their national register number, or None.
        organisation: the slug of the organisation they act for, or None.
    """

    login: str
    name: str
    does: Literal["send", "receive", "operate"]
    about: str
    language: str
    number: str | None = field(default=None, repr=False)
    organisation: str | None = None

    def for_provider(self) -> dict[str, object]:
        """The person as the provider's people file has it."""
        claims: dict[str, object] = {"locale": self.language, "acr": "substantial"}
        if self.number is not None:
            claims["rrn"] = self.number
        return {"login": self.login, "name": self.name, "about": self.about, "claims": claims}


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody a document can be for.

    Attributes:
        activated: the demonstration activates their mailbox.
        registered: it agrees to registered mail there for them.
    """

    key: str
    name: str
    kind: Literal["citizen", "enterprise", "postal"]
    number: str | None = field(repr=False)
    address: Mapping[str, str] = field(repr=False)
    activated: bool = False
    registered: bool = False

    @property
    def person(self) -> Person | None:
        """The person who reads this mailbox, if they can log in here."""
        return next((person for person in PEOPLE if self.number and person.number == self.number), None)


@dataclass(frozen=True, slots=True)
class Sample:
    """A document that the demonstration hands in; ``reference`` is the sender's, and stays the same for ever."""

    reference: str
    document: str
    sender: str
    recipient: str
    subject: str
    document_type: str
    language: str
    registered: bool = False
    attachments: tuple[str, ...] = ()
    broken: bool = False

    @property
    def idempotency_key(self) -> str:
        """The same at every start, so that nothing is handed in twice."""
        return f"demo-{self.reference}"

    def as_json(self) -> dict[str, Any]:
        """The part ``delivery`` of the hand-in."""
        return request(
            RECIPIENTS[self.recipient],
            reference=self.reference,
            subject=self.subject,
            document_type=self.document_type,
            language=self.language,
            registered=self.registered,
        )


def request(recipient: Recipient, **fields: Any) -> dict[str, Any]:
    """The JSON of a hand-in for a recipient of this world; ``fields`` complete it."""
    who: dict[str, Any] = {"type": recipient.kind, "name": recipient.name}
    if recipient.number is not None:
        who["id"] = recipient.number
    return {"recipient": who, "postal_address": dict(recipient.address), **fields}


TAX: Final = Organisation(
    "tax", "Fictieve Belastingdienst", "OVO999901", ("Fictieve Belastingdienst", "Voorbeeldlaan 1", "1000 Brussel"),
    "belastingen@voorbeeld.test",
    document_types={
        "formal-notice": {"registered": "example-consent"},
        "confidential-notice": {"registered": "example-hidden-sender"},
    },
)  # fmt: skip
MUNICIPALITY: Final = Organisation(
    "voorbeeldegem", "Gemeente Voorbeeldegem (fictief)", "OVO999902",
    ("Gemeente Voorbeeldegem", "Dorpsplein 1", "9990 Voorbeeldegem"), "gemeente@voorbeeld.test",
    shows_seals=True,
    shares_envelopes=True,
)  # fmt: skip
ORGANISATIONS: Final = (TAX, MUNICIPALITY)

PEOPLE: Final = (
    Person("an", "An Peeters", "receive", "citizen with a mailbox, in Dutch", "nl", "85073003328"),
    Person("cem", "Cem Aydin", "receive", "citizen with a mailbox, in French", "fr", "94022722580"),
    Person("lena", "Lena Wouters", "receive", "citizen with a mailbox, in English", "en", "98472899765"),
    Person("jan", "Jan Claes", "receive", "citizen who gets paper, and can activate a mailbox", "nl", "17073003384"),
    Person("tine", "Tine Maes", "send", "clerk of the tax agency", "nl", organisation="tax"),
    Person("bram", "Bram Jacobs", "send", "clerk of the municipality", "nl", organisation="voorbeeldegem"),
    Person("olga", "Olga Smet", "operate", "operator of the service and its printing", "en", organisation=PLATFORM),
    Person("otto", "Otto Maes", "operate", "operator who confirms what Olga proposes", "nl", organisation=PLATFORM),
)


def _at(name: str, street: str, number: str, postcode: str, municipality: str, **more: str) -> dict[str, str]:
    return {
        "name": name,
        "street": street,
        "number": number,
        "postcode": postcode,
        "municipality": municipality,
        "country": "BE",
        **more,
    }


_EVERYBODY: Final = (
    Recipient(
        "an", "An Peeters", "citizen", "85073003328",
        _at("An Peeters", "Kerkstraat", "12", "9000", "Gent", box="3"), activated=True,
    ),
    Recipient(
        "cem", "Cem Aydin", "citizen", "94022722580",
        _at("Cem Aydin", "Rue de l'Exemple", "4", "5000", "Namur"), activated=True, registered=True,
    ),
    Recipient(
        "lena", "Lena Wouters", "citizen", "98472899765",
        _at("Lena Wouters", "Voorbeeldstraat", "7", "3000", "Leuven"), activated=True, registered=True,
    ),
    Recipient("jan", "Jan Claes", "citizen", "17073003384", _at("Jan Claes", "Molenweg", "88", "8500", "Kortrijk")),
    Recipient(
        "mia", "Mia Lambert", "citizen", "01490700185",
        _at("Mia Lambert", "Place Fictive", "2", "4000", "Liège", box="11"),
    ),
    Recipient("tom", "Tom De Wilde", "citizen", "85073500107", _at("Tom De Wilde", "Dorp", "1", "2200", "Herentals")),
    Recipient(
        "bakery", "Bakkerij Verzonnen bv", "enterprise", "1999999943",
        _at("Bakkerij Verzonnen bv", "Markt", "5", "2800", "Mechelen"),
    ),
    Recipient(
        "abroad", "Piet Jansen", "postal", None,
        _at("Piet Jansen", "Voorbeeldkade", "10", "1012 AB", "Amsterdam", country="NL"),
    ),
)  # fmt: skip
RECIPIENTS: Final = {recipient.key: recipient for recipient in _EVERYBODY}

SAMPLES: Final = (
    Sample(
        "2026-AJ-000123", "receipt-nl-reportlab.pdf", "tax", "an", "Ontvangstbewijs onroerende voorheffing 2026",
        "tax-receipt", "nl",
    ),
    Sample(
        "2026-AJ-000124", "letter-fr-chromium.pdf", "tax", "cem", "Avertissement-extrait de rôle 2026",
        "tax-assessment", "fr", attachments=("attachment-fr.pdf",),
    ),
    Sample("2026-AJ-000125", "signed-nl.pdf", "tax", "lena", "Attest, al ondertekend", "attestation", "nl"),
    Sample("2026-AJ-000126", "scan-fr.pdf", "tax", "mia", "Copie d'un ancien dossier", "file-copy", "fr"),
    Sample(
        "2026-AJ-000127", "notice-nl-ghostscript.pdf", "tax", "jan", "Aanslagbiljet personenbelasting 2026",
        "tax-assessment", "nl",
    ),
    Sample(
        "2026-AJ-000128", "notice-nl-ghostscript.pdf", "tax", "an", "Aanmaning, aangetekend", "reminder", "nl",
        registered=True,
    ),
    Sample(
        "2026-AJ-000129", "form-filled-fr.pdf", "tax", "cem", "Formulaire rempli", "form", "fr",
    ),
    Sample(
        "2026-AJ-000130", "permit-nl-libreoffice.pdf", "tax", "tom", "Beschadigd bestand", "tax-assessment", "nl",
        broken=True,
    ),
    Sample(
        "2026-AJ-000131", "letter-fr-chromium.pdf", "tax", "cem", "Mise en demeure, à accepter", "formal-notice", "fr",
        registered=True,
    ),
    Sample(
        "2026-AJ-000132", "notice-nl-ghostscript.pdf", "tax", "lena", "Aanmaning, aangetekend in de mailbox",
        "reminder", "nl", registered=True,
    ),
    Sample(
        "2026-AJ-000133", "receipt-nl-reportlab.pdf", "tax", "bakery", "Ontvangstbewijs bedrijfsvoorheffing",
        "tax-receipt", "nl",
    ),
    Sample(
        "OMV-2026-0017", "permit-nl-pdfa.pdf", "voorbeeldegem", "lena", "Omgevingsvergunning", "permit", "nl",
        attachments=("attest-nl-pdfa2b.pdf", "attest-de-pdfa3b.pdf"),
    ),
    Sample(
        "OMV-2026-0018", "permit-nl-libreoffice.pdf", "voorbeeldegem", "tom", "Omgevingsvergunning", "permit", "nl",
    ),
    # To the same addressee: both go in one envelope.
    Sample("OMV-2026-0021", "attest-nl-pdfa2b.pdf", "voorbeeldegem", "tom", "Attest bij de vergunning", "permit", "nl"),
    Sample(
        "OMV-2026-0019", "report-60-pages-nl.pdf", "voorbeeldegem", "cem", "Milieurapport, 60 bladzijden", "report",
        "nl",
    ),
    Sample(
        "OMV-2026-0020", "landscape-and-turned-nl-cairo.pdf", "voorbeeldegem", "abroad", "Plan, liggend", "plan", "nl",
    ),
)  # fmt: skip


def people_for_provider() -> Sequence[dict[str, object]]:
    """Everybody who can log in, as the embedded identity provider wants them."""
    return [person.for_provider() for person in PEOPLE]
