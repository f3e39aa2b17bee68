"""Reading a print house's inbox: each file is kept here before it is removed there, and one bad file holds up no other.

A death between any two steps is harmless: what was kept and not removed is kept once more as the same bytes, and what
was kept and not taken in is taken in by the next round.
"""

from typing import Final

import structlog

from printing import exchange
from printing.errors import PrintingError
from printing.providers.base import Inbox, Incoming
from service.db import post_reports as rows
from service.db.ids import new_id
from service.usecases import post_reports, printers, recovery
from service.usecases.context import Context
from service.usecases.post_reports import AWAY

log = structlog.get_logger()

MOST: Final = 200
"""Files of a round."""
TOO_BIG: Final = "INBOUND_TOO_BIG"


def read(context: Context, printer: str, inbox: Inbox) -> int:
    """Keep and remove what waits, and take in what is kept; how many files were kept.

    Raises:
        PrintingError: the inbox can't be looked at.
        Retryable: the database was restored and nobody has looked at it yet.
    """
    waiting = inbox.incoming()[:MOST]
    if waiting:
        recovery.guard(context)
    done = sum(_bring(context, printer, inbox, each) for each in waiting)
    post_reports.round_(context)
    return done


def read_all(context: Context, printer: str) -> None:
    """Read round by round while rounds are full."""
    inbox = printers.way(context, printer)
    while read(context, printer, inbox) == MOST:
        pass


def _bring(context: Context, printer: str, inbox: Inbox, file: Incoming) -> bool:
    if file.size > exchange.MOST_BYTES:
        _note(context, printer, file)
        return False
    try:
        data = inbox.fetch(file.name)
        post_reports.keep(context, printer, file.name, data, context.clock())
        inbox.remove(file.name)
    except AWAY:
        raise
    except (PrintingError, OSError) as error:
        # The file stays there; the others go on.
        log.warning("print_inbox_file_not_read", printer=printer, error=type(error).__name__)
        return False
    return True


def _note(context: Context, printer: str, file: Incoming) -> None:
    detail = f"A file of {file.size} bytes waits in the inbox and is too large to be read."
    row = {
        "id": new_id(),
        "printer": printer,
        "statement": f"{file.name[:100]}:{file.size}",
        "code": TOO_BIG,
        "letter": None,
        "batch": None,
        "detail": detail,
        "at": context.clock(),
        "inbound_id": None,
    }
    with context.database.transaction() as session:
        rows.add_exceptions(session, [row])
