"""Letters that went out before a restore, as their receipts tell: evidenced, not printed again."""

import uuid
from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from service.db import printing
from service.db import recovery as rows
from service.db.models import PrintLetter
from service.domain.states import Actor, Event
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.products import evidenced, relay
from service.usecases.progress import Cause, Progress


def adopt(
    session: Session,
    context: Context,
    letters: Sequence[PrintLetter],
    found: Mapping[uuid.UUID, Dossier],
) -> list[PrintLetter]:
    """Say of letters that went out before a restore what is true of them; return the others.

    They join the batch they were in, and their evidence tells when that was handed over.
    """
    gone = rows.gone(session, rows.LETTER, [letter.delivery_id for letter in letters])
    known = {(row.delivery_id, row.leg, row.attempt): row for row in gone}
    adopted = [letter for letter in letters if (letter.delivery_id, letter.leg, letter.attempt) in known]
    if not adopted:
        return list(letters)
    rows_of = [known[letter.delivery_id, letter.leg, letter.attempt] for letter in adopted]
    rows.assign(session, rows_of)
    batches = {each: printing.batch(session, each) for each in {row.batch_id for row in rows_of if row.batch_id}}
    for moment in sorted({row.at for row in rows_of}):
        progress = Progress(context, now=moment)
        for row in rows_of:
            if row.at == moment and row.batch_id is not None:
                dossier = found[row.delivery_id]
                leg = dossier.leg(row.leg)
                # The copy that was printed is not the one that was made again after the restore.
                batch = batches[row.batch_id]
                provider = context.printers.first.name if batch is None else batch.provider
                external = relay(provider, row.batch_id)
                cause = Cause(Actor.SERVICE, attempt=row.attempt + 1, external=external, letter=evidenced(None, batch))
                if row.attempt:
                    # Printed again: its leg is where the first attempt and the post's reports left it.
                    progress.pass_by(dossier, leg, Event.RELAY_TO_NON_ERDS, cause, at=moment)
                    continue
                progress.happen(dossier, Event.BATCHED, Cause(Actor.CLOCK), leg=leg)
                progress.happen(dossier, Event.RELAY_TO_NON_ERDS, cause, leg=leg)
        progress.write(session)
    return [letter for letter in letters if letter not in adopted]
