"""Sending: the page of a letter's form, and the hand-in behind it; of chosen files, or of files that are here."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from litestar import Request, Response

from service.db.jobs import Lane
from service.domain.errors import FieldError, IdempotencyMismatch, IdempotencyRunning, Invalid, PayloadTooLarge
from service.portal import languages
from service.portal.forms import Form
from service.portal.rendering import Portal, see_other
from service.portal.sender import letters, prospects
from service.portal.sender.letters import LetterForm
from service.portal.wording import Wording
from service.usecases import hand_in, policies
from service.usecases.access import StaffRole
from service.usecases.admission import Sender, Upload

UNPROCESSABLE: Final = 422
# The second click of a double click waits for the first one's answer.
_TRIES: Final = 40
_BETWEEN_TRIES: Final = 0.25

AnyRequest = Request[Any, Any, Any]
Done = TypeVar("Done")


@dataclass(frozen=True)
class Errand:
    """Where a letter's form leads to, and where its files come from.

    Attributes:
        action: address that the form is sent to.
        back: page of whoever thinks better of it.
        files: the letter and its attachments, where they are here already and nobody chooses them.
    """

    action: str
    back: str
    files: Sequence[Upload] = field(default=(), repr=False)


LETTER: Final = Errand("/letters/new", "/letters")


def seat_of(request: AnyRequest) -> StaffRole:
    """For which organisation somebody acts."""
    seat = request.user.seat
    assert isinstance(seat, StaffRole)  # the guard saw to it
    return seat


def said(request: AnyRequest, portal: Portal) -> Wording:
    """The tables of words in the reader's language."""
    return Wording(languages.words(portal.visitor(request).language))


def once(act: Callable[[], Done]) -> Done:
    """Do what has an Idempotency-Key; the second click of a double click gets the first one's answer.

    Raises:
        Invalid: the key was used for something else.
        IdempotencyRunning: the first click has found no end.
    """
    for _ in range(_TRIES):
        try:
            return act()
        except IdempotencyRunning:
            time.sleep(_BETWEEN_TRIES)
        except IdempotencyMismatch as error:
            raise Invalid(error.detail, code=error.code) from error
    raise IdempotencyRunning


def form_page(
    request: AnyRequest, portal: Portal, form: LetterForm, errand: Errand = LETTER, *, status: int = 200
) -> Response[str]:
    """The page of a letter's form."""
    words = languages.words(portal.visitor(request).language)
    known = policies.of_sender(portal.context, seat_of(request).organisation_id)
    return portal.page(
        request,
        "sender/new_letter.html",
        status=status,
        form=form,
        errand=errand,
        choice=prospects.choice(portal.context, known, form.values),
        wrong=defaultdict(str, form.problems),
        kinds=letters.KINDS,
        number_labels=letters.NUMBER_LABELS,
        document_types=letters.document_types(known.document_types),
        countries=letters.countries(words.locale),
        limit=portal.context.limits.delivery_bytes,
        most=portal.context.limits.documents,
    )


def send(request: AnyRequest, portal: Portal, form: Form, errand: Errand = LETTER) -> Response[Any]:
    """Hand the letter in, by the same use case as programs do."""
    values = letters.texts(form)
    if form.text("look"):
        return form_page(request, portal, LetterForm(values, letters.new_key()), errand)
    files, missing = list(errand.files), list[FieldError]()
    if not files:
        files = letters.uploads(form)
        missing = letters.missing_files(files)
    raw, say = letters.hand_in_json(values), said(request, portal)

    def again(errors: Sequence[FieldError], general: str = "") -> Response[str]:
        shown = letters.with_problems(values, errors, say, general=general)
        return form_page(request, portal, shown, errand, status=UNPROCESSABLE)

    sender = Sender(seat_of(request).organisation_id, Lane.INTERACTIVE)
    known = policies.of_sender(portal.context, sender.organisation_id)
    if wrong := [*hand_in.check(raw, known), *missing, *prospects.unseen(portal.context, known, values)]:
        return again(wrong)
    try:
        done = once(lambda: hand_in.hand_in(portal.context, sender, raw, files, key=form.text("key")))
    except (Invalid, PayloadTooLarge) as error:
        errors = [*error.errors]
        if isinstance(error, PayloadTooLarge) or error.code == "too_many_documents":
            errors = [FieldError("/document" if len(files) == 1 else "/attachment", error.code, error.detail)]
        return again(errors, "" if errors else say.problem(error.code, error.detail))
    return see_other(request, f"/letters/{done.delivery_id}/sent")
