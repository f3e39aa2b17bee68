"""``/oauth/token`` and the keys that our access tokens are signed with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

import structlog
from litestar import Controller, Request, Response, get, post
from litestar.concurrency import sync_to_thread
from litestar.openapi.datastructures import ResponseSpec

from service.api.calls import CLIENT_SECURITY, application_of, public
from service.api.calls import problems as problem_answers
from service.api.shapes import TokenAnswer, TokenProblem
from service.bootstrap import Application
from service.domain.errors import Forbidden, Invalid, Unauthenticated, ZendingError
from service.identity.clients import client_credentials
from service.identity.errors import TokenRequestInvalid, oauth_error
from service.identity.grants import ACCESS_TOKEN, ExchangeRequest, form_fields, token_request
from service.identity.scopes import scope_text
from service.identity.tokens import jwks
from service.usecases import access
from service.web import limits, problems
from service.web.guards import PUBLIC
from service.web.requests import request_id

log = structlog.get_logger()

_FORM: Final = "application/x-www-form-urlencoded"
_BODY_BYTES: Final = 32 * 1024
_FIELDS: Final = 20
_NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
BAD_REQUEST, UNAUTHORIZED = 400, 401
_STATUS: Final = {"invalid_client": UNAUTHORIZED, "temporarily_unavailable": 503}
"""Statuses of RFC 6749's words; all others are 400 (section 5.2)."""


def _refused(description: str) -> ResponseSpec:
    return ResponseSpec(TokenProblem, description=description, generate_examples=False)


def oauth_problem(request: Request[Any, Any, Any], error: ZendingError) -> Response[Any]:
    """A refusal in the shape of RFC 6749, section 5.2, instead of a problem document."""
    status = _STATUS.get(oauth_error(error), BAD_REQUEST)
    if status == BAD_REQUEST and not isinstance(error, Invalid | Unauthenticated | Forbidden):
        return problems.answer(request, error)
    log.info("token_refused", code=error.code, status=status, request_id=request_id(), **error.context)
    headers = {**problems.headers_of(error), **_NO_STORE}
    if isinstance(error, Unauthenticated):
        headers.pop("WWW-Authenticate")
    if status == UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Basic realm="zending", charset="UTF-8"'
    return Response(TokenProblem(oauth_error(error), error.detail), status_code=status, headers=headers)


class Tokens(Controller):
    """Access tokens for programs of agencies and for people."""

    tags = ("Access",)

    @post(
        "/oauth/token",
        status_code=200,
        summary="Get an access token",
        operation_id="getToken",
        response_description="The token, good for some minutes.",
        request_max_body_size=_BODY_BYTES,
        exception_handlers={ZendingError: oauth_problem},
        guards=[PUBLIC],
        security=[{CLIENT_SECURITY: []}, {}],
        responses={
            400: _refused("The request, grant or scope is not right."),
            401: _refused("The client is not known by these credentials."),
            503: _refused("The identity provider can't be asked at the moment."),
            **problem_answers(413, 429),
        },
    )
    async def token(self, request: Request[Any, Any, Any]) -> Response[TokenAnswer]:
        """Give a token to a program for its credentials, or to a person for an ID token of theirs."""
        form = form_fields(_pairs(request.content_type[0], await request.body()))
        network = limits.address(request)
        await limits.require(request, limits.TOKEN_FAILURE, network, look=True)
        try:
            granted = await sync_to_thread(_grant, application_of(request), request.headers.get("authorization"), form)
        except Unauthenticated:
            await limits.require(request, limits.TOKEN_FAILURE, network)
            raise
        await limits.require(request, limits.TOKEN, granted.client or network)
        return Response(granted.answer, headers=_NO_STORE)

    @get(
        "/.well-known/jwks.json",
        summary="Read the public keys of access tokens",
        operation_id="readKeys",
        sync_to_thread=False,
        **public(),
    )
    def keys(self, request: Request[Any, Any, Any]) -> Response[dict[str, object]]:
        """Show the keys, for whoever verifies our tokens."""
        return Response(jwks(application_of(request).token_keys), headers={"Cache-Control": "public, max-age=300"})


@dataclass(frozen=True, slots=True)
class _Given:
    """A token's answer, and the client that it was given to; None for a person."""

    answer: TokenAnswer = field(repr=False)
    client: str | None


def _pairs(content_type: str, body: bytes) -> list[tuple[str, str]]:
    if content_type != _FORM:
        raise TokenRequestInvalid("A token request is application/x-www-form-urlencoded.")
    try:
        return parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_FIELDS
        )
    except ValueError:
        # The cause is left out: its text may quote what was sent.
        raise TokenRequestInvalid("The token request can't be read.") from None


def _grant(application: Application, authorization: str | None, form: Mapping[str, str]) -> _Given:
    wanted = token_request(form)
    if isinstance(wanted, ExchangeRequest):
        person = application.identity.validate_id_token(wanted.subject_token, now=application.context.clock())
        granted = access.exchange(application.context, application.tokens, person, wanted)
        kind, client = ACCESS_TOKEN, None
    else:
        credentials = client_credentials(authorization, form)
        granted = access.client_token(application.context, application.tokens, credentials, wanted)
        kind, client = None, credentials.client_id
    log.info("token_issued", token=granted.token.id, exchange=kind is not None, request_id=request_id())
    answer = TokenAnswer(
        access_token=granted.token.token,
        token_type="Bearer",  # noqa: S106  the kind of token
        expires_in=granted.token.expires_in,
        scope=scope_text(granted.scopes),
        issued_token_type=kind,
    )
    return _Given(answer, client)
