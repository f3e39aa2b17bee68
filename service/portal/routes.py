"""The portal as one router: pages, their guards, and pages for what goes wrong."""

from typing import Any

from litestar import Request, Router
from litestar.di import Provide

from service.bootstrap import Application
from service.portal.errors import ErrorPages
from service.portal.forms import Form
from service.portal.mailbox import handlers as mailbox
from service.portal.public import handlers as public
from service.portal.rendering import Portal
from service.portal.sender import handlers as sender
from service.portal.visitors import Recognition


def portal_handlers(application: Application) -> list[Router]:
    """The routes of the portal, to be put into the ASGI application; it keeps ``application`` in its state."""
    portal = Portal(application)
    return [
        Router(
            path="/",
            route_handlers=[*public.HANDLERS, *mailbox.HANDLERS, *sender.handlers(portal)],
            dependencies={
                "portal": Provide(lambda: portal, use_cache=True, sync_to_thread=False),
                "form": Provide(_form, sync_to_thread=False),
            },
            middleware=[Recognition(application)],
            exception_handlers={Exception: ErrorPages(portal)},
            include_in_schema=False,
        )
    ]


def error_pages(application: Application) -> ErrorPages:
    """For requests that no route answers: what a person sees who mistyped an address."""
    return ErrorPages(Portal(application))


def _form(request: Request[Any, Any, Any]) -> Form:
    """The form that the guard ``genuine`` has read."""
    form: Form = request.state.form
    return form
