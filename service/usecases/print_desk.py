"""What operators see and do about what comes back: files that came in, what does not fit, lists of letters to pull."""

import uuid
from collections.abc import Sequence
from datetime import datetime

import msgspec

from printing.exchange import ExchangeRefused
from service.db import post_pulls
from service.db import post_reports as rows
from service.db.ids import parse_id, public_id
from service.db.post_models import PrintException, PrintInbound, PrintPull, PrintPullLetter
from service.db.printing import every_organisation
from service.db.session import widen
from service.domain.errors import Invalid
from service.usecases import audit, post_reports, printers
from service.usecases.context import Context
from service.usecases.personal import PLATFORM
from service.usecases.post_reports import INBOUND, Taken
from service.usecases.post_statements import name_of

EXCEPTION = "pex"
PULL = "pul"


class InboundView(msgspec.Struct, frozen=True):
    """A file that came in: ``kept``, ``taken`` or ``refused`` (``code`` says why); what became of what it says."""

    id: str
    printer: str
    name: str
    received_at: datetime
    size: int
    sha256: str
    state: str
    kind: str | None
    batch: int | None
    code: str | None
    effects: dict[str, int]


class ExceptionView(msgspec.Struct, frozen=True):
    """What was told, does not fit and changed nothing."""

    id: str
    at: datetime
    printer: str
    code: str
    detail: str
    letter: str | None
    batch: int | None
    inbound: str | None
    seen_by: str | None
    seen_at: datetime | None


class PulledView(msgspec.Struct, frozen=True):
    """A letter on a pull list; ``pulled`` is null until the print house answers."""

    letter: str
    attempt: int
    pulled: bool | None
    code: str | None


class PullView(msgspec.Struct, frozen=True):
    """A list of letters that must not go out any more."""

    id: str
    batch: int
    number: int
    printer: str
    reason: str
    ordered_at: datetime
    sent_at: datetime | None
    answered_at: datetime | None
    letters: list[PulledView]


def inbounds(context: Context, *, batch: int | None = None, limit: int) -> list[InboundView]:
    """What came in last, newest first."""
    with context.database.transaction(organisations=[PLATFORM]) as session:
        return [_inbound(row) for row in rows.inbounds(session, batch=batch, limit=limit)]


def take_in(context: Context, printer: str | None, name: str, data: bytes, *, actor: str) -> Taken:
    """Take in a file of a print house that a person brings: of every kind that comes by itself as well.

    Args:
        context: the wired parts.
        printer: who wrote it; None where there is one print house only.
        name: the file's.
        data: its bytes.
        actor: who brings it.

    Raises:
        NotFound: there is no such print house.
        Invalid: ``printer_missing``; ``file_too_big``: nothing is kept.
        Retryable: the database was restored and nobody has looked at it yet.
    """
    named = printers.only(context) if printer is None else context.printers.named(printer).name
    try:
        taken = post_reports.take(context, named, name, data, context.clock())
    except ExchangeRefused as error:
        raise Invalid(error.detail, code=error.code.lower()) from error
    with context.database.transaction(organisations=[PLATFORM]) as session:
        details: dict[str, str | int | None] = {"printer": named, "state": taken.state, "code": taken.code}
        audit.record(session, actor=actor, act="print.file.take", subject=taken.id, details=details)
    return taken


def exceptions(context: Context, *, every: bool = False, limit: int) -> list[ExceptionView]:
    """What does not fit: what nobody has seen, oldest first; or everything, newest first."""
    with context.database.transaction(organisations=[PLATFORM]) as session:
        return [_exception(row) for row in rows.exceptions(session, every=every, limit=limit)]


def see(context: Context, ids: Sequence[str], actor: str) -> int:
    """Say that somebody has looked at these; how many nobody had seen yet.

    Raises:
        NotFound: one of the ids is none.
    """
    wanted = [parse_id(EXCEPTION, each) for each in ids]
    with context.database.transaction(organisations=[PLATFORM]) as session:
        seen = rows.see(session, wanted, by=actor, now=context.clock())
        for each in ids:
            audit.record(session, actor=actor, act="print.exception.see", subject=each)
    return seen


def pulls(context: Context, *, limit: int) -> list[PullView]:
    """The newest pull lists with their letters."""
    with context.database.transaction() as session:
        widen(session, every_organisation(session))
        found = post_pulls.newest(session, limit=limit)
        on: dict[uuid.UUID, list[PrintPullLetter]] = {pull.id: [] for pull, _ in found}
        for each in post_pulls.letters(session, on):
            on[each.pull_id].append(each)
        return [_pull(pull, batch.number, on[pull.id]) for pull, batch in found]


def _inbound(row: PrintInbound) -> InboundView:
    return InboundView(
        public_id(INBOUND, row.id), row.printer, row.name, row.received_at, row.size, bytes(row.sha256).hex(),
        row.state, row.kind, row.batch, row.code, dict(row.effects),
    )  # fmt: skip


def _exception(row: PrintException) -> ExceptionView:
    inbound = None if row.inbound_id is None else public_id(INBOUND, row.inbound_id)
    return ExceptionView(
        public_id(EXCEPTION, row.id), row.at, row.printer, row.code, row.detail, row.letter, row.batch, inbound,
        row.seen_by, row.seen_at,
    )  # fmt: skip


def _pull(row: PrintPull, batch: int, letters: Sequence[PrintPullLetter]) -> PullView:
    return PullView(
        public_id(PULL, row.id), batch, row.number, row.printer, row.reason, row.ordered_at, row.sent_at,
        row.answered_at,
        [PulledView(name_of(each.delivery_id, each.leg), each.attempt, each.pulled, each.code) for each in letters],
    )  # fmt: skip
