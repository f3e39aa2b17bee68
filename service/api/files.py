"""Answers that are files: sealed PDFs and evidence."""

import unicodedata
from typing import Any, Final
from urllib.parse import quote

from litestar import Request, Response
from litestar.openapi.datastructures import ResponseSpec

from service.api.shapes import JSON, PDF, EvidenceFile
from service.usecases.views import File
from service.web.errors import NotAcceptable

PDF_ANSWER: Final = {
    200: ResponseSpec(bytes, description="The sealed PDF.", media_type=PDF, generate_examples=False),
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


def require_json(request: Request[Any, Any, Any]) -> None:
    """Pass when the caller takes JSON.

    Raises:
        NotAcceptable: only other forms would do; the PDF of an evidence is not offered yet.
    """
    if request.accept.best_match([JSON]) is None:
        raise NotAcceptable("Evidence is offered as application/json.")


def evidence(record: dict[str, object]) -> Response[dict[str, object]]:
    """One evidence as a file of its own."""
    return Response(record, media_type=JSON)
