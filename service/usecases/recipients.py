"""Look-ups: whether recipients can be reached digitally, for senders about to send."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from service.channels.base import Consent
from service.db import mailboxes
from service.db.ids import new_id
from service.db.mailbox_models import Lookup
from service.domain.errors import FieldError, Invalid, QuotaExceeded
from service.domain.identifiers import NumberInvalid, RecipientId, RecipientKind
from service.usecases.context import Context
from service.usecases.personal import find_hash

PURPOSE_LENGTH = 200
_HOUR = 3600
_DAY = 24 * _HOUR


def look_up(
    context: Context, organisation_id: uuid.UUID, client_id: str, recipients: Sequence[tuple[str, str]], purpose: str
) -> list[dict[str, Any]]:
    """Tell for each ``(type, id)`` whether it is reached digitally or on paper; logged, counted, visible to them.

    The answer has the same shape, and takes the same work, for people who are known and who are not.

    Raises:
        Invalid: no purpose, too many, or numbers that can't be; with a pointer for each.
        QuotaExceeded: the organisation asked about too many in a day; ``retry_after`` says when an hour's are over.
    """
    asked = _read(context, recipients, purpose)
    now = context.clock()
    lookup = Lookup(
        id=new_id(),
        organisation_id=organisation_id,
        client_id=client_id,
        purpose=purpose.strip(),
        recipients=len(asked),
        at=now,
    )
    hashes = {find_hash(context, each) for each in asked}
    with context.database.transaction(organisations=[organisation_id]) as session:
        if not mailboxes.note_lookup(session, lookup, hashes, since=now - timedelta(seconds=_DAY)):
            raise QuotaExceeded(
                "Your organisation has asked about more recipients than its daily quota allows.",
                retry_after=_HOUR - int(now.timestamp()) % _HOUR,
                code="lookup_quota",
            )
    digital = context.channel.activated(set(asked), Consent(str(organisation_id), registered=False))
    return [
        {"type": each.kind.value, "id": number, "channel": "digital" if each in digital else "paper"}
        for each, (_, number) in zip(asked, recipients, strict=True)
    ]


def _read(context: Context, recipients: Sequence[tuple[str, str]], purpose: str) -> list[RecipientId]:
    found: list[FieldError] = []
    if not purpose.strip() or len(purpose) > PURPOSE_LENGTH:
        detail = f"Say what the look-up is for, in at most {PURPOSE_LENGTH} characters."
        found.append(FieldError("/purpose", "purpose_missing", detail))
    if not 1 <= len(recipients) <= context.limits.lookup:
        detail = f"A look-up is about 1 to {context.limits.lookup} recipients."
        raise Invalid(detail, code="lookup_size", errors=[FieldError("/recipients", "lookup_size", detail)])
    asked = []
    for number, (kind, given) in enumerate(recipients):
        try:
            asked.append(RecipientId.parse(RecipientKind(kind), given))
        except NumberInvalid as error:
            found.append(FieldError(f"/recipients/{number}/id", error.code, error.detail))
        except ValueError:
            detail = "The type is citizen, enterprise or administration."
            found.append(FieldError(f"/recipients/{number}/type", "type_unknown", detail))
    if found:
        raise Invalid(code="lookup_invalid", errors=found)
    return asked
