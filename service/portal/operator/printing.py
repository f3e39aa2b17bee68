"""The operators' pages on print: batches and what is off, what does not fit, returned mail, days, files."""

from datetime import date
from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from printing.exchange import MOST_BYTES
from service.domain import calendar
from service.domain.addresses import ReturnReason
from service.domain.errors import Invalid, NotFound
from service.portal.forms import MARGIN, Form
from service.portal.guards import OPERATOR, genuine
from service.portal.operator import print_acts
from service.portal.operator.print_pages import HOME, REFUSED, AnyRequest, actor, done, page
from service.portal.rendering import SEE_OTHER, Portal, see_other
from service.portal.visitors import FORM_LIMIT
from service.usecases import (
    paper_choices,
    post_envelopes,
    post_returned,
    print_desk,
    print_waiting,
    reconciliation,
)
from service.usecases.post_reports import Taken
from service.usecases.post_returned import Outcome, Returned

BATCHES: Final = 20
EXCEPTIONS: Final = 50
FILES: Final = 50


@get("/operator/print", guards=[OPERATOR], sync_to_thread=True)
def overview(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """What does not fit, what waits for too long, and the newest batches."""
    context = portal.context
    return page(
        request,
        portal,
        "operator/print.html",
        batches=reconciliation.newest(context, limit=BATCHES),
        exceptions=print_desk.exceptions(context, limit=EXCEPTIONS),
        stuck=print_waiting.stuck(context),
    )


@get("/operator/print/{number:int}", guards=[OPERATOR], sync_to_thread=True)
def batch(request: AnyRequest, portal: NamedDependency[Portal], number: FromPath[int]) -> Response[str]:
    """One batch: its balance, the letters that are missing, the files that came about it."""
    found = reconciliation.of_batch(portal.context, number)
    if found is None:
        raise NotFound
    balance, missing = found
    files = print_desk.inbounds(portal.context, batch=number, limit=FILES)
    shared = post_envelopes.of_batch(portal.context, number)
    return page(
        request, portal, "operator/print_batch.html", batch=balance, missing=missing, shared=shared, files=files
    )


@post(
    "/operator/print/exceptions/{exception_id:str}/seen",
    guards=[OPERATOR, genuine],
    status_code=SEE_OTHER,
    sync_to_thread=True,
)
def seen(request: AnyRequest, portal: NamedDependency[Portal], exception_id: FromPath[str]) -> Response[Any]:
    """Say that one was seen to."""
    print_desk.see(portal.context, [exception_id], actor(request, portal))
    return see_other(request, HOME)


@get("/operator/print/days", guards=[OPERATOR], sync_to_thread=True)
def day(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """What was handed over on a day against what came back."""
    context, asked = portal.context, request.query_params.get("day", "")
    wanted, error = calendar.local_date(context.clock()), None
    try:
        wanted = date.fromisoformat(asked) if asked else wanted
    except ValueError:
        error = Invalid("This is not a day.", code="day_malformed")
    total, each = reconciliation.of_day(context, wanted)
    return page(request, portal, "operator/print_days.html", error, total=total, batches=each)


# ---------------------------------------------------------------- what comes back
@get("/operator/print/returns", guards=[OPERATOR], sync_to_thread=True)
def returned(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """A form to take letters in that came back."""
    return _returns_page(request, portal)


@post("/operator/print/returns", guards=[OPERATOR, genuine], status_code=200, sync_to_thread=True)
def returns(request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[Any]:
    """Take letters in that came back, and say what became of each."""
    given, cause = form.text("letters"), form.text("cause") or None
    try:
        listed = post_returned.read_list(given)
        if not listed:
            raise Invalid("Name letters.", code="letter_unknown")
        outcomes = post_returned.take(
            portal.context,
            [Returned(each.letter, each.cause or cause, each.at) for each in listed],
            actor=actor(request, portal),
        )
    except REFUSED as error:
        return _returns_page(request, portal, given={"letters": given, "cause": cause or ""}, error=error)
    return _returns_page(request, portal, outcomes=outcomes)


@get("/operator/print/files", guards=[OPERATOR], sync_to_thread=True)
def files(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """The files that came in, and a form to take more in by hand."""
    return _files_page(request, portal)


@post(
    "/operator/print/files",
    guards=[OPERATOR, genuine],
    opt={FORM_LIMIT: MOST_BYTES + MARGIN},
    request_max_body_size=None,
    status_code=200,
    sync_to_thread=True,
)
def take(request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[Any]:
    """Take files of a print house in, and say what became of each."""
    printer, chosen, taken_in = form.text("printer"), form.chosen("file"), []
    by = actor(request, portal)
    try:
        if not chosen:
            raise Invalid("Choose a file.", code="file_missing")
        for each in chosen:
            taken = print_desk.take_in(portal.context, printer or None, each.filename, each.content, actor=by)
            taken_in.append((each.filename, taken))
    except REFUSED as error:
        return _files_page(request, portal, printer=printer, outcomes=taken_in, error=error)
    return _files_page(request, portal, printer=printer, outcomes=taken_in)


# ---------------------------------------------------------------- senders
@get("/operator/print/senders", guards=[OPERATOR], sync_to_thread=True)
def senders(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """What organisations want of their letters, where a delivery doesn't say."""
    return _senders_page(request, portal)


@post(
    "/operator/print/senders/{organisation:str}",
    guards=[OPERATOR, genuine],
    status_code=SEE_OTHER,
    sync_to_thread=True,
)
def choose(
    request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form], organisation: FromPath[str]
) -> Response[Any]:
    """Choose for one."""
    by = actor(request, portal)
    wanted = {name: form.text(name) for name in ("undeliverable", "returned_mail", "share_envelopes")}
    try:
        with portal.context.database.transaction() as session:
            paper_choices.choose(session, organisation, actor=by, **wanted)
    except REFUSED as error:
        return _senders_page(request, portal, error)
    return done(request, f"{HOME}/senders", "choose")


HANDLERS: Final = [
    overview, batch, seen, day, returned, returns, files, take, senders, choose, *print_acts.HANDLERS,
]  # fmt: skip


def _senders_page(request: AnyRequest, portal: Portal, error: Any = None) -> Response[str]:
    found = paper_choices.listing(portal.context)
    return page(request, portal, "operator/print_senders.html", error, senders=found)


def _returns_page(
    request: AnyRequest,
    portal: Portal,
    *,
    given: dict[str, str] | None = None,
    outcomes: list[Outcome] | None = None,
    error: Any = None,
) -> Response[str]:
    causes = [(each.value, f"{each.value} {each.meaning}") for each in ReturnReason]
    return page(
        request, portal, "operator/print_returns.html", error, causes=causes, given=given or {}, outcomes=outcomes or []
    )


def _files_page(
    request: AnyRequest,
    portal: Portal,
    *,
    printer: str = "",
    outcomes: list[tuple[str, Taken]] | None = None,
    error: Any = None,
) -> Response[str]:
    context = portal.context
    return page(
        request,
        portal,
        "operator/print_files.html",
        error,
        files=print_desk.inbounds(context, limit=FILES),
        printers=sorted(context.printers),
        printer=printer,
        outcomes=outcomes or [],
    )
