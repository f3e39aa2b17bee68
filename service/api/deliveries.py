"""``/v1/deliveries``: what a sender hands in and follows."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from litestar import Controller, Response, get, post
from litestar.concurrency import sync_to_thread
from litestar.datastructures import ResponseHeader
from litestar.params import FromPath, HeaderParameter, JSONBody, QueryParameter
from litestar.response import Stream

from service.api import files, uploads
from service.api.calls import ApiRequest, acknowledged, attachment, context_of, scoped, tenant
from service.api.shapes import JSON, PDF, Events, EvidenceList, Withdrawal
from service.db.deliveries import Filters
from service.db.jobs import Lane
from service.domain.errors import FieldError, Invalid
from service.domain.states import DeliveryState, LegState
from service.identity.scopes import Scope
from service.usecases import access, deliveries
from service.usecases.admission import Sender
from service.usecases.hand_in import hand_in
from service.usecases.preview import PreviewView, preview
from service.usecases.views import DeliveryPage, DeliveryView, HandedInView

STATUSES: Final = tuple(
    dict.fromkeys(state.value for state in (*DeliveryState, *LegState) if state is not LegState.PENDING)
)
"""What ``status`` of a delivery can be."""

_LOCATION: Final = ResponseHeader(
    name="Location", description="Address of the delivery", documentation_only=True, value=""
)
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.", max_length=64)]
Limit = Annotated[int, QueryParameter(ge=1, le=deliveries.MOST, description="Items on a page.")]


class Deliveries(Controller):
    """The deliveries of the organisation that the token was given to; another's do not exist."""

    path = "/v1/deliveries"
    tags = ("Deliveries",)

    @post(
        status_code=202,
        summary="Hand in a delivery",
        operation_id="handInDelivery",
        response_headers=[_LOCATION],
        request_max_body_size=None,  # bounded by the reader itself, for all documents together
        response_description="Acknowledged: from here on the delivery is never lost.",
        **scoped(Scope.DELIVERIES_WRITE, 409, 413, 415, 422),
    )
    async def hand_in(
        self,
        request: ApiRequest,
        key: Annotated[
            str | None,
            HeaderParameter(
                name="Idempotency-Key",
                required=False,
                description="Required, 1–255 printable ASCII characters. The same request with the same key gets the "
                "same answer and makes nothing twice; kept as long as the delivery.",
            ),
        ] = None,
        lane: Annotated[
            Literal["interactive", "bulk"],
            QueryParameter(
                description="`interactive`: somebody waits for this letter. It then goes before large amounts, as "
                "letters that clerks write on the pages do, for the few per minute that your organisation is allowed; "
                "what is beyond them is `bulk`, and is not refused. `lane` of the answer says which it is."
            ),
        ] = "bulk",
    ) -> Response[HandedInView]:
        """Take in documents; they are inspected and stored before this answers.

        With `recipient`, for one: the answer is the delivery. With `recipients`, for up to 100, each with an own
        `postal_address` and `attention_of`: each gets a delivery of its own; the answer is the first of them, and
        lists all in `deliveries`.
        """
        limits: uploads.UploadLimits = request.app.state.upload_limits
        memory: uploads.UploadMemory = request.app.state.upload_memory
        asks = lane == "interactive"
        sender = Sender(tenant(request), Lane.INTERACTIVE if asks else Lane.BULK, asks=asks)
        async with memory.reserved(uploads.announced_bytes(request, limits), sender.organisation_id):
            body = await uploads.read_hand_in(request, limits)
            done = await sync_to_thread(hand_in, context_of(request), sender, body.raw, body.uploads, key=key)
        return acknowledged(done.status, done.body, f"/v1/deliveries/{done.delivery_id}")

    @post(
        "/preview",
        status_code=200,
        summary="Read what would happen to a delivery",
        operation_id="previewDelivery",
        response_description="What it would be sent under, what would happen when, and what is wrong with it.",
        request_max_body_size=None,  # bounded by the reader itself, as a hand-in is
        **scoped(Scope.DELIVERIES_WRITE, 408, 413, 422),
    )
    async def preview(self, request: ApiRequest) -> Response[PreviewView]:
        """Show what would happen to a hand-in with this JSON; nothing is kept.

        The recipient is not looked up: the ways with and without a mailbox both stand in the answer. What a hand-in
        would be refused for is an answer too, in `problems`. Sent with its files, as the hand-in itself is, it also
        says in `letters` what would keep each of them from being printed, where a letter is among the ways.
        """
        limits: uploads.UploadLimits = request.app.state.upload_limits
        memory: uploads.UploadMemory = request.app.state.upload_memory
        sender, context = tenant(request), context_of(request)
        if request.content_type[0] != uploads.MULTIPART:
            raw = await uploads.read_whole(request, replace(limits, delivery_bytes=uploads.JSON_BYTES))
            return Response(await sync_to_thread(preview, context, sender, raw), media_type=JSON)
        async with memory.reserved(uploads.announced_bytes(request, limits), sender):
            body = await uploads.read_hand_in(request, limits)
            shown = await sync_to_thread(preview, context, sender, body.raw, body.uploads)
        return Response(shown, media_type=JSON)

    @get(
        summary="List deliveries, newest first",
        operation_id="listDeliveries",
        sync_to_thread=True,
        **scoped(Scope.DELIVERIES_READ, 422),
    )
    def page(
        self,
        request: ApiRequest,
        *,
        status: Annotated[
            str | None, QueryParameter(description="Only those in this status.", schema_extra={"enum": [*STATUSES]})
        ] = None,
        reference: Annotated[
            str | None, QueryParameter(description="Only those with this reference of yours.", max_length=100)
        ] = None,
        since: Annotated[
            datetime | None, QueryParameter(name="from", description="Only those handed in at or after this moment.")
        ] = None,
        to: Annotated[datetime | None, QueryParameter(description="Only those handed in before this moment.")] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> DeliveryPage:
        """Show one page of the organisation's deliveries."""
        filters = Filters(_status(status), reference, _moment("from", since), _moment("to", to))
        return deliveries.list_page(context_of(request), tenant(request), filters, cursor=cursor, limit=limit)

    @get(
        "/{delivery_id:str}",
        summary="Read a delivery",
        operation_id="readDelivery",
        sync_to_thread=True,
        **scoped(Scope.DELIVERIES_READ, 404),
    )
    def read(self, request: ApiRequest, delivery_id: FromPath[str]) -> DeliveryView:
        """Show one delivery."""
        return deliveries.get(context_of(request), tenant(request), delivery_id)

    @post(
        "/{delivery_id:str}/cancel",
        status_code=200,
        summary="Cancel a delivery",
        operation_id="cancelDelivery",
        sync_to_thread=True,
        response_description="Cancelled.",
        **scoped(Scope.DELIVERIES_WRITE, 404, 409),
    )
    def cancel(self, request: ApiRequest, delivery_id: FromPath[str]) -> DeliveryView:
        """Take a delivery back while neither recipient nor printer has it."""
        context = context_of(request)
        return deliveries.cancel(context, tenant(request), delivery_id)

    @post(
        "/{delivery_id:str}/withdraw",
        status_code=200,
        summary="Withdraw a delivery",
        operation_id="withdrawDelivery",
        response_description="Withdrawn; evidence says so, with the reason.",
        sync_to_thread=True,
        **scoped(Scope.DELIVERIES_WRITE, 404, 409, 413, 422),
    )
    def withdraw(self, request: ApiRequest, delivery_id: FromPath[str], data: JSONBody[Withdrawal]) -> DeliveryView:
        """Take back what is in the mailbox and unopened, or waits for its print batch."""
        by = access.identification_of(request.auth)
        return deliveries.withdraw(context_of(request), tenant(request), delivery_id, data.reason, by=by)

    @get(
        "/{delivery_id:str}/document",
        summary="Download the sealed main document",
        operation_id="readDocument",
        media_type=PDF,
        sync_to_thread=True,
        response_description="The sealed PDF.",
        **scoped(Scope.DELIVERIES_READ, 404, 409, 410, also=files.PDF_ANSWER),
    )
    def document(self, request: ApiRequest, delivery_id: FromPath[str]) -> Response[bytes]:
        """Send the sealed main document."""
        return files.pdf(deliveries.document(context_of(request), tenant(request), delivery_id, 0))

    @get(
        "/{delivery_id:str}/attachments/{number:int}",
        summary="Download a sealed attachment",
        operation_id="readAttachment",
        media_type=PDF,
        sync_to_thread=True,
        **scoped(Scope.DELIVERIES_READ, 404, 409, 410, also=files.PDF_ANSWER),
    )
    def attachment(
        self,
        request: ApiRequest,
        delivery_id: FromPath[str],
        number: FromPath[int],
    ) -> Response[bytes]:
        """Send a sealed attachment; the first one is number 1."""
        return files.pdf(deliveries.document(context_of(request), tenant(request), delivery_id, attachment(number)))

    @get(
        "/{delivery_id:str}/events",
        summary="Read a delivery's timeline",
        operation_id="listEvents",
        sync_to_thread=True,
        **scoped(Scope.DELIVERIES_READ, 404),
    )
    def events(self, request: ApiRequest, delivery_id: FromPath[str]) -> Events:
        """Show what happened to a delivery."""
        return Events(deliveries.timeline(context_of(request), tenant(request), delivery_id))

    @get(
        "/{delivery_id:str}/evidence",
        summary="List a delivery's evidence",
        operation_id="listEvidence",
        sync_to_thread=True,
        **scoped(Scope.DELIVERIES_READ, 404),
    )
    def evidence_list(self, request: ApiRequest, delivery_id: FromPath[str]) -> EvidenceList:
        """Show which evidence there is."""
        return EvidenceList(deliveries.evidence_list(context_of(request), tenant(request), delivery_id))

    @get(
        "/{delivery_id:str}/evidence/{evidence_id:str}",
        summary="Read one evidence with its proof",
        operation_id="readEvidence",
        media_type=JSON,
        sync_to_thread=True,
        **scoped(Scope.DELIVERIES_READ, 404, 406, 409, also=files.EVIDENCE_ANSWER),
    )
    def evidence(self, request: ApiRequest, delivery_id: FromPath[str], evidence_id: FromPath[str]) -> Response[Any]:
        """Send one evidence, with its inclusion proof once it is published.

        As `application/pdf`: a sealed page for people, in the delivery's language, with the JSON attached; made for
        published evidence.
        """
        asked = context_of(request), tenant(request), delivery_id, evidence_id
        if files.wants_page(request):
            return files.pdf(deliveries.evidence_pdf(*asked))
        return files.evidence(deliveries.evidence_one(*asked))

    @get(
        "/{delivery_id:str}/bundle",
        summary="Download all that proves a delivery",
        operation_id="readBundle",
        media_type=files.ZIP,
        sync_to_thread=True,
        **scoped(Scope.DELIVERIES_READ, 404, 409, also=files.BUNDLE_ANSWER),
    )
    def bundle(self, request: ApiRequest, delivery_id: FromPath[str]) -> Stream:
        """Send one ZIP that can be checked without this service; its README says how, in the delivery's language."""
        return files.bundle(deliveries.bundle(context_of(request), tenant(request), delivery_id))


def _status(status: str | None) -> str | None:
    if status is not None and status not in STATUSES:
        raise Invalid("There is no such status.", code="status_unknown", errors=[_field("status_unknown", "status")])
    return status


def _moment(name: str, moment: datetime | None) -> datetime | None:
    if moment is not None and moment.tzinfo is None:
        raise Invalid(
            "A moment needs its offset from UTC, such as 2027-01-31T08:00:00Z.",
            code="time_without_offset",
            errors=[_field("time_without_offset", name)],
        )
    return moment


def _field(code: str, parameter: str) -> FieldError:
    return FieldError(pointer=None, code=code, detail=f"The parameter {parameter} can't be used.")
