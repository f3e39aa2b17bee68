"""``/v1/validations``: the signatures of any PDF checked, at once; nothing is kept."""

from typing import Annotated, Any, Final

from litestar import Controller, Request, Response, post
from litestar.concurrency import sync_to_thread
from litestar.params import QueryParameter

from service.api.calls import ApiRequest, application_of, scoped, tenant
from service.api.shapes import JSON, PDF
from service.api.uploads import UploadLimits, UploadMemory, read_whole
from service.bootstrap import Application
from service.identity.scopes import Scope
from service.usecases import validations
from service.usecases.validations import ValidationView
from service.web.errors import MediaTypeUnsupported, NotAcceptable
from signing.report import Report

XML: Final = "application/xml"


class Validations(Controller):
    """Signatures, judged by the service."""

    path = "/v1/validations"
    tags = ("Validations",)

    @post(
        status_code=200,
        summary="Check the signatures of a PDF",
        operation_id="checkSignatures",
        response_description="What was found.",
        request_max_body_size=None,  # bounded by the reader itself
        **scoped(Scope.VALIDATIONS_WRITE, 406, 408, 413, 415, 422),
    )
    async def check(
        self,
        request: ApiRequest,
        *,
        require_revocation: Annotated[
            bool,
            QueryParameter(
                description="What the file itself does not show to be unrevoked is not valid: long-term signatures "
                "only."
            ),
        ] = False,
    ) -> Response[ValidationView]:
        """Judge every signature and document time-stamp, offline, as of now; nothing of the document is kept.

        The body is the PDF itself. What can't be judged is an answer too: `indeterminate`, with a code. By `Accept`
        the answer is JSON, or XML in the form of ETSI TS 119 102-2.
        """
        as_xml = _wants_xml(request)
        if request.content_type[0] != PDF:
            raise MediaTypeUnsupported("Send the PDF itself, as application/pdf.")
        limits: UploadLimits = request.app.state.upload_limits
        memory: UploadMemory = request.app.state.upload_memory
        application = application_of(request)
        async with memory.reserved(limits.delivery_bytes, tenant(request)):
            pdf = await read_whole(request, limits)
            report = await sync_to_thread(_judged, application, pdf, require_revocation=require_revocation)
        if as_xml:
            xml: Response[Any] = Response(validations.standard_report(report), media_type=XML)
            return xml
        return Response(validations.view(report), media_type=JSON)


def _judged(application: Application, pdf: bytes, *, require_revocation: bool) -> Report:
    now = application.context.clock()
    return validations.check(application.validator(), pdf, now=now, require_revocation=require_revocation)


def _wants_xml(request: Request[Any, Any, Any]) -> bool:
    form = request.accept.best_match([JSON, XML])
    if form is None:
        raise NotAcceptable("A check is answered as application/json and as application/xml.")
    return form == XML


def add_validation_bodies(plain: dict[str, Any]) -> None:
    """Describe the body, which the route reads by itself, and the answer's second form."""
    operation = plain["paths"]["/v1/validations"]["post"]
    operation["requestBody"] = {
        "required": True,
        "content": {PDF: {"schema": {"type": "string", "contentMediaType": PDF, "description": "The PDF."}}},
    }
    operation["responses"]["200"]["content"][XML] = {
        "schema": {"type": "string", "description": "A ValidationReport of ETSI TS 119 102-2."}
    }
