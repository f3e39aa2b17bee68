"""Pages made of templates, in the reader's language, with headers that let nothing but our own files run."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, Response
from litestar.response import Redirect, Stream

from service.bootstrap import Application
from service.portal import formats, languages, wording
from service.portal.languages import Words
from service.portal.registered_words import Registered
from service.portal.visitors import Visitor, spoken
from service.usecases.bundle import Bundle
from service.usecases.views import File
from service.web import csrf

_HERE: Final = Path(__file__).parent
TEMPLATES: Final = _HERE / "templates"
STATIC: Final = _HERE / "static"

PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Content-Security-Policy of pages: nothing inline, nothing from elsewhere."""
FILE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'; frame-ancestors 'self'"
"""Of a PDF: it may be shown within our own pages. The browser's viewer styles itself; the file runs nothing."""
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": PAGE_POLICY,
    # Browsers say where a form comes from only to those who let them.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
SEE_OTHER: Final = 303


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that belongs to the pages; ``version`` is in its address, so browsers may keep it for ever."""

    content: bytes
    media_type: str
    version: str


class Portal:
    """What every page is made with."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.context = application.context
        self.settings = application.settings
        self._environments = {language: self._environment(languages.words(language)) for language in languages.OFFERED}

    @cached_property
    def assets(self) -> Mapping[str, Asset]:
        """Every file under ``static`` by its name."""
        return _read_assets()

    def page(
        self,
        request: Request[Any, Any, Any],
        template: str,
        *,
        status: int = 200,
        leads_to: str = "",
        pictures_inside: bool = False,
        **values: Any,
    ) -> Response[str]:
        """A page, or a part of one, for whoever asks.

        Args:
            request: what is answered.
            template: its name below ``templates``.
            status: HTTP status.
            leads_to: another party's origin, to which a form of the page may lead by way of us.
            pictures_inside: the page has pictures of ours within itself.
            values: what the template shows.
        """
        visitor = self.visitor(request)
        text = (
            self._environments[visitor.language]
            .get_template(template)
            .render(
                visitor=visitor,
                here=_here(request),
                csrf=self._proof(visitor),
                words=wording.Wording(languages.words(visitor.language)),
                registered=Registered(languages.words(visitor.language)),
                now=self.context.clock(),
                **values,
            )
        )
        headers = _PAGE_HEADERS | {"Content-Language": visitor.language, "Vary": "Cookie, Accept-Language"}
        if pictures_inside:
            headers["Content-Security-Policy"] = PAGE_POLICY.replace("img-src 'self'", "img-src 'self' data:")
        if leads_to:
            # Browsers hold where a form's answer leads to against the policy too.
            policy = PAGE_POLICY.replace("form-action 'self'", f"form-action 'self' {leads_to}")
            headers["Content-Security-Policy"] = policy
        return Response(text, status_code=status, media_type="text/html", headers=headers)

    def visitor(self, request: Request[Any, Any, Any]) -> Visitor:
        """Who asks; somebody unknown where no page was found for the request."""
        found = request.scope.get("user")
        if isinstance(found, Visitor):
            return found
        return Visitor(spoken(request, secure=self.settings.secure_cookies))

    def _proof(self, visitor: Visitor) -> Callable[[], str]:
        return lambda: "" if visitor.session is None else csrf.token(visitor.session.data.csrf_secret)

    def _environment(self, words: Words) -> Environment:
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        environment.install_gettext_callables(  # type: ignore[attr-defined]
            words.gettext, words.ngettext, newstyle=True
        )
        environment.filters |= {
            "day": lambda at: formats.day(at, words),
            "weekday": lambda at: formats.weekday(at, words),
            "moment": lambda at: formats.moment(at, words),
            "size": lambda size: formats.size(size, words),
        }
        environment.globals |= {
            "asset": self._asset,
            "languages": languages.OFFERED,
            "language": words.language,
            "service_name": self.settings.issuer_name,
        }
        return environment

    def _asset(self, name: str) -> str:
        return f"/static/{self.assets[name].version}/{name}"


def see_other(request: Request[Any, Any, Any], path: str) -> Response[Any]:
    """Go on at another page of ours, after a form was taken; in the way that htmx understands where it asked."""
    if is_htmx(request):
        return Response(b"", status_code=200, headers={"HX-Redirect": path, "Cache-Control": "no-store"})
    return Redirect(path, status_code=SEE_OTHER, headers={"Cache-Control": "no-store"})


def is_htmx(request: Request[Any, Any, Any]) -> bool:
    """Whether a script of ours asks for part of a page."""
    return request.headers.get("hx-request") == "true"


def file_response(file: File, *, download: bool, media_type: str = "application/pdf") -> Response[bytes]:
    """A PDF (or, to be kept, a picture): to be kept, or to be shown by the browser's viewer."""
    disposition = "attachment" if download else "inline"
    headers = {
        "Content-Security-Policy": FILE_POLICY,
        "X-Frame-Options": "SAMEORIGIN",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "Content-Disposition": f"{disposition}; filename*=UTF-8''{quote(file.filename, safe='')}",
    }
    return Response(file.content, media_type=media_type, headers=headers)


def bundle_response(whole: Bundle) -> Stream:
    """A ZIP to be kept, sent while it is packed."""
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{whole.filename}"'}
    return Stream(whole.stream(), media_type="application/zip", headers=headers)


def json_response(content: bytes, name: str) -> Response[bytes]:
    """A JSON file to be kept."""
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="application/json", headers=headers)


_MEDIA_TYPES: Final = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


def _read_assets() -> Mapping[str, Asset]:
    found = {}
    for path in sorted(STATIC.iterdir()):
        if path.suffix in _MEDIA_TYPES:
            content = path.read_bytes()
            found[path.name] = Asset(content, _MEDIA_TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:16])
    return found


def _here(request: Request[Any, Any, Any]) -> str:
    """The page that is shown, for coming back to it in another language."""
    query = request.scope.get("query_string", b"").decode("latin-1")
    path = quote(request.scope["path"])
    return f"{path}?{query}" if query else path
