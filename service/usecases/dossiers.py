"""A delivery with all that belongs to it, read for a whole chunk at once."""

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.orm import Session

from service.db import deliveries
from service.db.models import DeliveryRow, DocumentRow, LegRow, Organisation
from service.domain import terms
from service.domain.terms import Terms
from service.usecases.context import Context
from service.usecases.personal import Personal, open_personal
from service.vault.errors import KeyDestroyed, KeyLost

log = structlog.get_logger()


@dataclass(kw_only=True)
class Outline:
    """What its sender is shown of a delivery: its row, its documents, and its personal part in the clear."""

    delivery: DeliveryRow
    documents: list[DocumentRow]
    personal: Personal

    @property
    def id(self) -> uuid.UUID:
        """The delivery's id."""
        return self.delivery.id


@dataclass(kw_only=True)
class Dossier(Outline):
    """One delivery's rows, its sender, and its personal part in the clear.

    The rows are plain values: changing one writes nothing. ``Progress`` writes what changed, for a chunk at once.
    """

    legs: list[LegRow]
    organisation: Organisation

    @property
    def terms(self) -> Terms:
        """What it is sent under."""
        return terms.from_json(self.delivery.terms, registered=self.delivery.registered)

    def has_leg(self, number: int) -> bool:
        """Whether it has a leg by this number."""
        return any(leg.number == number for leg in self.legs)

    def leg(self, number: int) -> LegRow:
        """A leg by its number.

        Raises:
            KeyError: there is no such leg.
        """
        for leg in self.legs:
            if leg.number == number:
                return leg
        raise KeyError(number)


def outlines(session: Session, context: Context, rows: Sequence[DeliveryRow]) -> list[Outline]:
    """What is shown of deliveries that were read already, in their order: one query for all.

    Raises:
        KeyLost: the key of one of them is lost; KeyDestroyed likewise.
    """
    documents = deliveries.documents(session, [row.id for row in rows])
    return [
        Outline(
            delivery=row,
            documents=documents[row.id],
            personal=open_personal(context, row.personal, row.organisation_id, row.id),
        )
        for row in rows
    ]


def load(
    session: Session, context: Context, ids: Collection[uuid.UUID], *, lock: bool = False
) -> dict[uuid.UUID, Dossier]:
    """Read deliveries by id; ``lock`` when their state is about to change in this transaction.

    Raises:
        KeyLost: the key of one of them is lost; KeyDestroyed likewise.
    """
    rows = deliveries.by_ids(session, ids, lock=lock)
    senders = deliveries.organisations(session, {row.organisation_id for row in rows.values()})
    legs = deliveries.legs(session, rows)
    documents = deliveries.documents(session, rows)
    _let_go(session, rows.values(), *legs.values(), *documents.values())
    return {
        row.id: Dossier(
            delivery=row,
            legs=legs[row.id],
            documents=documents[row.id],
            organisation=senders[row.organisation_id],
            personal=open_personal(context, row.personal, row.organisation_id, row.id),
        )
        for row in rows.values()
    }


def load_readable(
    session: Session, context: Context, ids: Collection[uuid.UUID], *, lock: bool = False
) -> dict[uuid.UUID, Dossier]:
    """As `load`, without those whose key is lost or destroyed: they must not stop what others wait for."""
    try:
        return load(session, context, ids, lock=lock)
    except (KeyLost, KeyDestroyed):
        found: dict[uuid.UUID, Dossier] = {}
        for each in ids:
            try:
                found |= load(session, context, [each], lock=lock)
            except (KeyLost, KeyDestroyed) as error:
                log.warning("dossier_unreadable", delivery=str(each), code=error.code)
        return found


def lock_again(session: Session, dossiers: Collection[Dossier]) -> None:
    """Lock deliveries that were read before, and take their present state and legs; the rest never changes."""
    ids = [dossier.id for dossier in dossiers]
    rows = deliveries.by_ids(session, ids, lock=True)
    legs = deliveries.legs(session, ids)
    _let_go(session, rows.values(), *legs.values())
    for dossier in dossiers:
        dossier.delivery = rows[dossier.id]
        dossier.legs = legs[dossier.id]


def _let_go(session: Session, *groups: Iterable[DeliveryRow | LegRow | DocumentRow]) -> None:
    """Make rows plain values: a session that still held them would write each change a second time, row by row."""
    for group in groups:
        for row in group:
            session.expunge(row)
