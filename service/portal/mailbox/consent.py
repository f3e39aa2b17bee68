"""Signing at a remote service: the signer goes there, comes back, goes once more, and comes back having signed."""

from dataclasses import dataclass, field
from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from service.domain.errors import Conflict, Invalid, Retryable, ZendingError
from service.domain.errors import Final as Never
from service.portal.guards import RECIPIENT, genuine
from service.portal.mailbox.signatures import AnyRequest, reader_of, sentence, sign_page
from service.portal.rendering import SEE_OTHER, Portal
from service.usecases.signatures import consent, signer
from service.usecases.signatures.consent import Away, NotYet, Step
from service.web import sessions
from service.web.problems import kind_of

RETURN: Final = "/signatures/return"


@dataclass(frozen=True)
class Kept:
    """What somebody began, and the browser session in which they did."""

    session: bytes = field(repr=False)
    away: Away


@post("/signatures/{request_id:str}/consent", guards=[RECIPIENT, genuine], status_code=SEE_OTHER, sync_to_thread=True)
def leave(request: AnyRequest, portal: NamedDependency[Portal], request_id: FromPath[str]) -> Response[Any]:
    """Send the signer to the service."""
    before = _taken(request, portal)
    try:
        step = consent.begin(
            portal.context,
            reader_of(request),
            request_id,
            before,
            return_uri=_return(portal),
            language=_language(request, portal),
        )
    except (Invalid, Conflict, Retryable, Never) as error:
        return _told(request, portal, request_id, error)
    return _onwards(request, portal, request_id, step)


@get(RETURN, guards=[RECIPIENT], sync_to_thread=True)
def came_back(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[Any]:
    """Take the signer back from the service."""
    away = _taken(request, portal)
    if away is None:
        # Somebody went back in their browser, took too long, or was sent here by somebody else.
        return Redirect("/signatures", status_code=SEE_OTHER, headers={"Cache-Control": "no-store"})
    try:
        step = consent.back(
            portal.context,
            reader_of(request),
            away,
            dict(request.query_params),
            return_uri=_return(portal),
            language=_language(request, portal),
        )
    except (Invalid, Conflict, Retryable, Never) as error:
        return _told(request, portal, away.request_id, error)
    return _onwards(request, portal, away.request_id, step)


HANDLERS: Final = [leave, came_back]


def _return(portal: Portal) -> str:
    return f"{portal.settings.base_url}{RETURN}"


def _language(request: AnyRequest, portal: Portal) -> str:
    return portal.visitor(request).language


def _session(request: AnyRequest, portal: Portal) -> bytes:
    session = portal.visitor(request).session
    assert session is not None  # the guard saw to it
    return session.id_hash


def _taken(request: AnyRequest, portal: Portal) -> Away | None:
    """What was begun in this very session; another log-in's is worth nothing."""
    kept = sessions.take_aside(portal.application, request.cookies, sessions.SIGNING, Kept)
    return kept.away if kept is not None and kept.session == _session(request, portal) else None


def _onwards(request: AnyRequest, portal: Portal, request_id: str, step: Step) -> Response[Any]:
    if step.url is None or step.away is None:
        url, cookie = (
            f"/signatures/{request_id}",
            sessions.expired(sessions.SIGNING, secure=portal.settings.secure_cookies),
        )
    else:
        url = step.url
        cookie = sessions.keep_aside(portal.application, sessions.SIGNING, Kept(_session(request, portal), step.away))
    return Redirect(url, status_code=SEE_OTHER, cookies=[cookie], headers={"Cache-Control": "no-store"})


def _told(request: AnyRequest, portal: Portal, request_id: str, error: ZendingError) -> Response[Any]:
    """The document's page, with what went wrong in the signer's words; a signature that was made is kept."""
    found = signer.get(portal.context, reader_of(request), request_id)
    said = sign_page(request, portal, found, problem=sentence(request, portal, error), status=kind_of(error).status)
    if isinstance(error, NotYet):
        kept = Kept(_session(request, portal), error.away)
        said.cookies.append(sessions.keep_aside(portal.application, sessions.SIGNING, kept))
    return said
