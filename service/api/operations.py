"""``/v1/ops``: for those who look after the service. They belong to the platform; no sender sees any of it."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from service.api.calls import ApiRequest, application_of, context_of, scoped
from service.api.readiness import Readiness
from service.db.ids import ORGANISATION, SUBMISSION, parse_id, public_id
from service.db.jobs import JobKind
from service.identity.scopes import Scope
from service.usecases import access, audit, operations, pauses, repair
from service.usecases.audit import Entry
from service.usecases.pauses import PAUSE, PauseView
from service.usecases.repair import ParkedView, ProposalView

Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.", max_length=64)]
Limit = Annotated[int, QueryParameter(ge=1, le=200, description="Items on a page.")]


class FindingShape(msgspec.Struct, frozen=True):
    """Something that is wrong; ``code`` is the name of the alarm."""

    code: str
    severity: str
    what: str
    do: str
    runbook: str
    value: float


class Measured(msgspec.Struct, frozen=True):
    """One measured value."""

    metric: str
    value: float
    labels: dict[str, str]


class StatusAnswer(msgspec.Struct, frozen=True):
    """How things stand: ``well``, ``warning`` or ``critical``; what is wrong, worst first; what was measured."""

    status: str
    at: datetime
    findings: list[FindingShape]
    measured: list[Measured]


class PauseRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What shall wait: everything that is given must apply to it."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=pauses.REASON_LENGTH)]
    organisation: str | None = None
    submission: str | None = None
    kind: str | None = None
    channel: str | None = None
    provider: str | None = None


class PauseBegun(msgspec.Struct, frozen=True):
    """The pause that was begun."""

    id: str


class PauseEnded(msgspec.Struct, frozen=True):
    """How many jobs go on at once; the rest follow within seconds."""

    let_go: int


class Pauses(msgspec.Struct, frozen=True):
    """Everything that waits by somebody's word, oldest first."""

    items: list[PauseView]
    next_cursor: str | None = None


class ParkedJobs(msgspec.Struct, frozen=True):
    """A page of parked jobs, longest parked first."""

    items: list[ParkedView]
    next_cursor: str | None


class RetryRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which parked jobs shall be tried again; all of them when ``ids`` is null."""

    ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=1000)] | None


class Retried(msgspec.Struct, frozen=True):
    """How many of them were parked."""

    retried: int


class EndRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """With which reason a parked job shall end: one of the job's ``reasons``."""

    reason: Annotated[str, msgspec.Meta(max_length=64)]


class Ended(msgspec.Struct, frozen=True):
    """The evidence with which the job ended."""

    event: str


class AuditTrail(msgspec.Struct, frozen=True):
    """A page of the audit trail, newest first."""

    items: list[Entry]
    next_cursor: str | None


class Operations(Controller):
    """Status, pauses, parked jobs, the audit trail."""

    path = "/v1/ops"
    tags = ("Operations",)

    @get(
        "/status",
        summary="Read what is wrong, worst first",
        operation_id="readStatus",
        sync_to_thread=True,
        **scoped(Scope.OPERATIONS_READ),
    )
    def status(self, request: ApiRequest) -> StatusAnswer:
        """Look at everything now: the same conditions as the alarms of the monitoring."""
        access.operator_of(request.auth)
        return answer_of(look(request))

    @get(
        "/pauses",
        summary="List what is paused",
        operation_id="listPauses",
        sync_to_thread=True,
        **scoped(Scope.OPERATIONS_READ),
    )
    def pauses(self, request: ApiRequest) -> Pauses:
        """Every pause, oldest first."""
        access.operator_of(request.auth)
        return Pauses(pauses.listing(context_of(request)))

    @post(
        "/pauses",
        status_code=201,
        summary="Let work wait",
        operation_id="beginPause",
        sync_to_thread=True,
        **scoped(Scope.OPERATIONS_WRITE, 404, 409, 422),
    )
    def pause(self, request: ApiRequest, data: JSONBody[PauseRequest]) -> PauseBegun:
        """Pause an organisation, a submission, a kind of work, a channel or a provider. What runs is finished."""
        actor = _actor(request)
        context = context_of(request)
        made = pauses.begin_checked(
            context,
            organisation=None if data.organisation is None else parse_id(ORGANISATION, data.organisation),
            submission=None if data.submission is None else parse_id(SUBMISSION, data.submission),
            kind=data.kind,
            channel=data.channel,
            provider=data.provider,
            reason=data.reason,
            actor=actor,
        )
        return PauseBegun(public_id(PAUSE, made))

    @post(
        "/pauses/{pause_id:str}/end",
        status_code=200,
        summary="Let work go on",
        operation_id="endPause",
        sync_to_thread=True,
        **scoped(Scope.OPERATIONS_WRITE, 404),
    )
    def resume(self, request: ApiRequest, pause_id: FromPath[str]) -> PauseEnded:
        """End a pause; what it held keeps its place in the row."""
        actor = _actor(request)
        return PauseEnded(pauses.end_and_wake(context_of(request), parse_id(PAUSE, pause_id), actor))

    @get(
        "/parked",
        summary="List parked jobs with their cause",
        operation_id="listParked",
        sync_to_thread=True,
        **scoped(Scope.OPERATIONS_READ, 404),
    )
    def parked(
        self, request: ApiRequest, cursor: Cursor = None, limit: Limit = 50, kind: FromQuery[JobKind | None] = None
    ) -> ParkedJobs:
        """What waits for a person: why, in plain words, and what can be done."""
        access.operator_of(request.auth)
        return ParkedJobs(*repair.parked(context_of(request), cursor=cursor, limit=limit, kind=kind))

    @post(
        "/parked/retry",
        status_code=200,
        summary="Try parked jobs again",
        operation_id="retryParked",
        sync_to_thread=True,
        **scoped(Scope.OPERATIONS_WRITE, 404, 422),
    )
    def retry(self, request: ApiRequest, data: JSONBody[RetryRequest]) -> Retried:
        """Put parked jobs back into the row; each is tried alone first."""
        return Retried(repair.retry(context_of(request), data.ids, _actor(request)))

    @post(
        "/parked/{job_id:str}/propose-end",
        status_code=201,
        summary="Propose the evidenced end of a parked job",
        operation_id="proposeEnd",
        sync_to_thread=True,
        **scoped(Scope.OPERATIONS_WRITE, 404, 409, 422),
    )
    def propose_end(self, request: ApiRequest, job_id: FromPath[str], data: JSONBody[EndRequest]) -> ProposalView:
        """Propose that a job ends with evidence. A second person has to confirm it in time."""
        valid = application_of(request).settings.end_proposal_seconds
        context = context_of(request)
        return repair.propose_end(context, job_id, reason=data.reason, actor=_actor(request), valid_seconds=valid)

    @post(
        "/parked/{job_id:str}/confirm-end",
        status_code=200,
        summary="Confirm the end that somebody else proposed",
        operation_id="confirmEnd",
        sync_to_thread=True,
        **scoped(Scope.OPERATIONS_WRITE, 404, 409),
    )
    def confirm_end(self, request: ApiRequest, job_id: FromPath[str]) -> Ended:
        """End the job: the evidence is written, and nothing of the delivery is lost."""
        return Ended(
            repair.confirm_end(context_of(request), job_id, actor=_actor(request), subject=request.auth.subject)
        )

    @get(
        "/audit",
        summary="Read who did what",
        operation_id="readAudit",
        sync_to_thread=True,
        **scoped(Scope.OPERATIONS_READ, 404),
    )
    def audit(
        self,
        request: ApiRequest,
        cursor: Cursor = None,
        limit: Limit = 50,
        subject: Annotated[str | None, QueryParameter(description="Only acts upon this id.", max_length=200)] = None,
    ) -> AuditTrail:
        """The audit trail, newest first; nobody can change it."""
        access.operator_of(request.auth)
        return AuditTrail(*audit.entries(context_of(request), cursor=cursor, limit=limit, subject=subject))


def look(request: Request[Any, Any, Any]) -> operations.Status:
    """Look at everything, for whoever asks this process."""
    application = application_of(request)
    readiness: Readiness = request.app.state.readiness
    return operations.status(application.context, application.promises, readiness.parts())


def answer_of(status: operations.Status) -> StatusAnswer:
    """A status as it goes on the wire."""
    return StatusAnswer(
        status=("well", "warning", "critical")[status.worst],
        at=status.at,
        findings=[
            FindingShape(each.code, each.severity.name.lower(), each.what, each.do, each.runbook, each.value)
            for each in status.findings
        ],
        measured=[Measured(each.metric, each.value, dict(each.labels)) for each in status.samples],
    )


def _actor(request: ApiRequest) -> str:
    """Who acts, for the trail.

    Raises:
        Forbidden: not an operator of the platform.
    """
    access.operator_of(request.auth)
    return access.actor_of(context_of(request), request.auth)
