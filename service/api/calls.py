"""What the handlers of this door share: who calls, and how a route says who may and what it answers besides."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter
from litestar.types import Guard

from service.api.shapes import JSON
from service.bootstrap import Application
from service.db.ids import MANDATE, parse_id
from service.domain.errors import NotFound
from service.identity.scopes import Scope
from service.identity.tokens import AccessToken
from service.usecases import access, claims
from service.usecases.context import Context
from service.usecases.mailbox import Reader
from service.web.guards import PUBLIC, Scoped
from service.web.problems import MEDIA_TYPE, Problem

ApiRequest = Request[None, AccessToken, State]
"""A request whose guard has believed an access token (``request.auth``)."""

ACTING_FOR: Final = "Zending-Acting-For"
"""The header that names the mandate by which a call is made."""

OptionalKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        required=False,
        description="Not required, 1–255 printable ASCII characters. The same request with the same key gets the same"
        " answer, and nothing is done again, whatever happened meanwhile.",
    ),
]

SECURITY: Final = "oauth2"
"""The security scheme's name in the OpenAPI document."""

CLIENT_SECURITY: Final = "client"
"""The scheme by which programs show who they are at the token endpoint."""

_MEANINGS: Final = {
    400: "The request can't be read.",
    401: "No access token, or one that is not believed.",
    403: "The access token does not allow this.",
    404: "There is no such thing, or it belongs to somebody else.",
    406: "It is not offered in the form that the Accept header asks for.",
    408: "The body came too slowly; what was stored of it is kept.",
    409: "Not possible in the present state; the code says why.",
    410: "It was here; its retention period is over and it was erased as announced.",
    413: "Larger than the service takes; refused before it was read whole.",
    415: "The body is of another media type than this call takes.",
    422: "Understood, and against a rule; `errors` points to each field.",
    429: "Too fast, or more than the quota allows; `Retry-After` says when to come back.",
    503: "Something is down for a moment; `Retry-After` says when to come back.",
}


def acknowledged(status: int, body: bytes, location: str) -> Response[Any]:
    """The stored answer to a call that created something, as it is: a repeated call gets the very same."""
    return Response(bytes(body), status_code=status, media_type=JSON, headers={"Location": location})


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """The problem documents that a route may answer with, for the OpenAPI document."""
    return {
        status: ResponseSpec(Problem, description=_MEANINGS[status], media_type=MEDIA_TYPE, generate_examples=False)
        for status in statuses
    }


def scoped(
    scope: Scope, *statuses: int, also: dict[int, ResponseSpec] | None = None, further: Sequence[Guard] = ()
) -> dict[str, Any]:
    """Arguments of a route that needs an access token with ``scope``; ``statuses`` are further problems.

    ``further`` guards look at the caller once the token is believed.
    """
    return {
        "guards": [Scoped(scope), *further],
        "security": [{SECURITY: [scope.value]}],
        "responses": {**problems(*sorted({400, 401, 403, 429, 503, *statuses})), **(also or {})},
    }


def public(*statuses: int, also: dict[int, ResponseSpec] | None = None) -> dict[str, Any]:
    """Arguments of a route that everybody may call."""
    return {"guards": [PUBLIC], "security": [{}], "responses": {**problems(*statuses), **(also or {})}}


def application_of(request: Request[Any, Any, Any]) -> Application:
    """The wired application that this process serves."""
    application: Application = request.app.state.application
    return application


def context_of(request: Request[Any, Any, Any]) -> Context:
    """What use cases are given."""
    return application_of(request).context


def acting(request: ApiRequest) -> tuple[Context, str]:
    """What use cases are given, and who acts as an operator, for the trail.

    Raises:
        Forbidden: not an operator of the platform.
    """
    access.operator_of(request.auth)
    context = context_of(request)
    return context, access.actor_of(context, request.auth)


def done_once(key: str | None, route: str, asked: object, context: Context, act: Callable[[], object]) -> Response[Any]:
    """The answer to an operator's call that may bear an Idempotency-Key: with the same key the first one again."""
    body = msgspec.json.encode(act()) if key is None else claims.once(context, route, key, asked, act)
    return Response(body, media_type=JSON)


def tenant(request: ApiRequest) -> uuid.UUID:
    """The organisation that the token was given to: the only one whose things the caller sees.

    Raises:
        Forbidden: the token acts for no organisation.
    """
    return access.organisation_of(request.auth)


def reader(request: ApiRequest) -> Reader:
    """The recipient that the token was given to, and by which mandate they say to act, if by one.

    Raises:
        Forbidden: the token belongs to nobody's mailbox.
        NotFound: what is said to be a mandate can't be one.
    """
    who = access.reader_of(request.auth)
    said = request.headers.get(ACTING_FOR)
    return who if said is None else replace(who, acting_for=parse_id(MANDATE, said))


def attachment(number: int) -> int:
    """The position of attachment ``number``, which counts from 1; position 0 is the main document.

    Raises:
        NotFound: no attachment has such a number.
    """
    if number < 1:
        raise NotFound("There is no such attachment.")
    return number
