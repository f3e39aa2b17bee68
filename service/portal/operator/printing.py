"""The operators' page on print: batches and what is off, what does not fit, returned mail, letters to pull."""

from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from service.domain.addresses import ReturnReason
from service.domain.errors import Conflict, Forbidden, Invalid, NotFound
from service.domain.states import Actor
from service.portal import languages
from service.portal.forms import Form
from service.portal.guards import OPERATOR, genuine
from service.portal.rendering import SEE_OTHER, Portal, see_other
from service.portal.wording import Wording
from service.usecases import audit, post_envelopes, post_pulls, post_returned, print_desk, print_runs, reconciliation
from service.usecases.post_returned import Outcome, Returned
from service.web.problems import kind_of

BATCHES: Final = 20
EXCEPTIONS: Final = 50

AnyRequest = Request[Any, Any, Any]
Refused = Invalid | Conflict | Forbidden | NotFound
_REFUSED: Final = (Invalid, Conflict, Forbidden, NotFound)


@get("/operator/print", guards=[OPERATOR], sync_to_thread=True)
def overview(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """The newest batches, what does not fit, and what can be done."""
    return _page(request, portal)


@get("/operator/print/{number:int}", guards=[OPERATOR], sync_to_thread=True)
def batch(request: AnyRequest, portal: NamedDependency[Portal], number: FromPath[int]) -> Response[str]:
    """One batch: its balance, the letters that are missing, the files that came about it."""
    found = reconciliation.of_batch(portal.context, number)
    if found is None:
        raise NotFound
    balance, missing = found
    files = print_desk.inbounds(portal.context, batch=number, limit=EXCEPTIONS)
    shared = post_envelopes.of_batch(portal.context, number)
    return portal.page(request, "operator/print_batch.html", batch=balance, missing=missing, shared=shared, files=files)


@post("/operator/print/close", guards=[OPERATOR, genuine], status_code=SEE_OTHER, sync_to_thread=True)
def close(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[Any]:
    """Freeze what waits, before its cut-off."""
    print_runs.close(portal.context, Actor.OPERATOR)
    return see_other(request, "/operator/print")


@post(
    "/operator/print/exceptions/{exception_id:str}/seen",
    guards=[OPERATOR, genuine],
    status_code=SEE_OTHER,
    sync_to_thread=True,
)
def seen(request: AnyRequest, portal: NamedDependency[Portal], exception_id: FromPath[str]) -> Response[Any]:
    """Say that one was seen to."""
    print_desk.see(portal.context, [exception_id], _actor(request, portal))
    return see_other(request, "/operator/print")


@post("/operator/print/returns", guards=[OPERATOR, genuine], status_code=200, sync_to_thread=True)
def returns(request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[Any]:
    """Take letters in that came back, and say what became of each."""
    given, cause = form.text("letters"), form.text("cause") or None
    try:
        listed = post_returned.read_list(given)
        done = post_returned.take(
            portal.context, [Returned(each.letter, each.cause or cause, each.at) for each in listed]
        )
    except _REFUSED as error:
        return _page(request, portal, given={"letters": given, "cause": cause or ""}, error=error)
    return _page(request, portal, done=done)


@post("/operator/print/pulls", guards=[OPERATOR, genuine], status_code=SEE_OTHER, sync_to_thread=True)
def pull(request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[Any]:
    """Have letters taken out at the print house."""
    names, reason = form.text("pull").split(), form.text("reason")
    try:
        post_pulls.order(portal.context, names, reason=reason, actor=_actor(request, portal))
    except _REFUSED as error:
        return _page(request, portal, given={"pull": form.text("pull"), "reason": reason}, error=error)
    return see_other(request, "/operator/print")


HANDLERS: Final = [overview, batch, close, seen, returns, pull]


def _page(
    request: AnyRequest,
    portal: Portal,
    *,
    given: dict[str, str] | None = None,
    done: list[Outcome] | None = None,
    error: Refused | None = None,
) -> Response[str]:
    context = portal.context
    wording = Wording(languages.words(portal.visitor(request).language))
    return portal.page(
        request,
        "operator/print.html",
        status=200 if error is None else kind_of(error).status,
        batches=reconciliation.newest(context, limit=BATCHES),
        exceptions=print_desk.exceptions(context, limit=EXCEPTIONS),
        pulls=print_desk.pulls(context, limit=BATCHES),
        causes=[(each.value, f"{each.value} {each.meaning}") for each in ReturnReason],
        given=given or {},
        done=done,
        problem="" if error is None else wording.problem(error.code, error.detail),
    )


def _actor(request: AnyRequest, portal: Portal) -> str:
    session = portal.visitor(request).session
    assert session is not None  # the guard saw to it
    return audit.staff_actor(portal.context.index.writing, session.data.person.subject)
