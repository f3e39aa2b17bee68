"""What the operators' pages on print share: who acts, what stood in the way, the page that asks before an act."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from litestar import Request, Response

from service.domain.errors import Conflict, Forbidden, Invalid, NotFound, Retryable, ZendingError
from service.portal import languages
from service.portal.print_words import ACTS, OTHERS, Act, PrintWords
from service.portal.rendering import Portal, see_other
from service.usecases import audit
from service.usecases.print_views import PrintedLetter
from service.web.problems import kind_of

HOME: Final = "/operator/print"
REFUSED: Final = (Invalid, Conflict, Forbidden, NotFound, Retryable)
"""What is told on the page itself."""
CONFIRMED: Final = "confirmed"
"""The field by which the page that asks is told from the one before it."""

AnyRequest = Request[Any, Any, Any]


@dataclass(frozen=True)
class Question:
    """What the page that asks shows and sends.

    Attributes:
        act: which, a key of ``ACTS`` or ``OTHERS``.
        action: where its form goes.
        back: where "No" leads.
        about: what it is done to.
        hidden: what the form says besides.
        letters: where the letters are that it is done to.
        reason: what was filled in before.
    """

    act: str
    action: str
    back: str
    about: str = ""
    hidden: tuple[tuple[str, str], ...] = ()
    letters: Sequence[PrintedLetter] = ()
    reason: str = ""


def ask(request: AnyRequest, portal: Portal, question: Question, error: ZendingError | None = None) -> Response[str]:
    """The page that asks before an act."""
    return page(request, portal, "operator/print_confirm.html", error, question=question, act=act_of(question.act))


def page(
    request: AnyRequest, portal: Portal, template: str, error: ZendingError | None = None, **values: Any
) -> Response[str]:
    """A page on print, with what stood in the way and what was done just now."""
    words = words_of(request, portal)
    return portal.page(
        request,
        template,
        status=200 if error is None else kind_of(error).status,
        print_words=words,
        problem="" if error is None else words.problem(error),
        told=_told(request, words),
        **values,
    )


def done(request: AnyRequest, path: str, act: str, count: int = 1) -> Response[Any]:
    """Go on at a page that says what was done."""
    return see_other(request, f"{path}?done={act}&count={count}")


def actor(request: AnyRequest, portal: Portal) -> str:
    """Who acts, for the trail."""
    session = portal.visitor(request).session
    assert session is not None  # the guard saw to it
    return audit.staff_actor(portal.context.index.writing, session.data.person.subject)


def words_of(request: AnyRequest, portal: Portal) -> PrintWords:
    """The sentences on print in the reader's language."""
    return PrintWords(languages.words(portal.visitor(request).language))


def act_of(name: str) -> Act:
    """An act by its name."""
    return ACTS[name] if name in ACTS else OTHERS[name]


def _told(request: AnyRequest, words: PrintWords) -> str:
    name, count = request.query_params.get("done", ""), request.query_params.get("count", "")
    if (name not in ACTS and name not in OTHERS) or not (count.isascii() and count.isdecimal()):
        return ""
    return words.say(act_of(name).done, count=int(count[:9]))
