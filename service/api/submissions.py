"""``/v1/submissions``: many deliveries at once, as a ZIP with a list; uploaded in one go or resumably.

The upload follows "Resumable Uploads for HTTP" of the IETF's HTTP working group (docs/adr), so far as it says: where
an upload is (`HEAD`), how it goes on (`PATCH` with `Upload-Offset`), and when it is whole (`Upload-Complete`).
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Controller, Response, get, head, patch, post
from litestar.concurrency import sync_to_thread
from litestar.datastructures import ResponseHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, HeaderParameter, QueryParameter
from litestar.response import Stream

from service.api import uploads
from service.api.calls import ApiRequest, context_of, scoped, tenant
from service.api.shapes import JSON
from service.api.submission_streams import MEMORY, Pieces, announced
from service.db.ids import SUBMISSION, public_id
from service.domain.errors import FieldError, IdempotencyMismatch, Invalid
from service.domain.submission import RowState, SubmissionState
from service.identity.scopes import Scope
from service.usecases import submission_uploads, submissions
from service.usecases.context import Context
from service.usecases.submission_uploads import Begun, Comparison, SubmissionOptions, Upload
from service.usecases.submission_views import SubmissionPage, SubmissionRowPage, SubmissionView
from service.web.errors import MediaTypeUnsupported, NotAcceptable, RequestMalformed

ZIP: Final = "application/zip"
CSV: Final = "text/csv"
PARTIAL: Final = "application/partial-upload"
ROW_STATES: Final = [state.value for state in RowState]
OPTIONS_BYTES: Final = 16 * 1024
_OFFSET: Final = "Upload-Offset"
_COMPLETE: Final = "Upload-Complete"

_LOCATION: Final = ResponseHeader(
    name="Location", description="Address of the submission", documentation_only=True, value=""
)
Key = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        required=False,
        description="Required, 1–255 printable ASCII characters. The same request with the same key gets the same "
        "answer and makes nothing twice; with a ZIP in the body, what is stored of it already is not stored again.",
    ),
]
Limit = Annotated[int, QueryParameter(ge=1, le=submissions.MOST, description="Items on a page.")]
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.", max_length=64)]


class Submissions(Controller):
    """The submissions of the organisation that the token was given to; another's do not exist."""

    path = "/v1/submissions"
    tags = ("Submissions",)

    @post(
        status_code=201,
        summary="Begin a submission, or hand it in whole",
        operation_id="createSubmission",
        response_headers=[_LOCATION],
        request_max_body_size=None,  # bounded by the reader itself, piece by piece
        response_description="Made. With JSON its file may come; a ZIP is stored, and is being checked.",
        **scoped(Scope.DELIVERIES_WRITE, 408, 409, 413, 415, 422, 429),
    )
    async def create(
        self,
        request: ApiRequest,
        *,
        key: Key = None,
        name: Annotated[str | None, QueryParameter(description="With a ZIP: a name of yours.", max_length=100)] = None,
        dry_run: Annotated[bool, QueryParameter(description="With a ZIP: check everything, make nothing.")] = False,
        on_error: Annotated[
            Literal["stop", "continue"], QueryParameter(description="With a ZIP: what bad rows mean for good ones.")
        ] = "stop",
        release: Annotated[
            Literal["auto", "manual"], QueryParameter(description="With a ZIP: whether good rows go by themselves.")
        ] = "auto",
        send_at: Annotated[
            datetime | None, QueryParameter(description="With a ZIP: when rows without a moment of their own go.")
        ] = None,
        sha256: Annotated[
            str | None, QueryParameter(description="With a ZIP: its SHA-256 in hex; compared.", max_length=64)
        ] = None,
    ) -> Response[SubmissionView]:
        """Make a submission.

        With `application/json` it waits for its file, which may come in pieces over many connections. With
        `application/zip` the body is the file and the options are query parameters.
        """
        context, organisation = context_of(request), tenant(request)
        media = request.content_type[0]
        if media == JSON:
            options = await _options(request)
            begun = await sync_to_thread(
                submission_uploads.begin, context, organisation, options, key=key, kind="empty"
            )
            return _answer(201, begun.body, begun)
        if media != ZIP:
            raise MediaTypeUnsupported("Send the options as application/json, or the file as application/zip.")
        size = announced(request, most=context.limits.submission_bytes)
        options = SubmissionOptions(name, dry_run, on_error, release, send_at, size, sha256)
        begun = await sync_to_thread(submission_uploads.begin, context, organisation, options, key=key, kind="whole")
        return await _take_whole(request, context, begun)

    @get(
        summary="List submissions, newest first",
        operation_id="listSubmissions",
        sync_to_thread=True,
        **scoped(Scope.DELIVERIES_READ, 422),
    )
    def page(self, request: ApiRequest, *, cursor: Cursor = None, limit: Limit = 50) -> SubmissionPage:
        """Show one page of the organisation's uploaded submissions."""
        return submissions.list_page(context_of(request), tenant(request), cursor=cursor, limit=limit)

    @get(
        "/{submission_id:str}",
        summary="Read a submission",
        operation_id="readSubmission",
        sync_to_thread=True,
        **scoped(Scope.DELIVERIES_READ, 404),
    )
    def read(self, request: ApiRequest, submission_id: FromPath[str]) -> SubmissionView:
        """Show one submission; a delivery that was handed in by itself is a submission of one."""
        return submissions.get(context_of(request), tenant(request), submission_id)

    @head(
        "/{submission_id:str}/content",
        status_code=204,
        summary="Ask how far an upload is",
        operation_id="readUploadOffset",
        sync_to_thread=True,
        response_description="`Upload-Offset` says how many bytes are stored: go on from there.",
        **scoped(Scope.DELIVERIES_WRITE, 404),
    )
    def offset(self, request: ApiRequest, submission_id: FromPath[str]) -> Response[None]:
        """Tell where the upload goes on."""
        upload = submission_uploads.find(context_of(request), tenant(request), submission_id)
        return Response(None, status_code=204, headers=_place(upload, upload.received))

    @patch(
        "/{submission_id:str}/content",
        status_code=204,
        summary="Send the next bytes of the file",
        operation_id="appendUpload",
        request_max_body_size=None,  # bounded by the reader itself, piece by piece
        response_description="Stored; `Upload-Offset` says how far the file is now.",
        **scoped(Scope.DELIVERIES_WRITE, 404, 408, 409, 413, 415),
    )
    async def append(
        self,
        request: ApiRequest,
        submission_id: FromPath[str],
        at: Annotated[
            str | None,
            HeaderParameter(name=_OFFSET, required=False, description="Where these bytes begin; required."),
        ] = None,
        complete: Annotated[
            str | None,
            HeaderParameter(
                name=_COMPLETE, required=False, description="`?1`: the file is whole after these bytes; else `?0`."
            ),
        ] = None,
    ) -> Response[None]:
        """Append to the file. What has come is kept, also when the connection breaks in the middle."""
        if request.content_type[0] not in (PARTIAL, "application/offset+octet-stream", "application/octet-stream"):
            raise MediaTypeUnsupported(f"Send bytes of the file as {PARTIAL}.")
        if complete not in (None, "?0", "?1"):
            raise RequestMalformed("Upload-Complete is ?0 or ?1.")
        context, organisation = context_of(request), tenant(request)
        upload = await sync_to_thread(submission_uploads.find, context, organisation, submission_id)
        begins = _offset(at)
        submission_uploads.check_offset(upload, begins)
        announced(request, most=upload.most - begins)
        received = await _take(request, context, upload, begins, Comparison(()))
        if complete == "?1":
            await sync_to_thread(submission_uploads.complete, context, organisation, submission_id)
        return Response(None, status_code=204, headers=_place(upload, received, complete=complete == "?1"))

    @post(
        "/{submission_id:str}/complete",
        status_code=200,
        summary="Say that the file is whole",
        operation_id="completeUpload",
        sync_to_thread=True,
        response_description="The file is being checked.",
        **scoped(Scope.DELIVERIES_WRITE, 404, 409),
    )
    def complete(self, request: ApiRequest, submission_id: FromPath[str]) -> SubmissionView:
        """End the upload; safe to repeat."""
        return submission_uploads.complete(context_of(request), tenant(request), submission_id)

    @get(
        "/{submission_id:str}/rows",
        summary="Read the report per row",
        operation_id="listSubmissionRows",
        sync_to_thread=True,
        **scoped(
            Scope.DELIVERIES_READ,
            404,
            406,
            422,
            also={
                200: ResponseSpec(SubmissionRowPage, description="The rows.", media_type=JSON, generate_examples=False)
            },
        ),
    )
    def rows(
        self,
        request: ApiRequest,
        submission_id: FromPath[str],
        *,
        row_state: Annotated[
            str | None,
            QueryParameter(name="state", description="Only rows in this state.", schema_extra={"enum": ROW_STATES}),
        ] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Response[Any]:
        """Show what became of each row, a page at a time; as `text/csv` all of it in one file."""
        form = request.accept.best_match([JSON, CSV])
        if form is None:
            raise NotAcceptable("The report is offered as application/json and as text/csv.")
        asked = context_of(request), tenant(request), submission_id
        if form == CSV:
            public = f"{submission_id}.csv"
            return Stream(
                submissions.report(*asked, state=row_state),
                media_type=f"{CSV}; charset=utf-8; header=present",
                headers={"Content-Disposition": f'attachment; filename="{public}"'},
            )
        return Response(submissions.row_page(*asked, state=row_state, cursor=cursor, limit=limit), media_type=JSON)

    @post(
        "/{submission_id:str}/release",
        status_code=200,
        summary="Let a checked submission go",
        operation_id="releaseSubmission",
        sync_to_thread=True,
        **scoped(Scope.DELIVERIES_WRITE, 404, 409),
    )
    def release(self, request: ApiRequest, submission_id: FromPath[str]) -> SubmissionView:
        """Make deliveries of its good rows."""
        return submissions.release(context_of(request), tenant(request), submission_id)

    @post(
        "/{submission_id:str}/pause",
        status_code=200,
        summary="Pause a submission and its deliveries",
        operation_id="pauseSubmission",
        sync_to_thread=True,
        **scoped(Scope.DELIVERIES_WRITE, 404, 409),
    )
    def pause(self, request: ApiRequest, submission_id: FromPath[str]) -> SubmissionView:
        """Let it wait, rows and deliveries alike, until it is resumed."""
        return submissions.pause(context_of(request), tenant(request), submission_id, actor=request.auth.client_id)

    @post(
        "/{submission_id:str}/resume",
        status_code=200,
        summary="Resume a paused submission",
        operation_id="resumeSubmission",
        sync_to_thread=True,
        **scoped(Scope.DELIVERIES_WRITE, 404, 409),
    )
    def resume(self, request: ApiRequest, submission_id: FromPath[str]) -> SubmissionView:
        """Let it go on from where it was."""
        return submissions.resume(context_of(request), tenant(request), submission_id, actor=request.auth.client_id)

    @post(
        "/{submission_id:str}/stop",
        status_code=200,
        summary="Stop a submission",
        operation_id="stopSubmission",
        sync_to_thread=True,
        **scoped(Scope.DELIVERIES_WRITE, 404, 409),
    )
    def stop(self, request: ApiRequest, submission_id: FromPath[str]) -> SubmissionView:
        """End what is no delivery yet; deliveries are cancelled where that is still possible, and told where not."""
        return submissions.stop(context_of(request), tenant(request), submission_id, actor=request.auth.client_id)


async def _options(request: ApiRequest) -> SubmissionOptions:
    announced(request, most=OPTIONS_BYTES)
    raw = bytearray()
    async for piece in Pieces(request):
        raw += piece
        if len(raw) > OPTIONS_BYTES:
            raise RequestMalformed("The options are longer than any options are.")
    try:
        return msgspec.json.decode(bytes(raw), type=SubmissionOptions)
    except msgspec.ValidationError as error:
        # The library's sentence names types and places, never a value.
        field = FieldError(_pointer(str(error)), "malformed", str(error).partition(" - at ")[0] + ".")
        detail = "The submission has options that can't be accepted."
        raise Invalid(detail, code="submission_invalid", errors=[field]) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RequestMalformed("The options are not JSON in UTF-8.") from None


def _pointer(message: str) -> str:
    return message.partition("at `$")[2].rstrip("`").replace(".", "/")


async def _take_whole(request: ApiRequest, context: Context, begun: Begun) -> Response[Any]:
    organisation, public = tenant(request), public_id(SUBMISSION, begun.id)
    upload = await sync_to_thread(submission_uploads.find, context, organisation, public, with_parts=begun.again)
    before = Comparison(upload.parts, closed=begun.again and upload.state is not SubmissionState.UPLOADING)
    await _take(request, context, upload, upload.received, before)
    if not before.whole:
        raise IdempotencyMismatch
    await sync_to_thread(submission_uploads.complete, context, organisation, public)
    first = await sync_to_thread(submission_uploads.completed_answer, context, organisation, begun.id)
    return _answer(201, first, begun)


async def _take(request: ApiRequest, context: Context, upload: Upload, at: int, before: Comparison) -> int:
    """Store the body piece by piece; returns how far the file is.

    Raises:
        RequestMalformed, UploadTooSlow: it ended early; what has come is stored.
    """
    memory: uploads.UploadMemory = request.app.state.submission_memory
    pieces = Pieces(request)
    async with memory.reserved(MEMORY, upload.organisation_id):
        async for piece in pieces:
            rest = before.feed(piece)
            if rest and before.closed:
                raise IdempotencyMismatch
            if rest:
                at = await sync_to_thread(submission_uploads.append, context, upload, at, rest)
    if pieces.broken is not None:
        raise pieces.broken
    return at


def _offset(header: str | None) -> int:
    if header is None or not (header.isascii() and header.isdigit() and len(header) < 16):  # noqa: PLR2004
        raise RequestMalformed("Upload-Offset must say where these bytes begin, as a number.")
    return int(header)


def _place(upload: Upload, received: int, *, complete: bool = False) -> dict[str, str]:
    """Where an upload is, in the header fields of the IETF's draft."""
    whole = complete or upload.state is not SubmissionState.UPLOADING
    found = {
        _OFFSET: str(received),
        _COMPLETE: "?1" if whole else "?0",
        "Upload-Limit": f"max-size={upload.most}",
        "Cache-Control": "no-store",
    }
    return found if upload.announced is None else found | {"Upload-Length": str(upload.announced)}


def _answer(status: int, body: bytes, begun: Begun) -> Response[Any]:
    return Response(
        body,
        status_code=status,
        media_type=JSON,
        headers={"Location": f"/v1/submissions/{public_id(SUBMISSION, begun.id)}"},
    )
