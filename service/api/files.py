"""Answers that are files: sealed PDFs and evidence."""

import unicodedata
from typing import Any, Final
from urllib.parse import quote

from litestar import Request, Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import Stream

from service.api.shapes import JSON, PDF, EvidenceFile
from service.usecases.bundle import Bundle
from service.usecases.views import File
from service.web.errors import NotAcceptable

PDF_ANSWER: Final = {
    200: ResponseSpec(bytes, description="The sealed PDF.", media_type=PDF, generate_examples=False),
}
ZIP: Final = "application/zip"
BUNDLE_ANSWER: Final = {
    200: ResponseSpec(
        bytes,
        description="Documents, evidence, proofs, certificates, keys, programs and how to check it all.",
        media_type=ZIP,
        generate_examples=False,
    ),
}
EVIDENCE_ANSWER: Final = {
    200: ResponseSpec(
        EvidenceFile, description="The evidence with its proof.", media_type=JSON, generate_examples=False
    ),
}


def pdf(file: File) -> Response[bytes]:
    """A document to be saved: never shown as a page of ours, whatever stands in it."""
    return Response(
        file.content, media_type=PDF, headers={"Content-Disposition": disposition("attachment", file.filename)}
    )


def disposition(kind: str, filename: str) -> str:
    """A Content-Disposition header (RFC 6266): the name in ASCII for old programs and in full for all others."""
    plain = unicodedata.normalize("NFKD", filename).encode("ascii", "ignore").decode("ascii")
    plain = "".join(character if character.isprintable() and character not in '"\\%' else "_" for character in plain)
    return f"{kind}; filename=\"{plain or 'document.pdf'}\"; filename*=UTF-8''{quote(filename, safe='')}"


def bundle(whole: Bundle) -> Stream:
    """A ZIP, sent while it is packed."""
    return Stream(
        whole.stream(), media_type=ZIP, headers={"Content-Disposition": disposition("attachment", whole.filename)}
    )


def wants_page(request: Request[Any, Any, Any]) -> bool:
    """Whether the caller asks for an evidence as a page (PDF); JSON is what they get when both will do.

    Raises:
        NotAcceptable: only other forms would do.
    """
    form = request.accept.best_match([JSON, PDF])
    if form is None:
        raise NotAcceptable("Evidence is offered as application/json and as application/pdf.")
    return form == PDF


def evidence(record: dict[str, object]) -> Response[dict[str, object]]:
    """One evidence as a file of its own."""
    return Response(record, media_type=JSON)
