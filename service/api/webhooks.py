"""``/v1/webhooks``: the sender's systems learn of what happens to its deliveries."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.datastructures import ResponseHeader
from litestar.params import FromPath, HeaderParameter, JSONBody, QueryParameter

from service.api.calls import ApiRequest, context_of, scoped, tenant
from service.domain.webhooks import DESCRIPTION_LENGTH, TYPES, MessageState
from service.identity.scopes import Scope
from service.usecases import access, webhook_log, webhooks
from service.usecases.webhook_log import WebhookMessagePage, WebhookMessageView
from service.usecases.webhooks import (
    Asked,
    Caller,
    WebhookSecretView,
    WebhookView,
)

_LOCATION = ResponseHeader(name="Location", description="Address of the webhook", documentation_only=True, value="")
EventType = Annotated[str, msgspec.Meta(max_length=100, extra_json_schema={"examples": list(TYPES)})]


class WebhookRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A subscription to be made.

    ``url`` begins with `https://` and leads to a host on the public internet. ``types`` are those of
    docs/webhooks.md, such as `delivery.returned`; without them all are sent, also those to come.
    """

    url: Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
    types: Annotated[list[EventType], msgspec.Meta(min_length=1, max_length=200)] | None = None
    description: Annotated[str, msgspec.Meta(max_length=DESCRIPTION_LENGTH)] = ""


class WebhookReplay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From when on what was given up is sent again."""

    since: datetime


class WebhookReplayed(msgspec.Struct, frozen=True):
    """How many messages are sent again; at 10000 there may be more: ask again once they are sent."""

    messages: int


class WebhookList(msgspec.Struct, frozen=True):
    """Webhooks, oldest first."""

    items: list[WebhookView]
    next_cursor: str | None = None


def _caller(request: ApiRequest) -> Caller:
    return Caller(tenant(request), access.actor_of(context_of(request), request.auth))


class Webhooks(Controller):
    """The webhooks of the organisation that the token was given to; another's do not exist."""

    path = "/v1/webhooks"
    tags = ("Webhooks",)

    @post(
        status_code=201,
        summary="Subscribe to events",
        operation_id="makeWebhook",
        response_headers=[_LOCATION],
        response_description="Subscribed. The secret is shown this once.",
        sync_to_thread=True,
        **scoped(Scope.WEBHOOKS_WRITE, 404, 409, 413, 422),
    )
    def make(
        self,
        request: ApiRequest,
        data: JSONBody[WebhookRequest],
        key: Annotated[
            str | None,
            HeaderParameter(
                name="Idempotency-Key",
                required=False,
                description="Required, 1–255 printable ASCII characters. The same request with the same key makes no"
                " second webhook; within a day it is answered with the same secret, later with none, and with 409"
                " (`webhook_removed`) once that webhook was removed.",
            ),
        ] = None,
    ) -> Response[WebhookSecretView]:
        """Have a message sent for each event of each delivery of the organisation, from now on.

        Messages are signed as Standard Webhooks 1.0 says, and come at least once: look at `webhook-id` and take none
        twice. An answer of 2xx within five seconds says that a message was taken.
        """
        asked = Asked(data.url, data.types, data.description)
        made = webhooks.subscribe(context_of(request), _caller(request), asked, key=key)
        return Response(made.view, status_code=201, headers={"Location": f"/v1/webhooks/{made.webhook_id}"})

    @get(summary="List webhooks", operation_id="listWebhooks", sync_to_thread=True, **scoped(Scope.WEBHOOKS_WRITE))
    def page(self, request: ApiRequest) -> WebhookList:
        """Show all of them: an organisation has ten at most."""
        return WebhookList(webhooks.listed(context_of(request), tenant(request)))

    @get(
        "/{webhook_id:str}",
        summary="Read a webhook",
        operation_id="readWebhook",
        sync_to_thread=True,
        **scoped(Scope.WEBHOOKS_WRITE, 404),
    )
    def read(self, request: ApiRequest, webhook_id: FromPath[str]) -> WebhookView:
        """Show one webhook and how its receiver does; never its secret."""
        return webhooks.get(context_of(request), tenant(request), webhook_id)

    @delete(
        "/{webhook_id:str}",
        status_code=204,
        summary="Remove a webhook",
        operation_id="removeWebhook",
        response_description="Removed: what waited is not sent any more.",
        sync_to_thread=True,
        **scoped(Scope.WEBHOOKS_WRITE, 404),
    )
    def remove(self, request: ApiRequest, webhook_id: FromPath[str]) -> None:
        """End a subscription at once, with its secret and its log."""
        webhooks.remove(context_of(request), _caller(request), webhook_id)

    @post(
        "/{webhook_id:str}/disable",
        status_code=200,
        summary="Send nothing for now",
        operation_id="disableWebhook",
        response_description="Disabled: messages wait, as long as the log is kept.",
        sync_to_thread=True,
        **scoped(Scope.WEBHOOKS_WRITE, 404),
    )
    def disable(self, request: ApiRequest, webhook_id: FromPath[str]) -> WebhookView:
        """Let messages wait; safe to repeat."""
        return webhooks.disable(context_of(request), _caller(request), webhook_id)

    @post(
        "/{webhook_id:str}/enable",
        status_code=200,
        summary="Send again",
        operation_id="enableWebhook",
        response_description="Active: what waits is sent.",
        sync_to_thread=True,
        **scoped(Scope.WEBHOOKS_WRITE, 404),
    )
    def enable(self, request: ApiRequest, webhook_id: FromPath[str]) -> WebhookView:
        """Send again, whoever disabled it; messages that wait for a later try go at once. Safe to repeat."""
        context = context_of(request)
        view = webhooks.enable(context, _caller(request), webhook_id)
        webhooks.wake(context)
        return view

    @post(
        "/{webhook_id:str}/rotate-secret",
        status_code=200,
        summary="Give a webhook a new secret",
        operation_id="rotateWebhookSecret",
        response_description="The new secret, shown this once.",
        sync_to_thread=True,
        **scoped(Scope.WEBHOOKS_WRITE, 404, 409),
    )
    def rotate(self, request: ApiRequest, webhook_id: FromPath[str]) -> WebhookSecretView:
        """Sign with a new secret; for 24 hours with the ones before as well, so that no message is refused.

        Takes no Idempotency-Key: whoever loses the answer rotates again. At most five secrets stand at a time; a sixth
        is refused (`webhook_secrets_too_many`).
        """
        return webhooks.rotate(context_of(request), _caller(request), webhook_id)

    @post(
        "/{webhook_id:str}/test",
        status_code=202,
        summary="Send a test message",
        operation_id="testWebhook",
        response_description="It is sent within seconds; the log says how that went.",
        sync_to_thread=True,
        **scoped(Scope.WEBHOOKS_WRITE, 404, 409),
    )
    def test(self, request: ApiRequest, webhook_id: FromPath[str]) -> WebhookMessageView:
        """Send a message of type `webhook.test`, whatever types the webhook is for.

        A receiver that was left alone after failures is called now; what has waited longest goes first.
        """
        context = context_of(request)
        view = webhook_log.send_test(context, _caller(request), webhook_id)
        webhooks.wake(context)
        return view

    @get(
        "/{webhook_id:str}/messages",
        summary="List a webhook's messages, newest first",
        operation_id="listWebhookMessages",
        sync_to_thread=True,
        **scoped(Scope.WEBHOOKS_WRITE, 404, 422),
    )
    def messages(
        self,
        request: ApiRequest,
        webhook_id: FromPath[str],
        *,
        wanted: Annotated[
            MessageState | None, QueryParameter(name="state", description="Only those in this state.")
        ] = None,
        cursor: Annotated[
            str | None, QueryParameter(description="`next_cursor` of the page before.", max_length=64)
        ] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=webhook_log.MOST, description="Items on a page.")] = 50,
    ) -> WebhookMessagePage:
        """Show one page of the log: each message with its attempts, and when the next one comes."""
        return webhook_log.messages(
            context_of(request), tenant(request), webhook_id, state=wanted, cursor=cursor, limit=limit
        )

    @post(
        "/{webhook_id:str}/messages/{message_id:str}/replay",
        status_code=202,
        summary="Send a message again",
        operation_id="replayWebhookMessage",
        response_description="It is sent within seconds, with the same id.",
        sync_to_thread=True,
        **scoped(Scope.WEBHOOKS_WRITE, 404, 409),
    )
    def replay(self, request: ApiRequest, webhook_id: FromPath[str], message_id: FromPath[str]) -> WebhookMessageView:
        """Send a message once more, also one that was taken: receivers that remember its id do nothing.

        A receiver that was left alone after failures is called now; what has waited longest goes first.
        """
        context = context_of(request)
        view = webhook_log.replay(context, _caller(request), webhook_id, message_id)
        webhooks.wake(context)
        return view

    @post(
        "/{webhook_id:str}/replay",
        status_code=202,
        summary="Send all failed messages again",
        operation_id="replayWebhook",
        response_description="They are sent, the oldest first.",
        sync_to_thread=True,
        **scoped(Scope.WEBHOOKS_WRITE, 404, 409, 413, 422),
    )
    def replay_since(
        self, request: ApiRequest, webhook_id: FromPath[str], data: JSONBody[WebhookReplay]
    ) -> WebhookReplayed:
        """Send again what was given up since a moment."""
        context = context_of(request)
        done = webhook_log.replay_since(context, _caller(request), webhook_id, data.since)
        webhooks.wake(context)
        return WebhookReplayed(done)
