"""``/v1/letters``: documents looked at as the letters they would become, at once; nothing is kept."""

from typing import Annotated, Any

from litestar import Controller, Response, post
from litestar.concurrency import sync_to_thread
from litestar.params import QueryParameter

from printing.pictures import Language
from printing.zones import Mode
from service.api.calls import ApiRequest, context_of, scoped, tenant
from service.api.shapes import JSON, PDF
from service.api.uploads import UploadLimits, UploadMemory, read_whole
from service.identity.scopes import Scope
from service.usecases.letter_checks import LetterCheckView, LetterQuestion, check, named_pages
from service.web.errors import MediaTypeUnsupported


class Letters(Controller):
    """Letters before they are letters."""

    path = "/v1/letters"
    tags = ("Deliveries",)

    @post(
        "/check",
        status_code=200,
        summary="Check whether a PDF can be printed as a letter",
        operation_id="checkLetter",
        response_description="What was found.",
        request_max_body_size=None,  # bounded by the reader itself
        **scoped(Scope.DELIVERIES_WRITE, 408, 413, 415, 422),
    )
    async def check(
        self,
        request: ApiRequest,
        *,
        profile: Annotated[
            str | None,
            QueryParameter(
                description="A print house's profile, such as `be-right`; that of the house that prints letters unless "
                "given.",
                max_length=40,
            ),
        ] = None,
        mode: Annotated[
            Mode,
            QueryParameter(
                description="Where the address comes from: an address page in front, printed onto the first page, or "
                "standing there."
            ),
        ] = "page",
        duplex: Annotated[bool, QueryParameter(description="Printed on both sides.")] = True,
        pages: Annotated[
            str | None,
            QueryParameter(
                description="Pages to show as pictures, such as `1,2`; at most ten.", max_length=60, pattern="^[0-9,]*$"
            ),
        ] = None,
        language: Annotated[Language, QueryParameter(description="Of the legend under the pictures.")] = "en",
    ) -> Response[LetterCheckView]:
        """Look at a document as the print house would; nothing of it is kept.

        The body is the PDF itself. Every problem has its page, and where there is a place its boxes in mm. What cannot
        be read, or takes too long to look at, is an answer too: a problem with a code.
        """
        if request.content_type[0] != PDF:
            raise MediaTypeUnsupported("Send the PDF itself, as application/pdf.")
        asked = LetterQuestion(profile, mode, duplex, named_pages(pages), language)
        limits: UploadLimits = request.app.state.upload_limits
        memory: UploadMemory = request.app.state.upload_memory
        async with memory.reserved(limits.delivery_bytes, tenant(request)):
            pdf = await read_whole(request, limits)
            found = await sync_to_thread(check, context_of(request), pdf, asked)
        return Response(found, media_type=JSON)


def add_letter_bodies(plain: dict[str, Any]) -> None:
    """Describe the body, which the route reads by itself."""
    plain["paths"]["/v1/letters/check"]["post"]["requestBody"] = {
        "required": True,
        "content": {PDF: {"schema": {"type": "string", "contentMediaType": PDF, "description": "The PDF."}}},
    }
