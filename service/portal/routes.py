"""The portal as one router: pages, their guards, and pages for what goes wrong."""

from collections.abc import Callable
from typing import Any, Final

from litestar import Request, Response, Router
from litestar.di import Provide

from service.bootstrap import Application
from service.portal.errors import ErrorPages
from service.portal.forms import Form
from service.portal.mailbox import consent, mandates, registered_consent, signatures
from service.portal.mailbox import handlers as mailbox
from service.portal.operator import handlers as operator
from service.portal.operator import printing
from service.portal.public import handlers as public
from service.portal.public import legal_bases
from service.portal.rendering import Portal
from service.portal.sender import checking, signature_requests, webhooks
from service.portal.sender import handlers as sender
from service.portal.visitors import Recognition

Answer = Callable[[Request[Any, Any, Any], Exception], Response[Any]]
_FOR_PROGRAMS: Final = ("/v1/", "/oauth/")


def portal_handlers(application: Application) -> list[Router]:
    """The routes of the portal, to be put into the ASGI application; it keeps ``application`` in its state."""
    portal = Portal(application)
    pages, recognition = ErrorPages(portal), Recognition(application)
    # Litestar copies a router with all it holds; functions are left whole, and what they refer to stays one.
    return [
        Router(
            path="/",
            route_handlers=[
                *public.HANDLERS,
                *legal_bases.HANDLERS,
                *mailbox.HANDLERS,
                *mandates.HANDLERS,
                *registered_consent.HANDLERS,
                *signatures.HANDLERS,
                *consent.HANDLERS,
                *operator.HANDLERS,
                *printing.HANDLERS,
                *sender.handlers(portal),
                *checking.handlers(portal),
                *signature_requests.handlers(portal),
                *webhooks.HANDLERS,
            ],
            dependencies={
                "portal": Provide(lambda: portal, use_cache=True, sync_to_thread=False),
                "form": Provide(_form, sync_to_thread=False),
            },
            middleware=[lambda app: recognition(app)],  # noqa: PLW0108  see above
            exception_handlers={Exception: lambda request, error: pages(request, error)},  # noqa: PLW0108  see above
            include_in_schema=False,
        )
    ]


def pages_for_people(application: Application, otherwise: Answer) -> Answer:
    """What answers requests that no route takes: a page for browsers, ``otherwise`` for programs.

    Args:
        application: the wired parts.
        otherwise: the answer to programs, made for Litestar's ``exception_handlers`` as well.
    """
    pages = ErrorPages(Portal(application))

    def answer(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        browser = "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(_FOR_PROGRAMS)
        return pages(request, error) if browser else otherwise(request, error)

    return answer


def _form(request: Request[Any, Any, Any]) -> Form:
    """The form that the guard ``genuine`` has read."""
    form: Form = request.state.form
    return form
