"""Who may call a route. Every route declares exactly that, and a test walks all routes to see that none forgot.

A guard runs before anything of the body is read.
"""

from datetime import datetime
from typing import Any, Final, Protocol

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from service.domain.errors import Unauthenticated
from service.identity.scopes import Scope
from service.identity.tokens import AccessToken
from service.web import limits

_SCHEME: Final = "bearer"
Connection = ASGIConnection[Any, Any, Any, Any]


class Access:
    """What every guard is; doors derive their own kinds from it.

    Attributes:
        name: says in a word who may call, for the table of routes in tests and documentation.
    """

    name: str = ""

    async def __call__(self, connection: Connection, _handler: BaseRouteHandler, /) -> None:
        """Pass, or raise why not."""
        # Each kind of guard says it; a door that forgot to lets nobody in.
        raise NotImplementedError


class Public(Access):
    """Everybody may call."""

    name = "public"

    async def __call__(self, connection: Connection, _handler: BaseRouteHandler, /) -> None:
        """Pass."""


class Verifier(Protocol):
    """Believes or refuses access tokens (`service.identity.tokens.TokenVerifier`)."""

    def verify(self, token: str, now: datetime) -> AccessToken:
        """What the token says."""
        ...


class Scoped(Access):
    """Whoever shows an access token of ours with this scope; the token becomes ``request.auth``."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.name = f"scope {scope.value}"

    async def __call__(self, connection: Connection, _handler: BaseRouteHandler, /) -> None:
        """Verify the token and its scope.

        Raises:
            Unauthenticated: no token, or one that must not be believed.
            ScopeMissing: it does not allow this.
            TooManyRequests: its bearer asks too often.
        """
        application = connection.app.state.application
        token = application.verifier.verify(
            _bearer(connection.headers.get("authorization")), application.context.clock()
        )
        token.require(self.scope)
        limits.note(connection.scope, await limits.callers(connection).admit(token))
        connection.scope["auth"] = token


def _bearer(header: str | None) -> str:
    """The token of RFC 6750, section 2.1; tokens in addresses or bodies are not looked at."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != _SCHEME or not token.strip():
        raise Unauthenticated("Send an access token: Authorization: Bearer …")
    return token.strip()


PUBLIC: Final = Public()
