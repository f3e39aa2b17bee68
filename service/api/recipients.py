"""``/v1/recipients``: who can be reached digitally."""

from typing import Final

from litestar import Controller, post
from litestar.params import JSONBody

from service.api.calls import ApiRequest, context_of, scoped, tenant
from service.api.shapes import LookupAnswer, LookupRequest, LookupResult
from service.identity.scopes import Scope
from service.usecases import recipients

_BODY_BYTES: Final = 256 * 1024
"""A thousand numbers with room to spare."""


class Recipients(Controller):
    """Recipients as senders may ask about them."""

    path = "/v1/recipients"
    tags = ("Recipients",)

    @post(
        "/lookup",
        status_code=200,
        summary="Look up how recipients would be reached",
        operation_id="lookUpRecipients",
        response_description="One channel per recipient, in the order asked.",
        request_max_body_size=_BODY_BYTES,
        sync_to_thread=True,
        **scoped(Scope.RECIPIENTS_LOOKUP, 413, 422, 429),
    )
    def look_up(self, request: ApiRequest, data: JSONBody[LookupRequest]) -> LookupAnswer:
        """Answer ``digital`` or ``paper`` for each; known and unknown recipients look alike. Every look-up is kept."""
        found = recipients.look_up(
            context_of(request),
            tenant(request),
            request.auth.client_id,
            [(each.type, each.id) for each in data.recipients],
            data.purpose,
        )
        return LookupAnswer([LookupResult(**each) for each in found])
