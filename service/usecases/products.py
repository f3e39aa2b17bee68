"""What letters must have in common to share a batch, and how a batch is named in evidence."""

import uuid
from typing import Any

import msgspec

from printing.letters import Letter
from printing.manifest import BatchKey
from service.db.ids import BATCH, public_id
from service.db.models import LegRow, PrintBatch, PrintLetter
from service.domain import evidence_record
from service.domain.evidence import External
from service.usecases.context import Context
from service.usecases.dossiers import Dossier

LETTER = "letter"
REGISTERED_LETTER = "registered_letter"


def product_of(context: Context, dossier: Dossier, leg: LegRow, letter: Letter) -> str:
    """The batch key of a letter, as the text that stands in its row."""
    delivery = dossier.delivery
    product = asked(dossier, leg)
    registered = product == REGISTERED_LETTER
    assert letter.envelope is not None, "a letter that no envelope holds is refused by its checks"
    key = BatchKey(
        provider=context.printers.of(product).name,
        product=product,
        colour=bool(delivery.print_options["colour"]),
        duplex=letter.duplex,
        envelope=letter.envelope,
        registered="registered" if registered else None,
        language=delivery.language,
    )
    return msgspec.json.encode(key).decode()


def asked(dossier: Dossier, leg: LegRow) -> str:
    """The product that a leg's letter is."""
    registered = dossier.delivery.registered if leg.registered is None else leg.registered
    return REGISTERED_LETTER if registered else LETTER


def read_product(text: str) -> BatchKey:
    """A batch key from a letter's row."""
    return msgspec.json.decode(text, type=BatchKey)


def relay(provider: str, batch_id: uuid.UUID) -> External:
    """The print house as evidence names it, with our batch as the reference."""
    return External(provider, public_id(BATCH, batch_id))


def evidenced(letter: PrintLetter | None, batch: PrintBatch | None) -> evidence_record.Letter:
    """A letter as evidence binds it: its copy for print where that is known, and the batch's file."""
    file = None if batch is None or batch.sha256 is None else batch.sha256.hex()
    return evidence_record.Letter(None if letter is None else letter.sha256.hex(), batch_sha256=file)


def front_of(letter: PrintLetter) -> dict[str, Any]:
    """What a manifest says of the front of a letter: the way of its address, and the numbers that stand on it."""
    return {
        "address_mode": letter.address_mode or "page",
        "mail_id": letter.mail_id,
        "registered_number": letter.registered_number,
    }
