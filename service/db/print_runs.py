"""Queries over runs of print houses: what waits, what is planned, what is held back."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import func, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.db.base import among
from service.db.models import PrintBatch, PrintCutoff, PrintLetter
from service.db.print_models import PrintDeposit, PrintForecast, PrintHold
from service.domain.print_envelopes import Envelope
from service.domain.print_runs import Waiting

_FREE = (PrintLetter.batch_id.is_(None), PrintLetter.deposit_id.is_(None))

_WAITING = (
    PrintLetter.delivery_id,
    PrintLetter.leg,
    PrintLetter.attempt,
    PrintLetter.postcode,
    PrintLetter.sheets,
    PrintLetter.queued_at,
    literal(""),
    PrintLetter.size,
    PrintLetter.set_number,
    PrintLetter.product,
    PrintLetter.share_key,
)
"""The columns of `Waiting`."""


def products(session: Session) -> list[str]:
    """The kinds (batch keys) of the letters that wait for a run, held ones too."""
    return sorted(session.scalars(select(PrintLetter.product).where(*_FREE).distinct()))


def waiting(session: Session, keys: Collection[str], *, limit: int | None) -> list[Waiting]:
    """The letters of these kinds that wait and are not held, the oldest first, locked until the transaction ends."""
    query = (
        select(*_WAITING)
        .where(*_FREE, PrintLetter.product.in_(keys), PrintLetter.held_at.is_(None))
        .order_by(PrintLetter.queued_at, PrintLetter.delivery_id, PrintLetter.leg, PrintLetter.attempt)
        .with_for_update()
    )
    if limit is not None:
        query = query.limit(limit)
    return [Waiting(*row) for row in session.execute(query)]


def with_kin(session: Session, keys: Collection[str]) -> list[Waiting]:
    """Those of the letters that wait of which another may share the envelope."""
    free = (*_FREE, PrintLetter.product.in_(keys), PrintLetter.held_at.is_(None), PrintLetter.share_key.is_not(None))
    several = select(PrintLetter.share_key).where(*free).group_by(PrintLetter.share_key).having(func.count() > 1)
    query = select(*_WAITING).where(*free, PrintLetter.share_key.in_(several))
    return [Waiting(*row) for row in session.execute(query)]


def counted(
    session: Session, keys: Collection[str], *, held: bool = False, without: Collection[uuid.UUID] = ()
) -> dict[str, tuple[int, int]]:
    """How many letters and sheets of each of these kinds wait for a run; with ``held``, how many are held.

    Those that may share an envelope of the deliveries ``without`` don't count.
    """
    query = (
        select(PrintLetter.product, func.count(), func.sum(PrintLetter.sheets))
        .where(*_FREE, PrintLetter.product.in_(keys))
        .where(PrintLetter.held_at.is_not(None) if held else PrintLetter.held_at.is_(None))
        .group_by(PrintLetter.product)
    )
    if without:
        query = query.where(PrintLetter.share_key.is_(None) | (~among(PrintLetter.delivery_id, without)))
    return {key: (count, sheets) for key, count, sheets in session.execute(query)}


def waits(session: Session) -> list[tuple[str, bool, int, datetime]]:
    """What waits for a run: its kind (batch key), whether it is held one by one, how many, and since when."""
    held = PrintLetter.held_at.is_not(None)
    query = select(PrintLetter.product, held, func.count(), func.min(PrintLetter.queued_at)).where(*_FREE)
    found = session.execute(query.group_by(PrintLetter.product, held))
    return [(key, is_held, count, since) for key, is_held, count, since in found]


def full_at(session: Session, printer: str, product: str) -> datetime | None:
    """When the last run that left letters behind was planned, for want of room; None for never."""
    query = select(func.max(PrintDeposit.planned_at)).where(PrintDeposit.waiting > 0)
    return session.scalar(query.where(PrintDeposit.printer == printer, PrintDeposit.product == product))


def left_behind(session: Session, key: str, *, before: datetime) -> tuple[int, datetime | None]:
    """How many letters of a kind, not held, wait since before that moment, and since when the oldest does."""
    query = select(func.count(), func.min(PrintLetter.queued_at)).where(*_FREE, PrintLetter.product == key)
    row = session.execute(query.where(PrintLetter.held_at.is_(None), PrintLetter.queued_at <= before)).one()
    return int(row[0]), row[1]


def oldest(session: Session, keys: Collection[str]) -> datetime | None:
    """Since when the oldest letter of these kinds waits for a run."""
    return session.scalar(select(func.min(PrintLetter.queued_at)).where(*_FREE, PrintLetter.product.in_(keys)))


def used(session: Session, printer: str, product: str, day: date) -> tuple[int, int]:
    """The letters and sheets that a print house got on a day."""
    query = select(func.coalesce(func.sum(PrintDeposit.letters), 0), func.coalesce(func.sum(PrintDeposit.sheets), 0))
    row = session.execute(
        query.where(PrintDeposit.printer == printer, PrintDeposit.product == product, PrintDeposit.planned_on == day)
    ).one()
    return int(row[0]), int(row[1])


def plan(session: Session, deposit: PrintDeposit, envelopes: Sequence[Envelope], keys: Sequence[str | None]) -> None:
    """Write a run: its envelopes in their order, and the batch key of each that several letters share."""
    session.add(deposit)
    session.flush()
    letters = [(letter, each, key) for each, key in zip(envelopes, keys, strict=True) for letter in each.letters]
    statement = text(
        """
        UPDATE print_letter SET deposit_id = :deposit, run_sequence = given.place, presort = given.presort,
               envelope_set = given.envelope_set, envelope_product = given.envelope_product
        FROM unnest(CAST(:deliveries AS uuid[]), CAST(:legs AS smallint[]), CAST(:attempts AS smallint[]),
                    CAST(:presorts AS text[]), CAST(:sets AS bigint[]), CAST(:products AS text[]))
             WITH ORDINALITY AS given(delivery_id, leg, attempt, presort, envelope_set, envelope_product, place)
        WHERE print_letter.delivery_id = given.delivery_id AND print_letter.leg = given.leg
          AND print_letter.attempt = given.attempt
        """
    )
    session.execute(
        statement,
        {
            "deposit": deposit.id,
            "deliveries": [letter.delivery_id for letter, _, _ in letters],
            "legs": [letter.leg for letter, _, _ in letters],
            "attempts": [letter.attempt for letter, _, _ in letters],
            "presorts": [letter.presort for letter, _, _ in letters],
            "sets": [each.letters[0].set_number if len(each.letters) > 1 else None for _, each, _ in letters],
            "products": [key for _, _, key in letters],
        },
    )


def open_deposit(session: Session) -> PrintDeposit | None:
    """The oldest run that is planned and not cut to its end."""
    query = select(PrintDeposit).where(PrintDeposit.closed_at.is_(None))
    return session.scalar(query.order_by(PrintDeposit.planned_at, PrintDeposit.id).limit(1).with_for_update())


def next_letters(session: Session, deposit: uuid.UUID, *, limit: int) -> Sequence[PrintLetter]:
    """The letters of a run that are in no batch yet, of the kind that comes first, in their order."""
    cut_as = func.coalesce(PrintLetter.envelope_product, PrintLetter.product)
    left = select(cut_as).where(PrintLetter.batch_id.is_(None), PrintLetter.deposit_id == deposit)
    key = session.scalar(left.order_by(PrintLetter.run_sequence).limit(1))
    query = (
        select(PrintLetter)
        .where(PrintLetter.batch_id.is_(None), PrintLetter.deposit_id == deposit, cut_as == key)
        .order_by(PrintLetter.run_sequence)
        .limit(limit)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return session.scalars(query).all()


def release(session: Session, deliveries: Collection[uuid.UUID]) -> None:
    """Letters that can't be printed now leave their run and wait for the next."""
    session.execute(
        update(PrintLetter)
        .where(PrintLetter.batch_id.is_(None), PrintLetter.delivery_id.in_(deliveries))
        .values(deposit_id=None, run_sequence=None, envelope_set=None, envelope_product=None)
        .execution_options(synchronize_session=False)
    )


def planned(session: Session, *, limit: int) -> Sequence[PrintDeposit]:
    """The newest runs."""
    return session.scalars(select(PrintDeposit).order_by(PrintDeposit.planned_at.desc()).limit(limit)).all()


# ---------------------------------------------------------------- cut-offs and forecasts
def cut_off(session: Session, key: str) -> datetime | None:
    """When the next cut-off of a schedule is; None for one that is new."""
    return session.scalar(select(PrintCutoff.next_at).where(PrintCutoff.provider == key))


def is_told(session: Session, printer: str, product: str, at: datetime) -> bool:
    """Whether a print house was told what waits for this cut-off."""
    return session.get(PrintForecast, (printer, product, at)) is not None


def told(session: Session, row: Mapping[str, Any]) -> None:
    """Keep that it was."""
    session.execute(insert(PrintForecast).on_conflict_do_nothing(), [dict(row)])


# ---------------------------------------------------------------- holds
def held(session: Session) -> Sequence[PrintHold]:
    """The products that are held back."""
    return session.scalars(select(PrintHold).order_by(PrintHold.printer, PrintHold.product)).all()


def held_batches(session: Session) -> Sequence[PrintBatch]:
    """The batches that are not handed over because an operator holds them back."""
    query = select(PrintBatch).where(PrintBatch.held_at.is_not(None), PrintBatch.state == "frozen")
    query = query.where(PrintBatch.emptied_at.is_(None))
    return session.scalars(query.order_by(PrintBatch.number)).all()


def held_letters(session: Session, *, limit: int) -> tuple[Sequence[PrintLetter], int]:
    """The letters that are held one by one, those held first before the others, and how many there are in all."""
    held = (*_FREE, PrintLetter.held_at.is_not(None))
    found = session.scalars(
        select(PrintLetter).where(*held).order_by(PrintLetter.held_at, PrintLetter.delivery_id).limit(limit)
    ).all()
    return found, session.scalar(select(func.count()).select_from(PrintLetter).where(*held)) or 0


def hold(session: Session, row: Mapping[str, Any]) -> bool:
    """Hold a product back; False when it is held already."""
    statement = insert(PrintHold).values(**row).on_conflict_do_nothing().returning(PrintHold.printer)
    return session.scalar(statement) is not None


def let_go(session: Session, printer: str, product: str) -> bool:
    """End a product's hold; False when there was none."""
    found = session.get(PrintHold, (printer, product))
    if found is not None:
        session.delete(found)
    return found is not None
