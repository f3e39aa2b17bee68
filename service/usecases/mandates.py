"""Mandates: given with a code that is shown once, accepted with it, revoked at once by either side, and looked back on.

The code is handed over by whoever gives the mandate, by a way of their own: the service tells the other side nothing
before it is entered, not even that there is a mandate.
"""

import hmac
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

import msgspec
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from service.db import mandates as rows
from service.db.ids import DELIVERY, MANDATE, ORGANISATION, new_id, parse_id, public_id
from service.db.mandates import MandateRow
from service.db.models import Organisation
from service.domain import mandates as rules
from service.domain.errors import Conflict, FieldError, Invalid, NotFound
from service.domain.identifiers import NumberInvalid, RecipientId, RecipientKind
from service.domain.mandates import Act, Side, Terms
from service.usecases import acting, mailbox
from service.usecases.acting import Named, Sides, sides_of, sides_place, value_of
from service.usecases.context import Context
from service.usecases.mailbox import Reader
from service.usecases.personal import PLATFORM, PLATFORM_YEAR, find_hashes, seal_value
from service.usecases.views import MessageView

SHOWN: Final = 100
"""How many mandates of a side, and how many acts of a mandate, are shown; the newest."""
_ONE_AT_A_TIME: Final = text("SELECT pg_advisory_xact_lock(:lock)")


class CodeWrong(Invalid):
    """No mandate waits for this reader under this code, or its time or tries are over."""

    code = "mandate_code_wrong"


class SenderView(msgspec.Struct, frozen=True):
    """An organisation whose mail a mandate is about."""

    id: str
    name: str


class MandateView(msgspec.Struct, frozen=True):
    """A mandate as one of its sides sees it; ``senders`` is null for all, ``last_day`` for until it is revoked.

    ``side`` is the reader's own: `mandator` or `mandatary`; ``other`` is the name of the other one.
    """

    id: str
    side: str
    state: str
    other: str
    senders: list[SenderView] | None
    registered: bool
    legal_effect: bool
    last_day: date | None
    given_at: datetime
    accept_before: datetime
    accepted_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None


class MandateActView(msgspec.Struct, frozen=True):
    """What was done to a mandate or under it; ``message`` names the delivery, ``subject`` while it can be seen."""

    act: str
    by: str
    at: datetime
    message: str | None
    subject: str | None


@dataclass(frozen=True, slots=True)
class Given:
    """A mandate with its code, which nobody can be shown again."""

    mandate: MandateView
    code: str = field(repr=False)


def named(kind: str, number: str, name: str, *, pointer: str) -> Named:
    """A side as somebody wrote it down.

    Raises:
        Invalid: with what is wrong and where.
    """
    found = []
    value = ""
    try:
        value = RecipientId.parse(RecipientKind(kind), number).value
    except NumberInvalid as error:
        found.append(FieldError(f"{pointer}/id", error.code, error.detail))
    except ValueError:
        detail = "The type is citizen, enterprise or administration."
        found.append(FieldError(f"{pointer}/type", "type_unknown", detail))
    said = name.strip()
    if not said:
        found.append(FieldError(f"{pointer}/name", "empty", "Fill in the name."))
    elif len(said) > rules.NAME_LENGTH:
        found.append(FieldError(f"{pointer}/name", "too_long", f"A name has at most {rules.NAME_LENGTH} characters."))
    elif not said.isprintable():
        found.append(FieldError(f"{pointer}/name", "control_character", "The name has an invisible character."))
    if found:
        raise Invalid("The mandate can't be given like this.", code="mandate_invalid", errors=found)
    return Named(RecipientKind(kind), value, said)


def give(context: Context, reader: Reader, sides: Sides, terms: Terms) -> Given:
    """Give a mandate; the code is in the answer, and nowhere else in the clear.

    Raises:
        Invalid: as of `service.domain.mandates.give`; ``mandator_differs``, the mandator is not the reader;
            ``sender_unknown``.
        Conflict: ``mandates_too_many``.
    """
    acting.own_only(reader.acting_for)
    now = context.clock()
    mandator, mandatary = (
        find_hashes(context, sides.mandator.recipient),
        find_hashes(context, sides.mandatary.recipient),
    )
    if not set(mandator) & set(reader.hashes):
        detail = "Give a mandate in your own name: this is not the number you logged in with."
        raise Invalid(detail, code="mandator_differs", errors=[FieldError("/mandator/id", "mandator_differs", detail)])
    value = rules.give(sides.mandator.recipient, sides.mandatary.recipient, terms, now)
    mandate_id, code = new_id(), "".join(secrets.choice(rules.CODE_ALPHABET) for _ in range(rules.CODE_LENGTH))
    key = context.index.writing
    name = context.index.name(key)
    with context.database.transaction(recipients=mandator) as session:
        # Of two at once the second counts what the first gave.
        session.execute(_ONE_AT_A_TIME, {"lock": int.from_bytes(mandator[0][:8], signed=True)})
        if rows.standing(session, mandator, now=now) >= rules.MOST_MANDATES:
            raise Conflict("There are as many mandates as there can be. Revoke one first.", code="mandates_too_many")
        _require_known(session, terms)
        row = MandateRow(
            id=mandate_id,
            mandator_hash=mandator[0],
            mandatary_hash=mandatary[0],
            index_key=name,
            personal=seal_value(
                context, sides, organisation=PLATFORM, year=PLATFORM_YEAR, place=sides_place(mandate_id)
            ),
            senders=None if terms.senders is None else sorted(terms.senders),
            registered=terms.registered,
            legal_effect=terms.legal_effect,
            last_day=terms.last_day,
            ends_at=terms.ends_at,
            given_at=now,
            accept_before=value.accept_before,
            code_hash=_code_hash(key, mandate_id, code),
            code_key=name,
            tries_left=value.tries_left,
        )
        session.add(row)
        session.flush()
        acting.note(session, context, mandate_id, Act.GIVEN, Side.MANDATOR, reader.identification, at=now)
        return Given(_views(session, context, [row], Side.MANDATOR)[0], rules.written(code))


def accept(context: Context, reader: Reader, code: str) -> MandateView:
    """Accept the mandate that waits for the reader under this code; of two who enter it at once, one does.

    Raises:
        CodeWrong: there is none. It counts against every code that waits for them.
    """
    acting.own_only(reader.acting_for)
    now, typed = context.clock(), rules.read_code(code)
    accepted = None
    with context.database.transaction(recipients=reader.hashes) as session:
        waiting = rows.waiting(session, reader.hashes, now=now)
        found = [row for row in waiting if _fits(context, row, typed)]
        if found:
            row = found[0]
            row.accepted_at = rules.accept(value_of(row), now).accepted_at
            row.code_hash = row.code_key = None
            session.flush()
            acting.note(session, context, row.id, Act.ACCEPTED, Side.MANDATARY, reader.identification, at=now)
            accepted = _views(session, context, [row], Side.MANDATARY)[0]
        else:
            # A wrong try must count whatever comes after: it is written before the refusal is raised.
            for row in waiting:
                row.tries_left -= 1
            session.flush()
    if accepted is None:
        raise CodeWrong("This code is not right, or its time is over. Ask for a new one if it keeps failing.")
    return accepted


def revoke(context: Context, reader: Reader, mandate_id: str) -> MandateView:
    """End a mandate at once, whichever side the reader is; what is over already stays as it is. Safe to repeat.

    Raises:
        NotFound: the reader is no side of it, or was given it and never accepted.
    """
    acting.own_only(reader.acting_for)
    with context.database.transaction(recipients=reader.hashes) as session:
        row, side = _own(session, reader, mandate_id, lock=True)
        _end(session, context, reader, row, side)
        return _views(session, context, [row], side)[0]


def revoke_all(context: Context, reader: Reader) -> int:
    """End all that the reader gave or accepted, at once; how many. Safe to repeat."""
    with context.database.transaction(recipients=reader.hashes) as session:
        found = rows.unended(session, reader.hashes, now=context.clock())
        for row in found:
            side = Side.MANDATOR if row.mandator_hash in reader.hashes else Side.MANDATARY
            _end(session, context, reader, row, side)
        return len(found)


def given(context: Context, reader: Reader) -> list[MandateView]:
    """Who may, might or once could act for the reader, newest first."""
    acting.own_only(reader.acting_for)
    with context.database.transaction(recipients=reader.hashes) as session:
        found = rows.given(session, reader.hashes, limit=SHOWN)
        return _views(session, context, found, Side.MANDATOR)


def held(context: Context, reader: Reader) -> list[MandateView]:
    """For whom the reader may act, or once could, newest first."""
    acting.own_only(reader.acting_for)
    with context.database.transaction(recipients=reader.hashes) as session:
        found = rows.held(session, reader.hashes, limit=SHOWN)
        return _views(session, context, found, Side.MANDATARY)


def get(context: Context, reader: Reader, mandate_id: str) -> MandateView:
    """One mandate, for either of its sides.

    Raises:
        NotFound: as of `revoke`.
    """
    acting.own_only(reader.acting_for)
    with context.database.transaction(recipients=reader.hashes) as session:
        row, side = _own(session, reader, mandate_id)
        return _views(session, context, [row], side)[0]


def acts(context: Context, reader: Reader, mandate_id: str) -> list[MandateActView]:
    """What was done to a mandate and under it, newest first: for whoever gave it.

    Raises:
        NotFound: the reader did not give it.
    """
    acting.own_only(reader.acting_for)
    with context.database.transaction(recipients=reader.hashes) as session:
        row, side = _own(session, reader, mandate_id)
        if side is not Side.MANDATOR:
            raise NotFound
        found = rows.acts(session, row.id, limit=SHOWN)
    wanted = {each.delivery_id for each in found if each.delivery_id is not None}
    messages: dict[uuid.UUID, MessageView] = mailbox.known(context, reader, wanted) if wanted else {}
    return [
        MandateActView(
            act=each.act,
            by=each.by_side,
            at=each.at,
            message=None if each.delivery_id is None else public_id(DELIVERY, each.delivery_id),
            subject=messages[each.delivery_id].subject if each.delivery_id in messages else None,
        )
        for each in found
    ]


def senders(context: Context) -> list[SenderView]:
    """The organisations that a mandate may be about, by name."""
    with context.database.transaction() as session:
        found = session.execute(
            select(Organisation.id, Organisation.name)
            .where(Organisation.kind != "platform", Organisation.mark == "live")
            .order_by(Organisation.name, Organisation.id)
        )
        return [SenderView(public_id(ORGANISATION, each), name) for each, name in found]


def sender_ids(given_ids: Sequence[str]) -> frozenset[uuid.UUID]:
    """Organisations as a mandate keeps them.

    Raises:
        Invalid: ``sender_unknown``, with a pointer to each that can't be one.
    """
    known, wrong = set(), []
    for number, each in enumerate(given_ids):
        try:
            known.add(parse_id(ORGANISATION, each))
        except NotFound:
            wrong.append(FieldError(f"/senders/{number}", "sender_unknown", "There is no such organisation."))
    if wrong:
        raise Invalid("The mandate can't be given like this.", code="mandate_invalid", errors=wrong)
    return frozenset(known)


def _require_known(session: Session, terms: Terms) -> None:
    if terms.senders is None:
        return
    known = set(session.scalars(select(Organisation.id).where(Organisation.id.in_(terms.senders))))
    if known != terms.senders:
        detail = "There is no such organisation."
        raise Invalid(
            "The mandate can't be given like this.",
            code="mandate_invalid",
            errors=[FieldError("/senders", "sender_unknown", detail)],
        )


def _end(session: Session, context: Context, reader: Reader, row: MandateRow, side: Side) -> None:
    # The row is held: whoever acted under the mandate meanwhile did so before.
    before, now = value_of(row), context.clock()
    if rules.revoke(before, side, now) is before:
        return
    row.revoked_at, row.revoked_by = now, side.value
    row.code_hash = row.code_key = None
    session.flush()
    acting.note(session, context, row.id, Act.REVOKED, side, reader.identification, at=now)


def _own(session: Session, reader: Reader, mandate_id: str, *, lock: bool = False) -> tuple[MandateRow, Side]:
    row = rows.one(session, parse_id(MANDATE, mandate_id), lock=lock)
    if row is not None and row.mandator_hash in reader.hashes:
        return row, Side.MANDATOR
    if row is not None and row.mandatary_hash in reader.hashes and row.accepted_at is not None:
        return row, Side.MANDATARY
    raise NotFound


def _views(session: Session, context: Context, found: Sequence[MandateRow], side: Side) -> list[MandateView]:
    now = context.clock()
    wanted = {each for row in found for each in row.senders or ()}
    query = select(Organisation.id, Organisation.name).where(Organisation.id.in_(wanted))
    names = dict(iter(session.execute(query))) if wanted else {}
    views = []
    for row in found:
        sides, value = sides_of(context, row.id, row.personal), value_of(row)
        views.append(
            MandateView(
                id=public_id(MANDATE, row.id),
                side=side.value,
                state=value.state(now).value,
                other=(sides.mandatary if side is Side.MANDATOR else sides.mandator).name,
                senders=None
                if row.senders is None
                else sorted(
                    (SenderView(public_id(ORGANISATION, each), names.get(each, "")) for each in row.senders),
                    key=lambda sender: sender.name,
                ),
                registered=row.registered,
                legal_effect=row.legal_effect,
                last_day=row.last_day,
                given_at=row.given_at,
                accept_before=row.accept_before,
                accepted_at=row.accepted_at,
                revoked_at=row.revoked_at,
                revoked_by=row.revoked_by,
            )
        )
    return views


def _fits(context: Context, row: MandateRow, typed: str) -> bool:
    keys = (context.index.writing, *context.index.others)
    assert row.code_hash is not None
    return any(hmac.compare_digest(row.code_hash, _code_hash(key, row.id, typed)) for key in keys)


def _code_hash(key: bytes, mandate_id: uuid.UUID, code: str) -> bytes:
    # Keyed: whoever reads the table alone can't try codes.
    return hmac.digest(key, b"mandate code|" + mandate_id.bytes + code.encode(), "sha256")
