"""What a letter is made of: the documents, the way its address gets into the window, the post's numbers, the extras."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast
from typing import Final as Constant

import msgspec

from printing import numbers as post
from printing.adopting import differs
from printing.asked import Asked, Look
from printing.cover import texts
from printing.errors import LetterRefused, PrintingError, Problem
from printing.letters import AddressMode, Extras, Language, Letter, Marks, Sender, Undeliverable, compose
from printing.marks import band_of, without_room
from printing.numbers import Kind
from printing.profiles import Box, Profile
from printing.typeset import clean, face, printable, repertoire_of
from service.db.models import LegRow
from service.domain import addresses
from service.domain.addresses import BELGIUM, PostalAddress
from service.domain.errors import Final
from service.engine.patience import OutOfPatience, patience
from service.usecases import invitations, logos, numbers
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.invitations import Invited
from service.usecases.looking import Looking
from service.usecases.products import LETTER, REGISTERED_LETTER
from service.usecases.seal import TOO_COMPLEX

REFUSED: Constant = "letter_refused"
ADDRESS_REFUSED: Constant = "address_refused"
_LOGOS: Constant = logos.Logos()


class Unprintable(Final):
    """No letter can be made of this delivery, for these reasons."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        reason = ADDRESS_REFUSED if first.code.startswith("ADDR_") else REFUSED
        super().__init__(first.detail, reason=reason, code=first.code)
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Made:
    """A composed letter, and what is kept of it beside its PDF."""

    letter: Letter
    mode: AddressMode
    marks: Marks
    invited: Invited | None
    lines: tuple[str, ...] = field(repr=False)
    compose: Callable[[Collection[int]], Letter] = field(repr=False)
    profile: Profile = field(repr=False)

    def reduced(self, pages: Collection[int]) -> "Made":
        """The same with these pages made smaller until they stand within the margins.

        Raises:
            Unprintable: as `make` says.
        """
        return replace(self, letter=self.compose(pages))

    def to_look_at(self, source_bytes: int, reduced: Collection[int] | None = None) -> Look:
        """The letter, and what is asked about it; ``reduced`` as in `printing.checks.check_letter`."""
        question = Asked(
            "letter",
            self.profile,
            self.letter.duplex,
            sheets=self.letter.sheets,
            own_codes=self.own_codes,
            own_place=self.letter.own_place,
            source_bytes=source_bytes,
            reduced=None if reduced is None else tuple(sorted(reduced)),
        )
        return question, self.letter.pdf

    @property
    def own_codes(self) -> tuple[str, ...]:
        """What codes of ours on the letter say, as a reader tells it, and our line above the address."""
        number = self.marks.registered_number
        if number is not None and post.kind_of(number) == "gs1":
            number = post.shown("gs1", number)
        mark = self.profile.barcode.mark if self.marks.registered else None
        return tuple(each for each in (mark, number, self.marks.mail_id, printable(self.marks.notice)) if each)


def is_registered(dossier: Dossier, leg: LegRow) -> bool:
    """Whether this leg's letter is a registered item."""
    return dossier.delivery.registered if leg.registered is None else leg.registered


def make(
    context: Context, dossier: Dossier, leg: LegRow, documents: Sequence[bytes], profile: Profile
) -> Looking[Made]:
    """Compose the letter of a leg.

    Raises:
        Unprintable: the letter or its address is refused.
        Final: there is no address.
        NumbersExhausted: it needs a number of the post, and none is left.
    """
    delivery, address = dossier.delivery, dossier.personal.address
    if address is None:
        raise Final("There is no address to send a letter to.", reason="address_missing", code="address_missing")
    options, language = delivery.print_options, cast("Language", delivery.language)
    mode = cast("AddressMode", options.get("address", "page"))
    undeliverable = cast("Undeliverable", options.get("undeliverable", "return"))
    organisation = dossier.organisation
    logo = _LOGOS.of(context, organisation, colour=bool(options["colour"])) if mode == "page" else None
    sender = logos.sender_of(organisation, logo)
    registered = is_registered(dossier, leg)
    lines = addresses.lines(address, language=language)
    try:
        if mode != "page":
            yield from _check_window(documents[0], lines, mode, registered=registered, profile=profile, options=options)
        if registered and (long := post.check_announcement([*lines, sender.name, *sender.return_address])):
            raise LetterRefused(long)
        marks = _marks(context, address, lines, mode, registered=registered, profile=profile)
        if mode == "stamp":
            marks = replace(marks, notice=_notice(language, sender, undeliverable))
    except PrintingError as error:
        raise Unprintable(error.problems) from error
    invited = invitations.draft(context, dossier) if mode == "page" else None

    def composed(reduced: Collection[int] = ()) -> Letter:
        try:
            with patience():
                return compose(
                    documents[0],
                    documents[1:],
                    address_lines=lines,
                    sender=sender,
                    reference=delivery.reference,
                    language=language,
                    duplex=bool(options["duplex"]),
                    profile=profile,
                    mode=mode,
                    marks=marks,
                    extras=Extras(f"{context.base_url}/verify", undeliverable, invited.printed if invited else None),
                    return_receipt=registered and bool(options.get("return_receipt", False)),
                    reduced=reduced,
                )
        except OutOfPatience:
            raise Unprintable((Problem(TOO_COMPLEX, "The document takes too long to prepare for printing."),)) from None
        except PrintingError as error:
            raise Unprintable(error.problems) from error

    return Made(composed(), mode, marks, invited, tuple(lines), composed, profile)


def _check_window(
    document: bytes,
    lines: Sequence[str],
    mode: AddressMode,
    *,
    registered: bool,
    profile: Profile,
    options: Mapping[str, Any],
) -> Looking[None]:
    """Hold the window of the document's first page against the way its address is to get there.

    Raises:
        LetterRefused: it is not free, or shows another address than the recipient's (``ADDR_DIFFERS``).
    """
    band = band_of(Marks(registered=registered), profile)
    if mode == "adopt" and band is not None:
        # What the post wants above the address must be free of it.
        window = profile.window
        profile = msgspec.structs.replace(profile, window=Box(window.left, band.bottom, window.right, window.bottom))
    found = yield Asked("document", profile, bool(options["duplex"]), mode=mode), document
    if found.problems:
        raise LetterRefused(*found.problems)
    if mode == "adopt" and (other := differs(found.window_lines, lines)) is not None:
        raise LetterRefused(other)


def _marks(
    context: Context,
    address: PostalAddress,
    lines: Sequence[str],
    mode: AddressMode,
    *,
    registered: bool,
    profile: Profile,
) -> Marks:
    """The codes of the post on the front, with numbers from its ranges."""
    ranges = context.printers.of(REGISTERED_LETTER if registered else LETTER).numbers
    if registered:
        kinds: tuple[Kind, ...] = ("gs1", "jjbea") if address.country == BELGIUM else ("s10",)
        kind = next((each for each in kinds if any(one.kind == each for one in ranges)), None)
        return Marks(registered=True, registered_number=None if kind is None else numbers.take(context, ranges, kind))
    # A document that shows its address itself left no room for a code above it.
    if profile.mail_id_zone is None or mode == "adopt":
        return Marks()
    tried = [clean(line) for line in lines]
    if without_room(tried, profile, face("Regular", repertoire_of(tried))):
        return Marks()
    return Marks(mail_id=numbers.take(context, ranges, "mail_id"))


def _notice(language: Language, sender: Sender, undeliverable: Undeliverable) -> str:
    words = texts()[language]
    if undeliverable == "destroy":
        return words.notice_destroy
    home = [line for line in sender.return_address if line != sender.name]
    return words.notice_return.format(address=", ".join((sender.name, *home)))
