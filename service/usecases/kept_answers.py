"""Answers to hand-ins that were kept for who asks the same again: without the names of files once those are erased."""

import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy.orm import Session

from service.db import idempotency
from service.usecases.context import Context
from service.usecases.personal import open_value, seal_value


def forget_file_names(session: Session, context: Context, years: Mapping[uuid.UUID, int]) -> None:
    """Take the names of files out of the answers to these deliveries' hand-ins, given with their retention years.

    The answer to a hand-in for many belongs to the first of them; all have the same documents.
    """
    for kept in idempotency.answers_of(session, years.keys()):
        place = f"idempotency.answer:{kept.subject_id}"
        opened = open_value(context, kept.answer, organisation=kept.organisation_id, place=place)
        answer = msgspec.json.decode(opened)
        for delivery in (answer, *answer.get("deliveries", ())):
            _rename(delivery)
        year = years[kept.subject_id]
        sealed = seal_value(context, answer, organisation=kept.organisation_id, year=year, place=place)
        idempotency.replace_answer(session, kept, sealed)


def erased_name(position: int) -> str:
    """What a document is called once its own name is gone."""
    return f"document-{position}.pdf"


def _rename(delivery: dict[str, Any]) -> None:
    for position, document in enumerate(delivery.get("documents", ())):
        document["filename"] = erased_name(position)
