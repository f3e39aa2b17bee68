"""A proof print: one letter as the print house would print it, to be looked at and never posted."""

import uuid
from dataclasses import replace
from datetime import datetime
from io import BytesIO
from typing import Final

from sqlalchemy.orm import Session

from printing.batch import BatchLetter, merge
from printing.encryption import seal_for
from printing.errors import PrintingError, ProviderUnavailable
from printing.manifest import Manifest, describe_file, pack, proof_name
from printing.proof_mark import mark
from printing.providers.base import Parcel, hand_over
from printing.readback import read_back
from service.db import printing as rows
from service.db.ids import DELIVERY, parse_id
from service.db.models import PrintLetter
from service.db.session import widen
from service.domain.errors import Conflict, NotFound, Retryable
from service.printers.wired import Printer
from service.usecases import audit, dossiers, recovery
from service.usecases.batch_files import PDF, entry_of, reader_of
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.printers import sha256_of
from service.usecases.products import read_product

ROUTE: Final = "POST /v1/print/proofs"
ACT: Final = "print_letter.proof"
"""How the trail calls it, which is where proofs are found again."""
NOBODYS: Final = "0" * 12
"""The set in the sheet codes of a proof; no letter is ever given it (the sequence begins at 1)."""


def send(context: Context, delivery: str, *, actor: str) -> tuple[str, str]:
    """Bring the print copy of a delivery's newest letter to its print house as a proof; the delivery stays as it is.

    Args:
        context: the wired parts.
        delivery: as its sender knows it.
        actor: who wants it.

    Returns:
        The print house's name and the file's.

    Raises:
        NotFound: there is no such delivery.
        Conflict: ``proof_refused``: it has no letter now, or one that bears a number of the post.
            ``proof_not_sent``: what the print house has, or the copy, must be looked at by a person.
        Retryable: the print house can't be reached.
    """
    recovery.guard(context)
    try:
        return _send(context, delivery, actor)
    except ProviderUnavailable as error:
        raise Retryable("The print house can't be reached.", code="print_provider_unavailable") from error
    except PrintingError as error:
        raise Conflict(f"{error.detail} ({error.code})", code="proof_not_sent") from error


def check(context: Context, delivery: str) -> None:
    """Whether a delivery has a letter of which a proof may be printed.

    Raises:
        NotFound, Conflict: as of ``send``.
    """
    with context.database.transaction() as session:
        widen(session, rows.every_organisation(session))
        _newest(session, context, parse_id(DELIVERY, delivery))


def _send(context: Context, delivery: str, actor: str) -> tuple[str, str]:
    with context.database.transaction() as session:
        widen(session, rows.every_organisation(session))
        dossier, letter = _newest(session, context, parse_id(DELIVERY, delivery))
        batch = None if letter.batch_id is None else rows.batch(session, letter.batch_id)
        product = read_product(letter.product).product
        printer = context.printers.of(product) if batch is None else context.printers.named(batch.provider)
        number, now = rows.next_number(session), context.clock()
        name = proof_name(printer.sender, number, now)
        parcel_name = printer.called(name)
        # Before it leaves: a proof that nobody knows of must not lie at a print house.
        audit.record(
            session,
            actor=actor,
            act=ACT,
            subject=delivery,
            details={"printer": printer.name, "file": parcel_name, "number": number},
        )
        content = _made(context, dossier, letter, printer, number, now)
    if printer.recipients:
        content = seal_for(printer.recipients, content)
    parcel = Parcel(parcel_name, len(content), sha256_of(content))
    hand_over(printer.provider, parcel, content, uploaded=False, commit_uploaded=lambda: None)
    return printer.name, parcel.name


def _newest(session: Session, context: Context, delivery: uuid.UUID) -> tuple[Dossier, PrintLetter]:
    found = dossiers.load_readable(session, context, {delivery}, lock=True)
    if delivery not in found:
        raise NotFound("There is no such delivery.")
    dossier = found[delivery]
    for leg in sorted((leg.number for leg in dossier.legs), reverse=True):
        letter = rows.newest(session, delivery, leg)
        if letter is None:
            continue
        if letter.registered_number is not None or letter.mail_id is not None:
            raise Conflict("The letter bears a number of the post, and no second paper may.", code="proof_refused")
        return dossier, letter
    raise Conflict("The delivery has no letter that could be printed.", code="proof_refused")


def _made(
    context: Context, dossier: Dossier, letter: PrintLetter, printer: Printer, number: int, now: datetime
) -> bytes:
    key = read_product(letter.product)
    own = entry_of(dossier, letter, key)
    # Under a name of its own: whoever knows letters by their names must not take the real one for printed already.
    entry = replace(own, id=f"proof-{number}-{own.id}", attempt=1, set=NOBODYS, sequence=0)
    pdf = BytesIO()
    entries = merge(
        [BatchLetter(entry, reader_of(context, letter), key.duplex)],
        pdf,
        file=PDF,
        duplex=key.duplex,
        profile=printer.profile,
    )
    marked = mark(pdf.getvalue(), printer.profile)
    read_back(marked, entries, printer.profile, file=PDF)
    files = (describe_file(PDF, BytesIO(marked), entries),)
    package = BytesIO()
    pack(
        Manifest(number, printer.sender, now, key, files, entries, proof=True),
        {PDF: BytesIO(marked)},
        package,
    )
    return package.getvalue()
