"""Who looks at a page: found once per request, before any guard, from cookies and the rows behind them."""

from dataclasses import dataclass, field
from typing import Any, Final

from litestar.concurrency import sync_to_thread
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from service.bootstrap import Application
from service.portal import forms, languages
from service.usecases import access
from service.usecases.access import Profile, StaffRole
from service.usecases.mailbox import Reader
from service.web import sessions
from service.web.sessions import BrowserSession

CLERK: Final = "clerk"
ASSET: Final = "asset"
"""Key of a handler's ``opt``: the same for everybody, so nobody is looked up."""
FORM_LIMIT: Final = "form_limit"
"""Key of a handler's ``opt``: most bytes of its form."""
PASSIVE: Final = "passive"
"""Key of a handler's ``opt``: a page asks this by itself, so it does not keep a session alive."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody at our door.

    Attributes:
        language: in which they read.
        session: their valid session; None when they are not logged in.
        profile: what they may do, as it is now.
        session_over: they were logged in until a while ago.
    """

    language: str
    session: BrowserSession | None = field(default=None, repr=False)
    profile: Profile | None = field(default=None, repr=False)
    session_over: bool = False

    @property
    def reader(self) -> Reader | None:
        """As whom they may read a mailbox."""
        return None if self.profile is None else self.profile.reader

    @property
    def seats(self) -> tuple[StaffRole, ...]:
        """The organisations they may send for."""
        return () if self.profile is None else tuple(seat for seat in self.profile.staff if seat.role == CLERK)

    @property
    def operates(self) -> bool:
        """Whether they look after the service itself."""
        return self.profile is not None and any(seat.runs_the_platform for seat in self.profile.staff)

    @property
    def seat(self) -> StaffRole | None:
        """The organisation they act for now: the only one, or the one they chose."""
        seats = self.seats
        if len(seats) == 1:
            return seats[0]
        chosen = None if self.session is None else self.session.data.organisation
        return next((seat for seat in seats if str(seat.organisation_id) == chosen), None)


class Recognition(ASGIMiddleware):
    """Puts the ``Visitor`` into ``request.user`` for every page."""

    scopes = (ScopeType.HTTP,)
    exclude_opt_key = ASSET

    def __init__(self, application: Application) -> None:
        self._application = application

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Find out who asks, then let the request go on."""
        connection: ASGIConnection[Any, Any, Any, Any] = ASGIConnection(scope)
        secure = self._application.settings.secure_cookies
        language = spoken(connection, secure=secure)
        secret = sessions.read_cookie(connection.cookies, sessions.SESSION, secure=secure)
        if secret is None:
            scope["user"] = Visitor(language)
        else:
            touch = not connection.route_handler.opt.get(PASSIVE, False)
            scope["user"] = await sync_to_thread(self._visitor, language, secret, touch=touch)
        limit = connection.route_handler.opt.get(FORM_LIMIT)
        if limit is None or scope["user"].session is None:
            await next_app(scope, receive, send)
            return
        # Files stay in memory until they are handed in: together within what all uploads of the process may take.
        memory, seat = connection.app.state.upload_memory, scope["user"].seat
        owner = None if seat is None else seat.organisation_id
        async with memory.reserved(forms.announced_bytes(connection.headers, limit), owner):
            await next_app(scope, receive, send)

    def _visitor(self, language: str, secret: str, *, touch: bool) -> Visitor:
        session = sessions.find(self._application, secret, touch=touch)
        if session is None:
            return Visitor(language, session_over=True)
        # Asked again at every page, so that a right that is taken away is gone at once.
        return Visitor(language, session, access.profile(self._application.context, session.person))


def spoken(connection: ASGIConnection[Any, Any, Any, Any], *, secure: bool) -> str:
    """The language to answer in."""
    chosen = sessions.read_cookie(connection.cookies, sessions.LANGUAGE, secure=secure)
    return languages.choose(chosen, connection.headers.get("accept-language", ""))
