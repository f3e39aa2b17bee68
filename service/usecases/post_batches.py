"""What a print house says of a batch's file: that it arrived (received is not accepted), that nothing is left of it."""

from collections import Counter

from sqlalchemy.orm import Session

from printing.encryption import name_open
from printing.exchange import Acknowledgement, Deleted
from printing.manifest import is_proof_name
from service.db import post_reports as rows
from service.db.models import PrintBatch
from service.db.post_models import PrintInbound
from service.usecases import post_letters as letters
from service.usecases.context import Context
from service.usecases.post_statements import Effect, Odd

ACKNOWLEDGED, DELETED = "acknowledged", "deleted"


def acknowledged(session: Session, _context: Context, row: PrintInbound, message: Acknowledgement) -> Counter[Effect]:
    """Compare what arrived with what was sent: name, digest, letters and sheets."""
    batch = _batch(session, row, message.batch)
    if batch is None and _is_proof(message):
        return Counter({Effect.TAKEN: 1})
    if batch is None:
        return _odd(session, row, "BATCH_UNKNOWN", message.batch, "There is no such batch with this print house.")
    differs = [
        name
        for name, ours, theirs in (
            ("file", batch.file_name, message.file),
            ("sha256", None if batch.sha256 is None else bytes(batch.sha256).hex(), message.sha256.lower()),
            ("letters", batch.letters, message.letters),
            ("sheets", batch.sheets, message.sheets),
        )
        if ours != theirs
    ]
    return _said(session, row, batch, ACKNOWLEDGED, message, differs)


def deleted(session: Session, _context: Context, row: PrintInbound, message: Deleted) -> Counter[Effect]:
    """Keep that the print house has nothing left of a batch's file."""
    batch = _batch(session, row, message.batch)
    if batch is None and _is_proof(message):
        return Counter({Effect.TAKEN: 1})
    if batch is None:
        return _odd(session, row, "BATCH_UNKNOWN", message.batch, "There is no such batch with this print house.")
    return _said(session, row, batch, DELETED, message, [] if message.file == batch.file_name else ["file"])


def _is_proof(message: Acknowledgement | Deleted) -> bool:
    """Proofs are no batches: what is said of their files is kept as it came, and changes nothing."""
    return is_proof_name(name_open(message.file))


def _batch(session: Session, row: PrintInbound, number: int) -> PrintBatch | None:
    batch = rows.batch_by_number(session, number)
    return batch if batch is not None and batch.provider == row.printer else None


def _said(
    session: Session,
    row: PrintInbound,
    batch: PrintBatch,
    event: str,
    message: Acknowledgement | Deleted,
    differs: list[str],
) -> Counter[Effect]:
    counts = (
        {"sha256": message.sha256.lower(), "letters": message.letters, "sheets": message.sheets}
        if isinstance(message, Acknowledgement)
        else {}
    )
    new = rows.add_batch_report(
        session,
        {
            "batch_id": batch.id,
            "event": event,
            # A second statement with another content is kept beside the first.
            "file": message.file if not differs else f"{message.file}#{row.sha256.hex()[:16]}",
            "at": message.at,
            "received_at": row.received_at,
            "inbound_id": row.id,
            "agrees": not differs,
            **counts,
        },
    )
    if new and differs:
        detail = f"What was {event} differs from what was sent: {', '.join(differs)}."
        return _odd(session, row, f"{event.upper()}_DIFFERS", batch.number, detail)
    return Counter({Effect.TAKEN if new else Effect.REPEATED: 1})


def _odd(session: Session, row: PrintInbound, code: str, batch: int, detail: str) -> Counter[Effect]:
    odd = Odd(code, row.sha256.hex(), detail, batch=batch)
    letters.note(session, row.printer, [odd], received_at=row.received_at, inbound=row.id)
    return Counter({Effect.ODD: 1})
