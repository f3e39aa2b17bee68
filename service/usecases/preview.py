"""What will happen to a delivery that is not sent yet; nobody is looked up for it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from service.domain.errors import FieldError, Invalid
from service.domain.identifiers import RecipientKind
from service.domain.legal_basis import Entry
from service.domain.outlook import Act, Step, outlook
from service.domain.terms import Terms
from service.usecases import letter_checks, policies, requests
from service.usecases.admission import Upload
from service.usecases.context import Context
from service.usecases.letter_checks import LetterCheckView, LetterQuestion
from service.usecases.policies import Policies
from service.usecases.views import LegalBasisView

_ON_PAPER = frozenset({Act.LETTER, Act.REGISTERED_LETTER})


@dataclass(frozen=True, slots=True)
class Choice:
    """What a sender has chosen so far of what decides on the way; the rest as in `requests.PolicyPart`."""

    document_type: str
    registered: bool
    postal: bool
    mode: str | None = None
    acceptance_days: int | None = None
    fallback: tuple[str, ...] = ()
    send_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Prospect:
    """What follows from a choice; no steps where something of it is not allowed."""

    entry: Entry
    terms: Terms
    steps: tuple[Step, ...]
    refused: tuple[FieldError, ...]


class StepView(msgspec.Struct, frozen=True):
    """One thing that will happen, or may.

    ``step`` is ``mailbox`` (laid into the mailbox of a recipient who agreed to this kind of mail there), ``offer``
    (there too, to be accepted first), ``reminder``, ``answer_ends``, ``registered_letter``, ``letter``, ``nothing`` or
    ``effect`` (legal effect). ``after`` is the ending or event that it follows, null for what begins by itself. ``at``
    is null where it depends on what others do.
    """

    step: str
    at: datetime | None
    after: str | None
    working_days: int


class WrongField(msgspec.Struct, frozen=True):
    """What a hand-in would be refused for, with its place in the JSON."""

    pointer: str
    code: str
    detail: str


class PreviewView(msgspec.Struct, frozen=True):
    """What a delivery would be sent under and what would happen to it.

    ``example`` says that the entry of the register is fictional. Dates assume that it is handed in now, or goes on its
    way at its ``send_at``. ``letters`` says of each file sent along, in order, whether it can be printed; empty
    where no letter is among the ways.
    """

    legal_basis: LegalBasisView
    title: dict[str, str]
    example: bool
    mode: str | None
    acceptance_days: int | None
    steps: list[StepView]
    problems: list[WrongField]
    letters: list[LetterCheckView] = []


def preview(context: Context, organisation_id: uuid.UUID, raw: bytes, files: Sequence[Upload] = ()) -> PreviewView:
    """What would happen to a hand-in with this JSON, and what it would be refused for.

    Of its files is said whether they can be printed, where a letter is among the ways.

    Raises:
        Invalid: ``delivery_malformed``: nothing can be said of it.
    """
    asked, many = requests.read_hand_in(raw)
    known = policies.of_sender(context, organisation_id)
    wrong: tuple[FieldError, ...] = ()
    try:
        requests.checked_hand_in(asked, known, many=many, now=context.clock())
    except Invalid as error:
        wrong = error.errors
    first = asked[0]
    wishes = first.policy or requests.PolicyPart()
    choice = Choice(
        document_type=first.document_type,
        registered=first.registered,
        postal=all(RecipientKind(each.recipient.type) is RecipientKind.POSTAL for each in asked),
        mode=wishes.registered_mode,
        acceptance_days=wishes.acceptance_days,
        fallback=tuple(wishes.fallback),
        send_at=first.send_at if first.send_at is not None and first.send_at.tzinfo is not None else None,
    )
    found = prospect(context, known, choice)
    by_paper = any(each.act in _ON_PAPER for each in found.steps)
    return PreviewView(
        legal_basis=LegalBasisView(found.entry.id, found.entry.version, found.entry.sha256),
        title=dict(found.entry.title),
        example=found.entry.example,
        mode=None if found.terms.mode is None else found.terms.mode.value,
        acceptance_days=found.terms.acceptance_days,
        steps=[_step(each) for each in found.steps],
        problems=[WrongField(each.pointer or "", each.code, each.detail) for each in wrong],
        letters=[
            letter_checks.check(context, file.content, _question(asked[0].print, file))
            for file in (files if by_paper else ())
        ],
    )


def prospect(context: Context, known: Policies, choice: Choice) -> Prospect:
    """What follows from a choice, now."""
    entry = known.entry(choice.document_type, registered=choice.registered)
    found, refused = known.terms(
        choice.document_type,
        registered=choice.registered,
        mode=choice.mode,
        acceptance_days=choice.acceptance_days,
        fallback=choice.fallback,
    )
    now = context.clock()
    begins = now if choice.send_at is None else max(now, choice.send_at)
    steps = () if refused else outlook(found, begins, postal=choice.postal, quiet_hours=context.quiet_hours)
    return Prospect(entry, found, steps, refused)


def _question(wish: requests.PrintPart, file: Upload) -> LetterQuestion:
    """An attachment lies behind the document, wherever the address stands."""
    return LetterQuestion(mode=wish.address if file.role == "document" else "page", duplex=wish.duplex)


def _step(step: Step) -> StepView:
    after = None if step.after is None else step.after.value
    return StepView(step.act.value, step.at, after, step.working_days)
