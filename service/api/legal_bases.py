"""``/v1/legal-bases``: what deliveries are sent under, for anybody who holds evidence that names it."""

from typing import Any, Final

from litestar import Controller, Request, Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath

from service.api.calls import context_of, public
from service.api.shapes import JSON
from service.usecases import legal_bases
from service.usecases.legal_bases import EntryView
from service.web.errors import NotAcceptable

TOML: Final = "application/toml"
# A version never changes once it was in force; the operator may still be writing one that was not.
_HEADERS: Final = {"Cache-Control": "public, max-age=3600", "Vary": "Accept"}


class LegalBases(Controller):
    """The legal-basis register: each version of each entry, as data and as the file whose hash stands in evidence."""

    path = "/v1/legal-bases"
    tags = ("Legal bases",)

    @get(
        "/{entry_id:str}/{version:int}",
        summary="Read an entry of the legal-basis register",
        operation_id="readLegalBasis",
        media_type=JSON,
        sync_to_thread=False,
        **public(
            400,
            404,
            406,
            also={200: ResponseSpec(EntryView, description="The entry.", media_type=JSON, generate_examples=False)},
        ),
    )
    def read(self, request: Request[Any, Any, Any], entry_id: FromPath[str], version: FromPath[int]) -> Response[Any]:
        """Send one version of an entry.

        As `application/toml`: the entry's own file, byte by byte, whose SHA-256 the evidence of each delivery names.
        """
        form = request.accept.best_match([JSON, TOML])
        if form is None:
            raise NotAcceptable("An entry is offered as application/json and as application/toml.")
        found = legal_bases.published(context_of(request), entry_id, version)
        if form == TOML:
            return Response(found.file, media_type=TOML, headers=_HEADERS)
        return Response(found.view, media_type=JSON, headers=_HEADERS)


def add_legal_basis_file(plain: dict[str, Any]) -> None:
    """Describe the answer's second form."""
    answer = plain["paths"]["/v1/legal-bases/{entry_id}/{version}"]["get"]["responses"]["200"]
    answer["content"][TOML] = {"schema": {"type": "string", "description": "The entry's file."}}
