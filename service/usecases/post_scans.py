"""Pictures that a print house sends: kept under their letter, hashed into its evidence, handed to its sender."""

import hashlib
import io
import uuid
import zipfile
import zlib
from collections import Counter
from dataclasses import replace
from typing import Final

from sqlalchemy.orm import Session

from printing import exchange
from printing.codes import read_payload
from printing.errors import Problem
from printing.exchange import ExchangeRefused, Scan, ScanOf, Scans
from service.db import deliveries as objects
from service.db import post_reports as reports
from service.db import post_scans as rows
from service.db.ids import new_id, parse_id, public_id
from service.db.models import LegRow
from service.db.post_models import PrintInbound, PrintScan
from service.db.printing import every_organisation
from service.db.session import widen
from service.domain.addresses import ReturnReason
from service.domain.errors import NotFound
from service.domain.evidence import External, rfc3339
from service.domain.states import Actor, Event, LegKind
from service.usecases import dossiers, post_envelopes
from service.usecases import post_letters as letters
from service.usecases.admission import intents
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.post_statements import OURS, Effect, Known, Odd, Statement, evidenced, name_of
from service.usecases.post_statements import place as place_of
from service.usecases.progress import Cause, Progress
from service.usecases.views import File

SCAN: Final = "scn"
MOST_SCANS: Final = 2_000
MOST_INDEX: Final = 4 * 1024 * 1024
MOST_BYTES: Final = 16 * 1024 * 1024
"""Of one picture."""
TYPES: Final = {
    b"%PDF-": ("application/pdf", "pdf"),
    b"\x89PNG\r\n\x1a\n": ("image/png", "png"),
    b"\xff\xd8\xff": ("image/jpeg", "jpg"),
    b"II*\x00": ("image/tiff", "tif"),
    b"MM\x00*": ("image/tiff", "tif"),
}
_PROOFS: Final = frozenset({ScanOf.POSTING_PROOF, ScanOf.RETURN_RECEIPT})
_ENDINGS: Final = dict(TYPES.values())
# NotImplementedError is how zipfile says that an archive asks for a form it does not know.
_UNPACKING: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)


def index_of(data: bytes) -> bytes:
    """What a ZIP of scans says is in it.

    Raises:
        ExchangeRefused: ``EXCHANGE_UNREADABLE``, ``FILE_TOO_BIG``.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            if len(package.infolist()) > MOST_SCANS + 1:
                raise ExchangeRefused(Problem("FILE_TOO_BIG", "There are too many files in it."))
            return _member(package, exchange.INDEX, MOST_INDEX)
    except (KeyError, *_UNPACKING):
        raise ExchangeRefused(Problem("EXCHANGE_UNREADABLE", "The file is none of this exchange.")) from None


def take(context: Context, row: PrintInbound, message: Scans, data: bytes) -> Counter[Effect]:
    """Take in the pictures of a ZIP, one after the other; one that does not fit holds up no other."""
    tally: Counter[Effect] = Counter()
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        for scan in message.scans:
            tally.update(_take(context, row, scan, package))
    return tally


def _take(context: Context, row: PrintInbound, scan: Scan, package: zipfile.ZipFile) -> list[Effect]:
    name = f"scan:{scan.sha256[:64]}:{scan.id or scan.sheet_code or ''}"
    try:
        content = _member(package, scan.file, MOST_BYTES)
    except (KeyError, ExchangeRefused, *_UNPACKING):
        odd = Odd("SCAN_UNREADABLE", name, "The picture can't be taken out of the file.", scan.id)
        return [_refused(context, row, odd)]
    if hashlib.sha256(content).hexdigest() != scan.sha256.lower():
        odd = Odd("SCAN_DIFFERS", name, "The picture is not the one that is named.", scan.id)
        return [_refused(context, row, odd)]
    media_type = next((kind for head, (kind, _) in TYPES.items() if content.startswith(head)), None)
    if media_type is None:
        return [_refused(context, row, Odd("SCAN_UNREADABLE", name, "It is no PDF, PNG, JPEG or TIFF.", scan.id))]
    found, part = _places(context, scan, name)
    if not found:
        odd = Odd("LETTER_UNKNOWN", name, "There is no such letter.", scan.id or scan.sheet_code)
        return [_refused(context, row, odd)]
    effects = [_keep(context, row, replace_letter(scan, each), content, media_type, name) for each in found]
    return effects if part is None else [*effects, _refused(context, row, part)]


def replace_letter(scan: Scan, found: tuple[uuid.UUID, int, int]) -> Scan:
    """A scan that names its letter."""
    delivery, leg, attempt = found
    return exchange.Scan(
        file=scan.file,
        sha256=scan.sha256.lower(),
        what=scan.what,
        at=scan.at,
        id=name_of(delivery, leg),
        attempt=attempt,
        cause=scan.cause,
    )


def _places(context: Context, scan: Scan, name: str) -> tuple[list[tuple[uuid.UUID, int, int]], Odd | None]:
    """Which letters a picture is of: one by its name, or all in the envelope that the code on a sheet says.

    And what there is to be told where not all of that envelope are known.
    """
    if scan.id is not None:
        place = place_of(scan.id)
        return ([] if place is None else [(*place, scan.attempt)]), None
    code = None if scan.sheet_code is None else read_payload(scan.sheet_code)
    if code is None:
        return [], None
    with context.database.transaction() as session:
        widen(session, every_organisation(session))
        found = post_envelopes.opened(session, [int(code.set)]).get(int(code.set))
    if found is None:
        return [], None
    return [(each.delivery_id, each.leg, each.attempt) for each in found.letters], found.part(name, code.of)


def _keep(context: Context, row: PrintInbound, scan: Scan, content: bytes, media_type: str, name: str) -> Effect:
    assert scan.id is not None
    place = place_of(scan.id)
    assert place is not None
    delivery, number = place
    with context.database.transaction() as session:
        widen(session, every_organisation(session))
        dossier = dossiers.load_readable(session, context, [delivery]).get(delivery)
        leg = None if dossier is None else _leg(dossier, number)
        known = [each for each in rows.of(session, [delivery]) if each.leg == number and each.what == scan.what.value]
    if dossier is None or leg is None or leg.handed_over_at is None:
        return _refused(context, row, Odd("LETTER_UNKNOWN", name, "There is no such letter.", scan.id))
    if any(bytes(each.sha256).hex() == scan.sha256 for each in known):
        return Effect.REPEATED
    made = new_id()
    own = (dossier.delivery.organisation_id, dossier.delivery.retention_year, delivery)
    prepared = context.vault.prepare(*own, f"scan-{made.hex}", content)
    with context.database.transaction(organisations=[own[0]]) as session:
        objects.intend(session, intents(own[0], delivery, [prepared]))
    context.vault.write(prepared)
    with context.database.transaction() as session:
        widen(session, every_organisation(session))
        dossiers.lock_again(session, [dossier])
        leg = dossier.leg(number)
        new = rows.add(
            session,
            {
                "id": made,
                "organisation_id": own[0],
                "delivery_id": delivery,
                "leg": number,
                "attempt": scan.attempt,
                "what": scan.what.value,
                "media_type": media_type,
                "path": prepared.path,
                "sha256": bytes.fromhex(scan.sha256),
                "size": len(content),
                "at": scan.at,
                "received_at": row.received_at,
            },
        )
        if not new:
            return Effect.REPEATED
        objects.keep(session, [delivery], [prepared.path])
        if scan.what in _PROOFS:
            _prove(session, context, dossier, leg, scan, row.printer)
        elif scan.what is ScanOf.RETURNED_LETTER:
            _returned(session, context, row, scan)
    return Effect.TAKEN


def _prove(session: Session, context: Context, dossier: Dossier, leg: LegRow, scan: Scan, printer: str) -> None:
    """Let a proof be evidence: of its letter as it is known, with this very picture."""
    key = (dossier.id, leg.number)
    told = reports.reports(session, [dossier.id]).get(key, [])
    known = Known(told, reports.sent(session, [dossier.id]).get(key, []), {scan.what.value: scan.sha256})
    progress = Progress(context, now=context.clock())
    assert scan.id is not None
    cause = Cause(
        Actor.POST,
        external=External(printer, scan.id, f"{scan.what.value} {rfc3339(scan.at)}"),
        # Of the picture, so that each is evidenced once.
        attempt=1_000_000 + int(scan.sha256[:7], 16),
        letter=evidenced(known, scan.attempt),
    )
    progress.pass_by(dossier, leg, Event.PROOF_RECEIVED, cause, at=context.clock())
    progress.write(session)


def _returned(session: Session, context: Context, row: PrintInbound, scan: Scan) -> None:
    """A picture of a letter that came back says that it did."""
    assert scan.id is not None
    causes = {reason.value for reason in ReturnReason}
    statement = Statement(
        f"{OURS}returned:{scan.id}:{scan.attempt}",
        scan.id,
        scan.attempt,
        exchange.PostalEvent.RETURNED.value,
        scan.at,
        cause=scan.cause if scan.cause in causes else None,
    )
    letters.take(session, context, row.printer, [statement], received_at=row.received_at, inbound=row.id)


def _refused(context: Context, row: PrintInbound, odd: Odd) -> Effect:
    with context.database.transaction() as session:
        short = replace(odd, letter=None if odd.letter is None else odd.letter[:80])
        letters.note(session, row.printer, [short], received_at=row.received_at, inbound=row.id)
    return Effect.ODD


def _member(package: zipfile.ZipFile, name: str, most: int) -> bytes:
    """A file of a package, never more than ``most`` bytes of it, whatever its directory says."""
    with package.open(name) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ExchangeRefused(Problem("FILE_TOO_BIG", "A file in it is too large."))
    return content


def _leg(dossier: Dossier, number: int) -> LegRow | None:
    return next((leg for leg in dossier.legs if leg.number == number and leg.kind == LegKind.PAPER.value), None)


def listed(session: Session, delivery: uuid.UUID) -> list[PrintScan]:
    """The pictures of a delivery's letters."""
    return list(rows.of(session, [delivery]))


def named(context: Context, row: PrintScan) -> tuple[str, bytes]:
    """A picture and what it is called."""
    return file_name(row), context.vault.read(row.path, row.organisation_id, row.delivery_id, f"scan-{row.id.hex}")


def file_of(context: Context, session: Session, delivery: uuid.UUID, scan: str) -> tuple[File, str]:
    """A picture and its media type, by its public id.

    Raises:
        NotFound: the delivery has none by this id.
    """
    wanted = parse_id(SCAN, scan)
    row = next((each for each in rows.of(session, [delivery]) if each.id == wanted), None)
    if row is None:
        raise NotFound
    return File(*named(context, row)), row.media_type


def file_name(row: PrintScan) -> str:
    """What a picture is called when it leaves the service."""
    return f"{row.what}-{public_id(SCAN, row.id)}.{_ENDINGS[row.media_type]}"
