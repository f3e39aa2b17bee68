"""An entry of the legal-basis register, for whoever holds a document or evidence that names it."""

from typing import Any, Final

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from service.domain import calendar
from service.portal.rendering import Portal
from service.usecases import legal_bases
from service.web.guards import PUBLIC

AnyRequest = Request[Any, Any, Any]


@get("/legal-bases/{entry_id:str}/{version:int}", guards=[PUBLIC], sync_to_thread=True)
def entry(
    request: AnyRequest, portal: NamedDependency[Portal], entry_id: FromPath[str], version: FromPath[int]
) -> Response[str]:
    """What the entry says."""
    found = legal_bases.published(portal.context, entry_id, version)
    return portal.page(
        request, "public/legal_basis.html", entry=found.view, since=calendar.begins(found.view.in_force_from)
    )


@get("/legal-bases/{entry_id:str}/{version:int}/file", guards=[PUBLIC], sync_to_thread=False)
def file(portal: NamedDependency[Portal], entry_id: FromPath[str], version: FromPath[int]) -> Response[bytes]:
    """The entry's file, byte by byte: its SHA-256 stands in evidence."""
    found = legal_bases.published(portal.context, entry_id, version)
    name = f"{found.view.id}.{found.view.version}.toml"
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(found.file, media_type="application/toml", headers=headers)


HANDLERS: Final = [entry, file]
