"""``/v1/print``: print batches, what came back of them, returned mail. For the platform's operators."""

from datetime import date
from typing import Annotated

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.concurrency import sync_to_thread
from litestar.datastructures import State
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter

from service.api.calls import ApiRequest, OptionalKey, acting, application_of, context_of, done_once, public, scoped
from service.domain import calendar
from service.domain.errors import NotFound
from service.identity.scopes import Scope
from service.usecases import (
    access,
    post_callbacks,
    post_envelopes,
    post_pulls,
    post_returned,
    print_desk,
    print_runs,
    reasons,
    reconciliation,
)
from service.usecases.post_envelopes import SharedEnvelope
from service.usecases.post_returned import Returned
from service.usecases.print_desk import ExceptionView, InboundView, PullView
from service.usecases.reconciliation import BatchBalance, DayBalance

Limit = Annotated[int, QueryParameter(ge=1, le=200, description="Items on a page.")]
CALLBACK_BYTES = 4 * 1024 * 1024
_LETTER = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class Batches(msgspec.Struct, frozen=True):
    """Batches, newest first; ``next_before`` is the number to go on from."""

    items: list[BatchBalance]
    next_before: int | None


class BatchAnswer(msgspec.Struct, frozen=True):
    """A batch: letters of which nobody said that the post has them, envelopes that letters share, files about it."""

    batch: BatchBalance
    missing: list[str]
    shared: list[SharedEnvelope]
    files: list[InboundView]


class Reconciled(msgspec.Struct, frozen=True):
    """A day's batches, together and each."""

    day: DayBalance
    batches: list[BatchBalance]


class Closed(msgspec.Struct, frozen=True):
    """How many batches were closed."""

    closed: int


class ReturnedLetter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A letter that came back: its name in the manifest, or what its sheet code says; why (M01-M08, F01-F03); when."""

    letter: _LETTER
    cause: Annotated[str, msgspec.Meta(max_length=3)] | None = None
    day: date | None = None


class ReturnedRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Letters that came back."""

    letters: Annotated[list[ReturnedLetter], msgspec.Meta(min_length=1, max_length=1000)]


class ReturnedResult(msgspec.Struct, frozen=True):
    """What became of one: ``taken``, ``repeated`` (known), ``early`` (not handed over yet), ``odd`` (none of ours)."""

    letter: str
    effect: str


class ReturnedAnswer(msgspec.Struct, frozen=True):
    """What became of each, in order."""

    letters: list[ReturnedResult]


class PullRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Letters that must not go out any more, and why: nothing personal."""

    letters: Annotated[list[_LETTER], msgspec.Meta(min_length=1, max_length=1000)]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=reasons.LENGTH)]


class PullOrdered(msgspec.Struct, frozen=True):
    """How many lists that makes; none where the letters are on one already."""

    lists: int


class Pulls(msgspec.Struct, frozen=True):
    """Pull lists, newest first."""

    items: list[PullView]


class Exceptions(msgspec.Struct, frozen=True):
    """What does not fit: what nobody has seen, oldest first; or everything, newest first."""

    items: list[ExceptionView]


class SeenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which exceptions were seen to."""

    ids: Annotated[list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(min_length=1, max_length=200)]


class Seen(msgspec.Struct, frozen=True):
    """How many of them nobody had seen yet."""

    seen: int


class Received(msgspec.Struct, frozen=True):
    """What became of a call: ``taken``, ``refused`` (``code`` says why), or ``kept`` to be taken in later."""

    id: str
    state: str
    code: str | None
    repeated: bool
    effects: dict[str, int]


class PrintDesk(Controller):
    """Batches, what came back, returned mail, pull lists."""

    path = "/v1/print"
    tags = ("Print",)

    @get(
        "/batches",
        summary="List print batches with their balance",
        operation_id="listPrintBatches",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE),
    )
    def batches(self, request: ApiRequest, limit: Limit = 50, before: FromQuery[int | None] = None) -> Batches:
        """Batches with what was sent, what came back, and what is off."""
        access.operator_of(request.auth)
        found = reconciliation.newest(context_of(request), limit=limit, before=before)
        return Batches(found, found[-1].number if len(found) == limit else None)

    @get(
        "/batches/{batch_number:int}",
        summary="Read one print batch",
        operation_id="readPrintBatch",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE, 404),
    )
    def batch(self, request: ApiRequest, batch_number: FromPath[int]) -> BatchAnswer:
        """One batch by its number, with the letters that are missing."""
        access.operator_of(request.auth)
        found = reconciliation.of_batch(context_of(request), batch_number)
        if found is None:
            raise NotFound
        shared = post_envelopes.of_batch(context_of(request), batch_number)
        return BatchAnswer(*found, shared, print_desk.inbounds(context_of(request), batch=batch_number, limit=50))

    @post(
        "/batches/close",
        status_code=200,
        summary="Close what waits into batches",
        operation_id="closePrintBatches",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE, 404, 409),
    )
    def close(
        self, request: ApiRequest, printer: FromQuery[str | None] = None, product: FromQuery[str | None] = None
    ) -> Closed:
        """Freeze the letters that wait, before their cut-off: all, or those of a print house or product."""
        context, actor = acting(request)
        return Closed(print_runs.close(context, actor=actor, printer=printer, product=product))

    @get(
        "/reconciliation",
        summary="Hold a day's batches against what came back",
        operation_id="reconcilePrintDay",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE, 400),
    )
    def reconcile(self, request: ApiRequest, day: FromQuery[date | None] = None) -> Reconciled:
        """Numbers that must balance, for the batches handed over on a day in Brussels; today if none is given."""
        access.operator_of(request.auth)
        context = context_of(request)
        wanted = calendar.local_date(context.clock()) if day is None else day
        return Reconciled(*reconciliation.of_day(context, wanted))

    @post(
        "/returns",
        status_code=200,
        summary="Take in letters that came back",
        operation_id="takeReturnedLetters",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE, 413, 422),
    )
    def returns(self, request: ApiRequest, data: JSONBody[ReturnedRequest]) -> ReturnedAnswer:
        """Each letter once, however often it is scanned; its sender sees it at once."""
        context, actor = acting(request)
        given = [Returned(each.letter, each.cause, post_returned.noon(each.day)) for each in data.letters]
        done = post_returned.take(context, given, actor=actor)
        return ReturnedAnswer([ReturnedResult(each.letter, each.effect) for each in done])

    @get(
        "/pulls",
        summary="List pull lists",
        operation_id="listPrintPulls",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE),
    )
    def pulls(self, request: ApiRequest, limit: Limit = 50) -> Pulls:
        """Letters that were to be taken out, and what the print house answered."""
        access.operator_of(request.auth)
        return Pulls(print_desk.pulls(context_of(request), limit=limit))

    @post(
        "/pulls",
        status_code=201,
        summary="Have letters taken out at the print house",
        operation_id="orderPrintPull",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE, 413, 422),
    )
    def pull(self, request: ApiRequest, data: JSONBody[PullRequest], key: OptionalKey = None) -> Response[PullOrdered]:
        """Letters that were handed over and are not posted yet; the list goes out within a minute.

        One that is on a list already stays there.
        """
        context, actor = acting(request)

        def order() -> PullOrdered:
            return PullOrdered(post_pulls.order(context, data.letters, reason=data.reason, actor=actor))

        return done_once(key, "POST /v1/print/pulls", data, context, order)

    @get(
        "/exceptions",
        summary="List what print houses said that does not fit",
        operation_id="listPrintExceptions",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE),
    )
    def exceptions(self, request: ApiRequest, limit: Limit = 50, *, every: FromQuery[bool] = False) -> Exceptions:
        """It changed nothing, and waits for somebody's look."""
        access.operator_of(request.auth)
        return Exceptions(print_desk.exceptions(context_of(request), every=every, limit=limit))

    @post(
        "/exceptions/seen",
        status_code=200,
        summary="Say that exceptions were seen to",
        operation_id="seePrintExceptions",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE, 404, 413, 422),
    )
    def seen(self, request: ApiRequest, data: JSONBody[SeenRequest]) -> Seen:
        """Who said so, and when, stands beside them."""
        context, actor = acting(request)
        return Seen(print_desk.see(context, data.ids, actor))

    @post(
        "/callbacks/{printer:str}",
        status_code=200,
        summary="Tell what happened to letters",
        operation_id="reportLetters",
        request_max_body_size=CALLBACK_BYTES,
        **public(400, 401, 413, 429, 503),
    )
    async def callback(
        self,
        request: Request[None, None, State],
        printer: FromPath[str],
        signature: Annotated[
            str,
            HeaderParameter(
                name=post_callbacks.HEADER,
                required=False,
                description="`t=<seconds>,v1=<hex>`: HMAC-SHA-256 with the shared secret over the seconds, a full stop"
                " and the body; at most five minutes old.",
            ),
        ] = "",
    ) -> Received:
        """For print houses that were given a secret: any file of the exchange as the body. The same again is a repeat.

        The answer is the same for a wrong signature and for an unknown print house.
        """
        body = await request.body()
        context = application_of(request).context
        taken = await sync_to_thread(post_callbacks.take, context, printer, signature, body)
        return Received(taken.id, taken.state, taken.code, taken.repeated, taken.effects)
