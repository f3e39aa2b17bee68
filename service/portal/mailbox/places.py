"""Whose mailbox a page is about: by its address the reader's own, or that of somebody who gave them a mandate."""

from dataclasses import replace
from typing import Any

from litestar import Request, Response

from service.db.ids import MANDATE, parse_id
from service.portal.rendering import Portal
from service.usecases import mandates
from service.usecases.mailbox import Reader

AnyRequest = Request[Any, Any, Any]


def reader_of(request: AnyRequest) -> Reader:
    """Who reads, and for whom."""
    reader = request.user.reader
    assert isinstance(reader, Reader)  # the guard saw to it
    mandate = request.path_params.get("mandate_id")
    return reader if mandate is None else replace(reader, acting_for=parse_id(MANDATE, mandate))


def base(request: AnyRequest) -> str:
    """Where the pages of the mailbox are that is looked at."""
    mandate = request.path_params.get("mandate_id")
    return "/mailbox" if mandate is None else f"/mailbox/for/{mandate}"


def page(request: AnyRequest, portal: Portal, template: str, **values: Any) -> Response[str]:
    """A page of a mailbox, which says whose it is where it is not the reader's own."""
    mandate = request.path_params.get("mandate_id")
    acting = None if mandate is None else mandates.get(portal.context, request.user.reader, mandate)
    return portal.page(request, template, base=base(request), acting=acting, **values)
