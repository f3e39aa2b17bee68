"""Letters that are printed again: the same copy, as another attempt, with a reason and evidence of its own."""

from collections.abc import Sequence

from service.db import printing as rows
from service.db.session import widen
from service.domain.errors import Conflict, Invalid
from service.domain.print_runs import REPRINT_REASONS
from service.domain.states import Actor, Event
from service.usecases import audit, dossiers, post_pulls
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.post_statements import REJECTED, unknown
from service.usecases.post_statements import place as place_of
from service.usecases.progress import Cause, Progress, may_happen


def order(context: Context, names: Sequence[str], *, reason: str, actor: str) -> int:
    """Queue letters once more for the next run; how many. One that waits to be printed again already stays as it is.

    What the print house still has of them, and did not refuse, is put on a pull list in the same transaction.

    Args:
        context: the wired parts.
        names: of letters that a print house had, as manifests have them.
        reason: a word of ``REPRINT_REASONS``.
        actor: who wants it.

    Raises:
        Invalid: ``reason_unknown``, ``letter_unknown``: nothing was ordered.
        Conflict: ``reprint_refused``: it is not with a print house, was delivered, came back, or its copy is gone.
    """
    if reason not in REPRINT_REASONS:
        raise Invalid(f"A reason is one of {', '.join(sorted(REPRINT_REASONS))}.", code="reason_unknown")
    places = {name: place_of(name) for name in names}
    ids = {place[0] for place in places.values() if place is not None}
    ordered = 0
    with context.database.transaction() as session:
        widen(session, rows.every_organisation(session))
        found = dossiers.load_readable(session, context, ids, lock=True)
        progress = Progress(context, now=context.clock())
        former: list[tuple[Dossier, int]] = []
        for name, place in places.items():
            if place is None or place[0] not in found or not found[place[0]].has_leg(place[1]):
                raise unknown(name)
            dossier, leg = found[place[0]], place[1]
            letter = rows.newest(session, dossier.id, leg)
            if letter is None:
                raise Conflict(f"There is no print copy of {name}.", code="reprint_refused")
            if letter.attempt and letter.batch_id is None:
                continue
            if not may_happen(dossier, Event.REPRINT_ORDERED, dossier.leg(leg)):
                raise Conflict(f"The letter {name} is not with a print house, or has its end.", code="reprint_refused")
            if reason != REJECTED:
                former.append((dossier, leg))
            rows.queue_again(session, letter, reason=reason, now=progress.now)
            cause = Cause(Actor.OPERATOR, attempt=letter.attempt + 2, reasons=(reason,))
            progress.pass_by(dossier, dossier.leg(leg), Event.REPRINT_ORDERED, cause, at=progress.now)
            audit.record(session, actor=actor, act="print_letter.reprint", subject=name, details={"reason": reason})
            ordered += 1
        # Else both printings would come to the recipient.
        post_pulls.out_of(session, context, former, reason=f"printed again: {reason}", actor=actor)
        progress.write(session)
    return ordered
