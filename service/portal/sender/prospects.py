"""How a letter is to travel: what can be chosen for its kind, and what will happen then."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.domain.errors import FieldError
from service.domain.identifiers import RecipientKind
from service.domain.legal_basis import Days, Ending, Entry, Fallback, Mode
from service.domain.outlook import Step
from service.usecases import preview
from service.usecases.context import Context
from service.usecases.policies import Policies


@dataclass(frozen=True, slots=True)
class Choice:
    """What the form offers under "Send".

    Attributes:
        entry: what this kind of document is sent under.
        registered: it is sent as registered mail.
        mode: what is chosen, or the entry's usual one; empty for ordinary mail.
        days: the bounds of the days to answer; None without an offer.
        may_add_letter: a registered letter after a refusal is the sender's to choose.
        steps: what will happen.
        seen: names what is shown; sent along, so that nobody sends registered mail without having had it before them.
    """

    entry: Entry
    registered: bool
    mode: str
    days: Days | None
    may_add_letter: bool
    steps: tuple[Step, ...]
    seen: str


def choice(context: Context, known: Policies, values: Mapping[str, str]) -> Choice:
    """What can be chosen after what was chosen so far; what does not fit is left out of what will happen."""
    registered = values["registered"] == "yes"
    entry = known.entry(values["document_type"], registered=registered)
    modes = [mode.value for mode in entry.modes]
    # Only what the entry allows is ever chosen, and nothing but its first where nobody chose.
    mode = values["registered_mode"] if values["registered_mode"] in modes else next(iter(modes), "")
    bounds = entry.acceptance if mode == Mode.CONSENT else None
    may_add = bounds is not None and entry.fallback.get(Ending.REFUSED) is not Fallback.REGISTERED_PAPER
    asked = preview.Choice(
        document_type=values["document_type"],
        registered=registered,
        postal=values["kind"] == RecipientKind.POSTAL.value,
        mode=mode or None,
        acceptance_days=_days(values["acceptance_days"], bounds),
        fallback=(Ending.REFUSED.value,) if may_add and values["after_refusal"] == "yes" else (),
    )
    found = preview.prospect(context, known, asked)
    seen = f"{entry.name} {mode}" if registered else ""
    return Choice(entry, registered, mode, bounds, may_add, found.steps, seen)


def unseen(context: Context, known: Policies, values: Mapping[str, str]) -> list[FieldError]:
    """What is wrong where registered mail is sent by who was shown something else, or nothing, of what will happen."""
    if values["registered"] != "yes" or values["seen"] == choice(context, known, values).seen:
        return []
    return [FieldError("/registered", "prospect_unseen", "")]


def _days(text: str, bounds: Days | None) -> int | None:
    if bounds is None or not (text.isascii() and text.isdecimal() and len(text) < 4):  # noqa: PLR2004  days
        return None
    number = int(text)
    return number if bounds.least <= number <= bounds.most else None
