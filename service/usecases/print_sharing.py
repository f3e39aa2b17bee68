"""Letters that share envelopes: which may, what an envelope takes, and what follows when a letter of it does not go."""

import dataclasses
import hashlib
import hmac
from collections.abc import Sequence
from itertools import groupby
from typing import Final

import msgspec

from printing.profiles import Profile
from service.db.models import LegRow, PrintLetter
from service.domain.print_envelopes import Envelope, Fits
from service.printers.wired import Printer
from service.usecases.composing import Made
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.products import LETTER, asked, read_product

_PURPOSE: Final = b"zending shared envelope v1\0"


def share_key(context: Context, dossier: Dossier, leg: LegRow, made: Made, product: str) -> bytes | None:
    """What is the same for all letters that may share an envelope with this one; None where it has its own.

    It says nothing to who lacks the index key: a keyed hash of sender, addressee, the address as it is printed, and all
    else by which envelopes and their ways differ. Registered letters are alone: each has its number and its evidence.
    """
    delivery = dossier.delivery
    if not delivery.print_options.get("share_envelope", False) or asked(dossier, leg) != LETTER:
        return None
    assert dossier.personal.address is not None
    said = msgspec.json.encode(
        (
            delivery.organisation_id,
            tuple(dossier.organisation.return_address),
            delivery.recipient_hash,
            made.lines,
            dossier.personal.address.postcode,
            delivery.print_options.get("undeliverable", "return"),
            bool(delivery.print_options["priority"]),
            made.profile.name,
            dataclasses.replace(read_product(product), envelope=""),
        )
    )
    return hmac.digest(context.index.writing, _PURPOSE + said, hashlib.sha256)


def fits(printer: Printer, product: str) -> Fits | None:
    """What an envelope of a print house takes; None where each letter has its own."""
    if product != LETTER or not printer.shares_envelopes:
        return None
    return fits_of(printer.profile, product)


def fits_of(profile: Profile, product: str) -> Fits:
    """What an envelope takes by a profile."""

    def kind(sheets: int) -> str | None:
        found = profile.envelope_for(sheets)
        return None if found is None else found.name

    def cents(sheets: int) -> int | None:
        return profile.postage(product, profile.grams(sheets))

    return Fits(profile.limits.batch_letters, profile.limits.batch_bytes, kind, cents)


def key_of(envelope: Envelope) -> str | None:
    """The batch key of an envelope that letters share; None for a letter that has its own."""
    if envelope.kind is None:
        return None
    key = dataclasses.replace(read_product(envelope.letters[0].kind), envelope=envelope.kind)
    return msgspec.json.encode(key).decode()


def envelopes_of(letters: Sequence[PrintLetter]) -> list[list[PrintLetter]]:
    """Letters of a run or batch, in its order, by the envelopes they go in."""

    def own(letter: PrintLetter) -> tuple[object, ...]:
        alone = (letter.delivery_id, letter.leg, letter.attempt)
        return alone if letter.envelope_set is None else (letter.envelope_set,)

    return [list(inside) for _, inside in groupby(letters, key=own)]


def leave_run(letter: PrintLetter) -> None:
    """Let a letter wait for the next run, and its envelope go without it."""
    letter.deposit_id = letter.run_sequence = letter.envelope_set = letter.envelope_product = None


def sets_of(letters: Sequence[PrintLetter]) -> None:
    """Number the envelopes of these letters by the first that is left in each; what was only for sharing is let go."""
    for inside in envelopes_of(letters):
        for letter in inside:
            letter.envelope_set = inside[0].set_number if len(inside) > 1 else None
            letter.share_key = None
