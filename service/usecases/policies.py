"""What a delivery is sent under: the register's entry for its document type, with what the sender chose."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from service.db.models import Organisation
from service.domain import calendar, legal_bases, terms
from service.domain.errors import FieldError, Forbidden
from service.domain.identifiers import RecipientKind
from service.domain.legal_basis import Ending, Entry, Mail, Mode, Register
from service.domain.terms import Terms, Wishes
from service.usecases.context import Context


@dataclass(frozen=True, slots=True)
class Policies:
    """The register as one organisation sends under it on one day.

    Attributes:
        document_types: for each document type the entries' ids, by kind of mail.
    """

    register: Register
    day: date
    document_types: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def entry(self, document_type: str, *, registered: bool) -> Entry:
        """The entry that a document type is sent under."""
        mail = Mail.REGISTERED if registered else Mail.ORDINARY
        usual = legal_bases.REGISTERED if registered else legal_bases.ORDINARY
        named = self.document_types.get(document_type, {}).get(mail.value, usual)
        entry = self.register.current(named, self.day) or self.register.current(usual, self.day)
        assert entry is not None, "the usual entries come with the service"
        return entry

    def terms(
        self,
        document_type: str,
        *,
        registered: bool,
        mode: str | None = None,
        acceptance_days: int | None = None,
        fallback: tuple[str, ...] = (),
    ) -> tuple[Terms, tuple[FieldError, ...]]:
        """The terms of one delivery, and what of the wishes is not allowed."""
        entry = self.entry(document_type, registered=registered)
        wishes = Wishes(
            mode=None if mode is None else Mode(mode),
            acceptance_days=acceptance_days,
            fallback=frozenset(Ending(each) for each in fallback),
        )
        if not registered and mode is not None:
            detail = "Only registered mail has a mode."
            return terms.settle(entry, Wishes())[0], (
                FieldError("/policy/registered_mode", terms.MODE_NOT_ALLOWED, detail),
            )
        return terms.settle(entry, wishes)


def policies_of(context: Context, organisation: Organisation) -> Policies:
    """The register as this organisation sends under it today."""
    return Policies(context.register, calendar.local_date(context.clock()), organisation.document_types)


def of_sender(context: Context, organisation_id: uuid.UUID) -> Policies:
    """The same, for an organisation by its id.

    Raises:
        Forbidden: there is no such organisation any more.
    """
    organisation = context.desk.organisation(context.database, organisation_id)
    if organisation is None:
        raise Forbidden
    return policies_of(context, organisation)


def built_in(day: date) -> Policies:
    """The register as it comes, for an organisation that named nothing."""
    return Policies(legal_bases.load(), day)


def address_required(found: Terms, kind: RecipientKind) -> bool:
    """Whether a letter may become necessary."""
    return terms.address_required(found, postal=kind is RecipientKind.POSTAL)
