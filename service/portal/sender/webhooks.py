"""The clerk's page of webhooks: how the organisation's own systems take what they are sent. It changes nothing."""

from typing import Any, Final
from urllib.parse import urlsplit

from litestar import Response, get
from litestar.di import NamedDependency

from service.portal.guards import CLERK
from service.portal.rendering import Portal
from service.portal.sender.sending import AnyRequest, said, seat_of
from service.usecases import webhook_log

NEWEST: Final = 10


@get("/webhooks", guards=[CLERK], sync_to_thread=True)
def overview(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """The webhooks, each with its newest messages; of addresses only the host, for paths can be secret."""
    found = webhook_log.newest(portal.context, seat_of(request).organisation_id, limit=NEWEST)
    words = said(request, portal)
    shown = [
        {
            "hook": hook,
            "host": urlsplit(hook.url).netloc,
            "status": words.webhook(hook),
            "messages": [(each, words.told(each.type), words.message(each.state)) for each in messages],
        }
        for hook, messages in found
    ]
    return portal.page(request, "sender/webhooks.html", webhooks=shown)


HANDLERS: Final[list[Any]] = [overview]
