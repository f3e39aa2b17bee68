"""The operators' pages: the same acts as ``/v1/ops`` and ``zending ops``, by the same use cases.

What is wrong, and what codes mean, is told in the words of the alarms and runbooks, which are in English only.
"""

from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from service.db.ids import ORGANISATION, SUBMISSION, parse_id
from service.db.jobs import JobKind
from service.db.pauses import CHANNELS, MAIL
from service.db.queues import CAP
from service.domain.alarms import spoken
from service.domain.errors import Conflict, Forbidden, Invalid, NotFound
from service.portal import languages
from service.portal.forms import Form
from service.portal.guards import OPERATOR, genuine
from service.portal.rendering import SEE_OTHER, Portal, see_other
from service.portal.wording import Wording
from service.usecases import audit, operations, pauses, repair
from service.usecases.pauses import PAUSE
from service.web.problems import kind_of

PER_PAGE: Final = 20

AnyRequest = Request[Any, Any, Any]
Refused = Invalid | Conflict | Forbidden | NotFound
_REFUSED: Final = (Invalid, Conflict, Forbidden, NotFound)


@get("/operator", guards=[OPERATOR], sync_to_thread=True)
def overview(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """What is wrong, worst first, and what waits."""
    parts = request.app.state.readiness.parts()
    status = operations.status(portal.context, portal.application.promises, parts)
    return portal.page(request, "operator/status.html", found=status, queues=_queues(status))


@get("/operator/parked", guards=[OPERATOR], sync_to_thread=True)
def parked(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """Parked jobs, each with its cause and what can be done."""
    return _parked_page(request, portal)


@post("/operator/parked/{job_id:str}/retry", guards=[OPERATOR, genuine], status_code=SEE_OTHER, sync_to_thread=True)
def retry(request: AnyRequest, portal: NamedDependency[Portal], job_id: FromPath[str]) -> Response[Any]:
    """Try one again."""
    repair.retry(portal.context, [job_id], _actor(request, portal))
    return see_other(request, "/operator/parked")


@post("/operator/parked/{job_id:str}/propose", guards=[OPERATOR, genuine], status_code=SEE_OTHER, sync_to_thread=True)
def propose(
    request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form], job_id: FromPath[str]
) -> Response[Any]:
    """Propose the end of one."""
    try:
        repair.propose_end(
            portal.context,
            job_id,
            reason=form.text("reason"),
            actor=_actor(request, portal),
            valid_seconds=portal.settings.end_proposal_seconds,
        )
    except _REFUSED as error:
        return _parked_page(request, portal, error)
    return see_other(request, "/operator/parked")


@post("/operator/parked/{job_id:str}/confirm", guards=[OPERATOR, genuine], status_code=SEE_OTHER, sync_to_thread=True)
def confirm(request: AnyRequest, portal: NamedDependency[Portal], job_id: FromPath[str]) -> Response[Any]:
    """Confirm the end that somebody else proposed."""
    try:
        repair.confirm_end(portal.context, job_id, actor=_actor(request, portal), subject=_subject(request, portal))
    except _REFUSED as error:
        return _parked_page(request, portal, error)
    return see_other(request, "/operator/parked")


@get("/operator/pauses", guards=[OPERATOR], sync_to_thread=True)
def paused(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """What is paused, and a form to pause more."""
    return _pauses_page(request, portal, {})


@post("/operator/pauses", guards=[OPERATOR, genuine], status_code=SEE_OTHER, sync_to_thread=True)
def pause(request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[Any]:
    """Let work wait."""
    names = ("organisation", "submission", "kind", "channel", "provider", "reason")
    given = {name: form.text(name) for name in names}
    try:
        pauses.begin_checked(
            portal.context,
            organisation=parse_id(ORGANISATION, given["organisation"]) if given["organisation"] else None,
            submission=parse_id(SUBMISSION, given["submission"]) if given["submission"] else None,
            kind=given["kind"] or None,
            channel=given["channel"] or None,
            provider=given["provider"] or None,
            reason=given["reason"],
            actor=_actor(request, portal),
        )
    except _REFUSED as error:
        return _pauses_page(request, portal, given, error)
    return see_other(request, "/operator/pauses")


@post("/operator/pauses/{pause_id:str}/end", guards=[OPERATOR, genuine], status_code=SEE_OTHER, sync_to_thread=True)
def resume(request: AnyRequest, portal: NamedDependency[Portal], pause_id: FromPath[str]) -> Response[Any]:
    """Let it go on."""
    pauses.end_and_wake(portal.context, parse_id(PAUSE, pause_id), _actor(request, portal))
    return see_other(request, "/operator/pauses")


@get("/operator/audit", guards=[OPERATOR], sync_to_thread=True)
def trail(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """Who did what."""
    after = request.query_params.get("after") or None
    entries, more = audit.entries(portal.context, cursor=after, limit=PER_PAGE)
    own = _actor(request, portal)
    return portal.page(request, "operator/audit.html", entries=entries, more=more, first=after is None, own=own)


HANDLERS: Final = [overview, parked, retry, propose, confirm, paused, pause, resume, trail]


def _actor(request: AnyRequest, portal: Portal) -> str:
    return audit.staff_actor(portal.context.index.writing, _subject(request, portal))


def _subject(request: AnyRequest, portal: Portal) -> str:
    session = portal.visitor(request).session
    assert session is not None  # the guard saw to it
    return session.data.person.subject


def _parked_page(request: AnyRequest, portal: Portal, error: Refused | None = None) -> Response[str]:
    after = request.query_params.get("after") or None
    jobs, more = repair.parked(portal.context, cursor=after, limit=PER_PAGE)
    return portal.page(
        request,
        "operator/parked.html",
        status=200 if error is None else kind_of(error).status,
        jobs=jobs,
        more=more,
        first=after is None,
        own=_actor(request, portal),
        problem=_said(request, portal, error),
    )


def _pauses_page(
    request: AnyRequest, portal: Portal, given: dict[str, str], error: Refused | None = None
) -> Response[str]:
    return portal.page(
        request,
        "operator/pauses.html",
        status=200 if error is None else kind_of(error).status,
        pauses=pauses.listing(portal.context),
        kinds=[kind.value for kind in JobKind],
        channels=sorted(CHANNELS),
        providers=sorted({MAIL, *portal.context.printers}),
        given=given,
        problem=_said(request, portal, error),
    )


def _queues(status: operations.Status) -> list[dict[str, str]]:
    """The steps with something to do, as a table's rows."""
    values = {(each.metric, each.labels.get("kind"), each.labels.get("lane")): each.value for each in status.samples}
    return [
        {
            "kind": str(kind),
            "lane": str(lane),
            "waiting": f"{count:.0f}{'+' if count >= CAP else ''}",
            "oldest": spoken("_seconds", values["zending_oldest_seconds", kind, lane]),
            "promise": spoken("_seconds", values["zending_promise_seconds", kind, lane]),
        }
        for (metric, kind, lane), count in values.items()
        if metric == "zending_jobs_waiting" and count
    ]


def _said(request: AnyRequest, portal: Portal, error: Refused | None) -> str:
    if error is None:
        return ""
    return Wording(languages.words(portal.visitor(request).language)).problem(error.code, error.detail)
