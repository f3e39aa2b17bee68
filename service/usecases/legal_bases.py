"""The register's entries as they are published: anybody can read what a delivery was sent under."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import msgspec

from service.domain.errors import NotFound
from service.domain.legal_basis import Entry
from service.usecases.context import Context
from service.usecases.views import EffectRuleView, LegalBasisView


class DaysView(msgspec.Struct, frozen=True):
    """Days that a sender may choose within bounds."""

    usual: int
    least: int
    most: int


class EntryView(msgspec.Struct, frozen=True):
    """One version of one entry; ``sha256`` is of its file, which evidence names.

    ``example`` ones are fictional: they show what the register can say, and are no law. ``fallback`` says what follows
    each way in which the mailbox brings nothing.
    """

    id: str
    version: int
    sha256: str
    example: bool
    title: Mapping[str, str]
    text: str
    source: str
    mail: str
    in_force_from: date
    modes: list[str]
    acceptance_days: DaysView | None
    end_moves: bool
    extended_by_unavailability: bool
    hides_sender: bool
    unread_days: int | None
    remind_after: list[int]
    remind_before_end: list[int]
    fallback: dict[str, str]
    effect: list[EffectRuleView]


@dataclass(frozen=True, slots=True)
class Published:
    """An entry and its file, byte by byte."""

    view: EntryView
    file: bytes = field(repr=False)


def published(context: Context, entry_id: str, version: int) -> Published:
    """One version of an entry.

    Raises:
        NotFound: ``legal_basis_unknown``: there is none.
    """
    entry = context.register.version(entry_id, version)
    if entry is None:
        raise NotFound("There is no such entry of the register.", code="legal_basis_unknown")
    return Published(entry_view(entry), entry.raw)


def entry_view(entry: Entry) -> EntryView:
    """An entry as it is published."""
    days = entry.acceptance
    return EntryView(
        id=entry.id,
        version=entry.version,
        sha256=entry.sha256,
        example=entry.example,
        title=dict(entry.title),
        text=entry.text,
        source=entry.source,
        mail=entry.mail.value,
        in_force_from=entry.in_force_from,
        modes=[mode.value for mode in entry.modes],
        acceptance_days=None if days is None else DaysView(days.usual, days.least, days.most),
        end_moves=entry.end_moves,
        extended_by_unavailability=entry.extended,
        hides_sender=entry.hides_sender,
        unread_days=entry.unread_days,
        remind_after=list(entry.remind_after),
        remind_before_end=list(entry.remind_before),
        fallback={ending.value: way.value for ending, way in entry.fallback.items()},
        effect=[EffectRuleView(rule.on.value, rule.working_days) for rule in entry.effect],
    )


def named(context: Context, basis: LegalBasisView | None) -> EntryView | None:
    """The entry that a delivery names, if it names one that is still in the register."""
    entry = None if basis is None else context.register.version(basis.id, basis.version)
    return None if entry is None else entry_view(entry)
