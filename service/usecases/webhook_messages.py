"""What webhooks tell of an event: written with it, and the same bytes at every attempt.

Ids, codes and times only: nothing of who sends or receives what, and not the sender's reference either, which is free
text. Whoever gets a message asks the API for the rest, with a token.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from service.db.ids import DELIVERY, SUBMISSION, public_id
from service.db.models import DeliveryRow, LegRow
from service.db.webhooks import WebhookMessage
from service.domain.states import LegKind
from service.domain.webhooks import type_of
from service.usecases.post_statements import name_of


def message_of(event: Mapping[str, Any], delivery: DeliveryRow, leg: LegRow | None = None) -> dict[str, Any]:
    """The message of a timeline's event, as ``webhooks.MESSAGES`` takes it; its id is the event's.

    Args:
        event: the row of the event.
        delivery: whose event it is.
        leg: which of its legs, if one: a letter is named as print houses and the API name it.
    """
    letter = None if leg is None or leg.kind != LegKind.PAPER.value else name_of(delivery.id, leg.number)
    told = ("event", "status", "channel", "actor", "reason")
    return {
        "id": event["id"],
        "organisation_id": event["organisation_id"],
        "delivery_id": delivery.id,
        "type": type_of(event["event"]),
        "at": event["at"],
        "data": {
            "delivery_id": public_id(DELIVERY, delivery.id),
            "submission_id": public_id(SUBMISSION, delivery.submission_id),
            **{name: event[name] for name in told},
            "leg": None if leg is None else leg.number,
            "letter": letter,
        },
    }


def body_of(row: WebhookMessage) -> bytes:
    """A message's body: the same bytes whenever it is made."""
    plain = {"type": row.type, "timestamp": row.at, "data": row.data}
    return msgspec.json.encode(plain, order="deterministic")
