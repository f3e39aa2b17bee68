"""The file of a batch: its letters merged into PDFs, with a manifest, in one ZIP; made once, kept, and read back."""

import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

from sqlalchemy.orm import Session

from printing.batch import BatchLetter, merge
from printing.encryption import name_open
from printing.envelopes import together
from printing.manifest import BatchKey, Manifest, ManifestFile, ManifestLetter, describe_file, pack, schema_for
from printing.readback import read_back
from service.db import deliveries
from service.db import printing as rows
from service.db.ids import DELIVERY, public_id
from service.db.models import PrintBatch, PrintLetter
from service.domain import addresses, calendar
from service.domain.errors import Retryable
from service.usecases.admission import intents
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.personal import PLATFORM
from service.usecases.print_runs import files_of
from service.usecases.print_sharing import envelopes_of
from service.usecases.products import front_of, read_product

PDF = "letters.pdf"
ROLE = "batch"


@dataclass(frozen=True)
class BatchWork:
    """A frozen batch with its letters in their order."""

    batch: PrintBatch
    letters: Sequence[PrintLetter]
    dossiers: dict[uuid.UUID, Dossier]
    held: Callable[[Session], None]


def content_of(context: Context, work: BatchWork) -> bytes:
    """The file's bytes: made once, kept, and from then on read back."""
    batch = work.batch
    if batch.path is None:
        content, files = _make(context, work)
        prepared = context.vault.prepare(PLATFORM, _year(batch), batch.id, ROLE, content)
        with context.database.transaction(organisations=[PLATFORM]) as session:
            deliveries.intend(session, intents(PLATFORM, batch.id, [prepared]))
        context.vault.write(prepared)
        with context.database.transaction(organisations=[PLATFORM]) as session:
            work.held(session)
            made = rows.Content(
                path=prepared.path,
                sha256=hashlib.sha256(content).digest(),
                size=len(content),
                pages=sum(file.pages for file in files),
                sheets=sum(file.sheets for file in files),
                letters=len(work.letters),
            )
            if rows.save_content(session, batch.id, made):
                deliveries.keep(session, [batch.id], [prepared.path])
                batch.path, batch.pages, batch.sheets = made.path, made.pages, made.sheets
                batch.sha256 = made.sha256
    if batch.path is None:
        raise Retryable("Letters were taken out of the batch while its file was made.", code="batch_changed")
    return context.vault.read(batch.path, PLATFORM, batch.id, ROLE)


def _year(batch: PrintBatch) -> int:
    """Whose key closes the file: it mixes senders, so the platform's own of the year it was frozen in."""
    return calendar.retention_year(batch.frozen_at)


def _make(context: Context, work: BatchWork) -> tuple[bytes, tuple[ManifestFile, ...]]:
    batch = work.batch
    printer = context.printers.named(batch.provider)
    key = read_product(batch.product["key"])
    parts = files_of(work.letters, printer.profile.limits)
    names = [PDF] if len(parts) == 1 else [f"letters-{number}.pdf" for number in range(1, len(parts) + 1)]
    merged = {name: BytesIO() for name in names}
    letters: list[ManifestLetter] = []
    files = []
    for (name, out), part in zip(merged.items(), parts, strict=True):
        entries = merge(
            _batch_letters(context, work, part, key), out, file=name, duplex=key.duplex, profile=printer.profile
        )
        # Nothing leaves the house whose codes were not read as its machines will read them.
        read_back(out.getvalue(), entries, printer.profile, file=name)
        out.seek(0)
        files.append(describe_file(name, out, entries))
        out.seek(0)
        letters += entries
    manifest = Manifest(
        batch=batch.number,
        sender=batch.file_name.split("_")[2],
        created=batch.frozen_at,
        key=key,
        files=tuple(files),
        letters=tuple(letters),
        schema=schema_for(letters),
    )
    package = BytesIO()
    pack(manifest, merged, package)
    content = package.getvalue()
    if name_open(batch.file_name) != batch.file_name:
        # What is frozen is what the print house gets; the same file would never be encrypted to the same bytes again.
        content = printer.seal(content)
    return content, tuple(files)


def _batch_letters(
    context: Context, work: BatchWork, letters: Sequence[PrintLetter], key: BatchKey
) -> list[BatchLetter]:
    profile = context.printers.named(work.batch.provider).profile
    found = []
    for inside in envelopes_of(letters):
        entries = [entry_of(work.dossiers[letter.delivery_id], letter, key) for letter in inside]
        if inside[0].envelope_product is not None:
            entries = together(entries, profile)
        found += [
            BatchLetter(entry=entry, read=reader_of(context, letter), duplex=key.duplex)
            for entry, letter in zip(entries, inside, strict=True)
        ]
    return found


def reader_of(context: Context, letter: PrintLetter) -> Callable[[], bytes]:
    """How to get a letter's print copy."""
    return lambda: context.vault.read(letter.path, letter.organisation_id, letter.delivery_id, f"print-{letter.leg}")


def entry_of(dossier: Dossier, letter: PrintLetter, key: BatchKey) -> ManifestLetter:
    """What a manifest says of a letter before it is merged."""
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
        set=None if letter.set_number is None else f"{letter.set_number:012d}",
        sequence=letter.run_sequence or letter.sequence or 0,
        presort=letter.presort or "",
        postage_cents=letter.postage_cents,
        **front_of(letter),
    )
