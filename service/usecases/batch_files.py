"""The file of a batch: its letters merged into PDFs, a manifest, all of it in one ZIP; made once, kept, and read back."""

import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

from sqlalchemy.orm import Session

from printing.batch import BatchLetter, merge
from printing.manifest import BatchKey, Manifest, ManifestLetter, describe_file, pack
from printing.readback import read_back
from service.db import deliveries
from service.db import printing as rows
from service.db.ids import DELIVERY, public_id
from service.db.models import PrintBatch, PrintLetter
from service.domain import addresses, calendar
from service.domain.errors import Conflict, Retryable
from service.printers.wired import Printer
from service.usecases.admission import intents
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.personal import PLATFORM
from service.usecases.print_runs import files_of
from service.usecases.products import front_of, read_product

PDF = "letters.pdf"
ROLE = "batch"


@dataclass(frozen=True)
class BatchWork:
    """A frozen batch with its letters in their order."""

    batch: PrintBatch
    letters: Sequence[PrintLetter]
    dossiers: dict[uuid.UUID, Dossier]
    renew: Callable[[], None]
    held: Callable[[Session], None]


def content_of(context: Context, work: BatchWork) -> bytes:
    """The file's bytes: made once, kept, and from then on read back."""
    batch = work.batch
    if batch.path is None:
        content, pages, sheets = _make(context, work)
        prepared = context.vault.prepare(PLATFORM, _year(batch), batch.id, ROLE, content)
        with context.database.transaction(organisations=[PLATFORM]) as session:
            deliveries.intend(session, intents(PLATFORM, batch.id, [prepared]))
        context.vault.write(prepared)
        with context.database.transaction(organisations=[PLATFORM]) as session:
            work.held(session)
            digest = hashlib.sha256(content).digest()
            kept = rows.save_content(
                session, batch.id, path=prepared.path, sha256=digest, size=len(content), pages=pages, sheets=sheets
            )
            if kept:
                deliveries.keep(session, [batch.id], [prepared.path])
                batch.path, batch.pages, batch.sheets, batch.sha256 = prepared.path, pages, sheets, digest
    if batch.path is None:
        raise Conflict("Somebody else hands this batch over.", code="lease_lost")
    return context.vault.read(batch.path, PLATFORM, batch.id, ROLE)


def _year(batch: PrintBatch) -> int:
    """Whose key closes the file: it mixes senders, so the platform's own of the year it was frozen in."""
    return calendar.retention_year(batch.frozen_at)


def _make(context: Context, work: BatchWork) -> tuple[bytes, int, int]:
    key = read_product(work.batch.product["key"])
    merged = BytesIO()
    profile = profiles.load()
    letters = merge(_batch_letters(context, work, key), merged, file=PDF, duplex=key.duplex, profile=profile)
    # Nothing leaves the house whose codes were not read as its machines will read them.
    read_back(merged.getvalue(), letters, profile, file=PDF)
    merged.seek(0)
    described = describe_file(PDF, merged, letters)
    manifest = Manifest(
        batch=work.batch.number,
        sender=context.printers.first.sender,
        created=work.batch.frozen_at,
        key=key,
        files=(described,),
        letters=letters,
    )
    merged.seek(0)
    package = BytesIO()
    pack(manifest, {PDF: merged}, package)
    return package.getvalue(), described.pages, described.sheets


def _batch_letters(context: Context, work: BatchWork, key: BatchKey) -> list[BatchLetter]:
    return [
        BatchLetter(
            entry=_entry(work.dossiers[letter.delivery_id], letter, key),
            read=_reader(context, letter),
            duplex=key.duplex,
        )
        for letter in work.letters
    ]


def _reader(context: Context, letter: PrintLetter) -> Callable[[], bytes]:
    return lambda: context.vault.read(letter.path, letter.organisation_id, letter.delivery_id, f"print-{letter.leg}")


def _entry(dossier: Dossier, letter: PrintLetter, key: BatchKey) -> ManifestLetter:
    assert dossier.personal.address is not None
    return ManifestLetter(
        id=f"{public_id(DELIVERY, letter.delivery_id)}-{letter.leg}",
        attempt=letter.attempt + 1,
        sheets=letter.sheets,
        grams=letter.grams,
        envelope=key.envelope,
        product=key.product,
        address_lines=addresses.lines(dossier.personal.address, language=dossier.delivery.language),
        return_address=tuple(dossier.organisation.return_address),
        undeliverable=dossier.delivery.print_options.get("undeliverable", "return"),
        content_sha256=letter.sha256.hex(),
        registered=key.registered,
        priority=bool(dossier.delivery.print_options["priority"]),
        duplex=key.duplex,
        colour=key.colour,
        **front_of(letter),
    )


