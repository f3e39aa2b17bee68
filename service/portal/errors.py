"""Errors as pages: in the person's language, with what to do next, and no technical text.

The status codes come from the one table in ``service.web.problems``, and what the log learns is the same as there.
"""

from typing import Any
from urllib.parse import quote, urlsplit

from litestar import Request, Response
from litestar.handlers.base import BaseRouteHandler
from litestar.response import Redirect

from service.domain.errors import PayloadTooLarge, Unauthenticated
from service.portal import languages
from service.portal.guards import OrganisationNotChosen
from service.portal.public.addresses import HOME, local
from service.portal.rendering import SEE_OTHER, Portal, is_htmx
from service.portal.visitors import PASSIVE
from service.portal.wording import Wording
from service.web import problems
from service.web.requests import request_id

_SERVER_FAULT = 500
_UNPROCESSABLE = 422
_METHOD_NOT_ALLOWED, _NOT_FOUND = 405, 404


class ErrorPages:
    """Makes the answer to a page request that failed; for Litestar's ``exception_handlers``."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    def __call__(self, request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        """The answer to ``error``, whatever it is."""
        if type(error) is Unauthenticated and request.method == "GET" and not is_htmx(request):
            visitor = self._portal.visitor(request)
            if visitor.session is None and not visitor.session_over:
                return Redirect(f"/login?next={_asked(request)}", status_code=SEE_OTHER)
        if isinstance(error, OrganisationNotChosen):
            return Redirect(f"/organisation?next={_asked(request)}", status_code=SEE_OTHER)
        if isinstance(error, PayloadTooLarge) and is_htmx(request):
            return self._beside_the_files(request)
        # The problem's answer decides on the status and writes the log; the page replaces its body.
        problem = problems.answer(request, error)
        status = problem.status_code or _SERVER_FAULT
        answer = self._page(request, error, _NOT_FOUND if status == _METHOD_NOT_ALLOWED else status)
        answer.headers.update(_kept(problem.headers))
        return answer

    def _beside_the_files(self, request: Request[Any, Any, Any]) -> Response[str]:
        """Say it on the page that is there, so that what else was filled in stays."""
        answer = self._portal.page(request, "parts/too_large.html", status=_UNPROCESSABLE)
        answer.headers |= {
            "HX-Retarget": "#document-problem",
            "HX-Reselect": "#too-large",
            "HX-Reswap": "innerHTML show:#document:top",
        }
        return answer

    def _page(self, request: Request[Any, Any, Any], error: Exception, status: int) -> Response[str]:
        visitor = self._portal.visitor(request)
        if type(error) is Unauthenticated:
            return self._portal.page(
                request, "public/session_over.html", status=status, back=_asked(request), sent=request.method != "GET"
            )
        title, text = Wording(languages.words(visitor.language)).error_page(status, error)
        if isinstance(error, Unauthenticated):
            # Refused at the log-in itself: sending them there again by ourselves could go round for ever.
            return self._portal.page(request, "public/log_in_again.html", status=status, text=text)
        answer = self._portal.page(
            request,
            "public/error.html",
            status=status,
            title=title,
            text=text,
            number=request_id() if status >= _SERVER_FAULT else "",
        )
        if status >= _SERVER_FAULT and _asks_by_itself(request):
            # A page that looks for news keeps what it shows until we are back.
            answer.headers["HX-Reswap"] = "none"
        return answer


def _asks_by_itself(request: Request[Any, Any, Any]) -> bool:
    handler: BaseRouteHandler | None = request.scope.get("route_handler")
    return handler is not None and bool(handler.opt.get(PASSIVE))


def _asked(request: Request[Any, Any, Any]) -> str:
    """The page to come back to, quoted for a query: the one that was shown when a form or part of a page failed."""
    if request.method == "GET" and not is_htmx(request):
        return quote(request.scope["path"], safe="/")
    shown = request.headers.get("hx-current-url") or request.headers.get("referer") or ""
    try:
        path = urlsplit(shown).path
    except ValueError:
        path = ""
    return quote(local(path, otherwise=HOME), safe="/%")


def _kept(headers: Any) -> dict[str, str]:
    return {name: value for name, value in dict(headers).items() if name.lower() in {"retry-after", "connection"}}
