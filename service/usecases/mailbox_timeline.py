"""What happened to a message, as its recipient may know it."""

from typing import Final

from service.db import deliveries as rows
from service.domain.states import Event
from service.usecases.context import Context
from service.usecases.mailbox import Reader, entered, own
from service.usecases.views import EventView, event_view

TOLD: Final = frozenset(
    {
        Event.CONTENT_CONSIGNMENT,
        Event.CONSIGNMENT_NOTIFICATION,
        Event.CONSIGNMENT_NOTIFICATION_FAILURE,
        Event.NOTIFICATION_FOR_ACCEPTANCE,
        Event.PERIOD_EXTENSION,
        Event.CONSIGNMENT_ACCEPTANCE,
        Event.CONSIGNMENT_REJECTION,
        Event.ACCEPTANCE_REJECTION_EXPIRY,
        Event.CONTENT_ACCESS_TRACKING,
        Event.READ_BY_MANDATARY,
        Event.CONTENT_HANDOVER,
        Event.RELAY_TO_NON_ERDS,
        Event.POSTED,
        Event.DELIVERED,
        Event.RETURNED,
    }
)
"""What concerns the recipient; how the sender and the service went about it does not."""


def timeline(context: Context, reader: Reader, delivery_id: str) -> list[EventView]:
    """What happened to a message of the reader's mailbox, in order; it names neither sender nor content.

    Raises:
        NotFound: it is not in this mailbox.
    """
    with entered(context, reader) as (session, box):
        dossier, _, _ = own(session, context, box, delivery_id)
        return [event_view(row) for row in rows.timeline(session, dossier.id) if row.event in TOLD]
