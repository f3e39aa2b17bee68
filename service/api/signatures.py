"""``/v1/signature-requests``: documents that people are asked to sign, and what became of them."""

from typing import Annotated, Any, Final

from litestar import Controller, Response, get, post
from litestar.concurrency import sync_to_thread
from litestar.datastructures import ResponseHeader
from litestar.handlers.base import BaseRouteHandler
from litestar.params import FromPath, HeaderParameter, QueryParameter

from service.api import files, uploads
from service.api.calls import ApiRequest, acknowledged, context_of, scoped, tenant
from service.api.shapes import JSON, PDF, EvidenceList
from service.domain.signing_folder import FolderState
from service.identity.scopes import Scope
from service.usecases import access
from service.usecases.signatures import sender
from service.usecases.signatures.opening import open_request
from service.usecases.signatures.views import SignatureRequestPage, SignatureRequestView
from service.web import limits
from service.web.guards import Connection

PART: Final = "request"
STATES: Final = [state.value for state in FolderState]
_LOCATION: Final = ResponseHeader(
    name="Location", description="Address of the signature request", documentation_only=True, value=""
)


async def few_reminders(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Not too many reminders of one request.

    Raises:
        TooManyRequests: too many.
    """
    organisation = access.organisation_of(connection.scope["auth"])
    await limits.require(connection, limits.REMINDER, f"{organisation}/{connection.path_params['request_id']}")


class SignatureRequests(Controller):
    """The signature requests of the organisation that the token was given to; another's do not exist."""

    path = "/v1/signature-requests"
    tags = ("Signatures",)

    @post(
        status_code=202,
        summary="Ask for signatures",
        operation_id="askForSignatures",
        response_headers=[_LOCATION],
        request_max_body_size=None,  # bounded by the reader itself
        response_description="Acknowledged: from here on the request is never lost, and its first signers are told.",
        **scoped(Scope.SIGNATURES_WRITE, 409, 413, 415, 422),
    )
    async def ask(
        self,
        request: ApiRequest,
        key: Annotated[
            str | None,
            HeaderParameter(
                name="Idempotency-Key",
                required=False,
                description="Required, 1–255 printable ASCII characters. The same request with the same key gets the "
                "same answer and asks nobody twice; kept as long as the request.",
            ),
        ] = None,
    ) -> Response[SignatureRequestView]:
        """Take in one to ten PDFs that people are to sign, in order or side by side.

        Every signer signs all of them in one act. Signers are citizens, who log in with their number and sign with an
        identity card or at a remote service, or the organisation by its seal. `links.page` may be passed on to them;
        those with a mailbox, or whose `email` is given, are told by mail as well.
        """
        limits: uploads.UploadLimits = request.app.state.upload_limits
        memory: uploads.UploadMemory = request.app.state.upload_memory
        organisation = tenant(request)
        async with memory.reserved(uploads.announced_bytes(request, limits), organisation):
            body = await uploads.read_hand_in(request, limits, part=PART, several=True)
            done = await sync_to_thread(
                open_request, context_of(request), organisation, body.raw, body.uploads, key=key
            )
        return acknowledged(done.status, done.body, f"/v1/signature-requests/{done.request_id}")

    @get(
        summary="List signature requests, newest first",
        operation_id="listSignatureRequests",
        sync_to_thread=True,
        **scoped(Scope.SIGNATURES_WRITE, 422),
    )
    def page(
        self,
        request: ApiRequest,
        *,
        wanted: Annotated[
            str | None,
            QueryParameter(name="state", description="Only those in this state.", schema_extra={"enum": STATES}),
        ] = None,
        reference: Annotated[
            str | None, QueryParameter(description="Only those with this reference.", max_length=100)
        ] = None,
        cursor: Annotated[
            str | None, QueryParameter(description="`next_cursor` of the page before.", max_length=64)
        ] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=sender.MOST, description="Items on a page.")] = 50,
    ) -> SignatureRequestPage:
        """Show one page of the organisation's signature requests."""
        return sender.list_page(
            context_of(request), tenant(request), state=wanted, cursor=cursor, limit=limit, reference=reference
        )

    @get(
        "/{request_id:str}",
        summary="Read a signature request",
        operation_id="readSignatureRequest",
        sync_to_thread=True,
        **scoped(Scope.SIGNATURES_WRITE, 404),
    )
    def read(self, request: ApiRequest, request_id: FromPath[str]) -> SignatureRequestView:
        """Show one request: where it is, and what each signer did."""
        return sender.get(context_of(request), tenant(request), request_id)

    @post(
        "/{request_id:str}/cancel",
        status_code=200,
        summary="Cancel a signature request",
        operation_id="cancelSignatureRequest",
        sync_to_thread=True,
        response_description="Cancelled.",
        **scoped(Scope.SIGNATURES_WRITE, 404, 409),
    )
    def cancel(self, request: ApiRequest, request_id: FromPath[str]) -> SignatureRequestView:
        """Take a request back while not everybody has signed; safe to repeat."""
        return sender.cancel(context_of(request), tenant(request), request_id)

    @post(
        "/{request_id:str}/remind",
        status_code=200,
        summary="Remind the signers now",
        operation_id="remindSigners",
        sync_to_thread=True,
        response_description="Those whose turn it is are told once more; at night, in the morning.",
        **scoped(Scope.SIGNATURES_WRITE, 404, 409, 429, further=[few_reminders]),
    )
    def remind(self, request: ApiRequest, request_id: FromPath[str]) -> SignatureRequestView:
        """Tell those whose turn it is once more, where there is an address; not more than about once an hour."""
        return sender.remind(context_of(request), tenant(request), request_id)

    @get(
        "/{request_id:str}/document",
        summary="Fetch the first document as it is now",
        operation_id="readSignedDocument",
        media_type=PDF,
        sync_to_thread=True,
        **scoped(Scope.SIGNATURES_WRITE, 404, 410, also=files.PDF_ANSWER),
    )
    def document(self, request: ApiRequest, request_id: FromPath[str]) -> Response[bytes]:
        """Send the document with the signatures it has; once completed, with the organisation's seal behind them."""
        return files.pdf(sender.document(context_of(request), tenant(request), request_id))

    @get(
        "/{request_id:str}/documents/{number:int}",
        summary="Fetch one of the documents as it is now",
        operation_id="readOneSignedDocument",
        media_type=PDF,
        sync_to_thread=True,
        **scoped(Scope.SIGNATURES_WRITE, 404, 410, also=files.PDF_ANSWER),
    )
    def one_document(self, request: ApiRequest, request_id: FromPath[str], number: FromPath[int]) -> Response[bytes]:
        """Send one of the documents, counted from 1, with the signatures it has."""
        return files.pdf(sender.document(context_of(request), tenant(request), request_id, number))

    @get(
        "/{request_id:str}/report",
        summary="Fetch the sealed report",
        operation_id="readSignatureReport",
        media_type=PDF,
        sync_to_thread=True,
        **scoped(Scope.SIGNATURES_WRITE, 404, 410, also=files.PDF_ANSWER),
    )
    def report(self, request: ApiRequest, request_id: FromPath[str]) -> Response[bytes]:
        """Send the report of a completed request: who signed what when, by which certificate."""
        return files.pdf(sender.report(context_of(request), tenant(request), request_id))

    @get(
        "/{request_id:str}/evidence",
        summary="List the evidence of a signature request",
        operation_id="listSignatureEvidence",
        sync_to_thread=True,
        **scoped(Scope.SIGNATURES_WRITE, 404),
    )
    def evidence_list(self, request: ApiRequest, request_id: FromPath[str]) -> EvidenceList:
        """Show which evidence there is."""
        return EvidenceList(sender.evidence_list(context_of(request), tenant(request), request_id))

    @get(
        "/{request_id:str}/evidence/{evidence_id:str}",
        summary="Read one evidence of a signature request with its proof",
        operation_id="readSignatureEvidence",
        media_type=JSON,
        sync_to_thread=True,
        **scoped(Scope.SIGNATURES_WRITE, 404, also=files.EVIDENCE_ANSWER),
    )
    def evidence(self, request: ApiRequest, request_id: FromPath[str], evidence_id: FromPath[str]) -> Response[Any]:
        """Send one evidence, with its inclusion proof once it is published."""
        return files.evidence(sender.evidence_one(context_of(request), tenant(request), request_id, evidence_id))
