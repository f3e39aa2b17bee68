"""For tests of registered mail: organisations that send under the register's examples, and people who agreed to it."""

import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

from service.db.ids import DELIVERY, parse_id
from service.domain import calendar
from service.usecases import periods, registered_consent
from service.usecases.mailbox import Reader
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import activate, at, deliver

TYPES = {
    "consent": {"registered": "example-consent"},
    "hidden": {"registered": "example-hidden-sender"},
    "third-day": {"registered": "example-third-working-day"},
}
"""Document types of the tests, by the entry they are sent under."""


def sender_under(pipeline: Pipeline, database: TestDatabase, organisation: Callable[..., uuid.UUID]) -> uuid.UUID:
    """An organisation whose document types name the examples."""
    sender = organisation()
    execute(
        database,
        f"UPDATE organisation SET document_types = '{json.dumps(TYPES)}'::jsonb WHERE id = '{sender}' RETURNING id",
    )
    pipeline.context.desk.__init__()  # type: ignore[misc]  what was seen a moment ago does not count
    return sender


def agreed(pipeline: Pipeline, key: str = "an", *, email: str = "an@voorbeeld.test") -> Reader:
    """Somebody whose mailbox takes registered mail."""
    who = activate(pipeline, key, email=email)
    registered_consent.agree(pipeline.context, who, consent_version=registered_consent.VERSION)
    return who


def offer(pipeline: Pipeline, sender: uuid.UUID, document_type: str = "consent", key: str = "an") -> str:
    """Registered mail that waits for an answer: the delivery's id."""
    return deliver(pipeline, sender, key, registered=True, document_type=document_type)


def clock(pipeline: Pipeline, moment: datetime) -> None:
    """Let the clock come by at a moment, and do the work that follows."""
    with at(pipeline, moment):
        periods.round_(pipeline.context)
        pipeline.work()


def days(pipeline: Pipeline, count: int) -> datetime:
    """Ten in the morning, so many days from today in Brussels."""
    return calendar.begins(calendar.local_date(pipeline.now) + timedelta(days=count)) + timedelta(hours=10)


def legs(database: TestDatabase, delivery: str) -> list[tuple[str, str, bool | None]]:
    """Kind, state and whether by registered letter, of each leg."""
    found = execute(
        database,
        f"SELECT kind, state, registered FROM leg WHERE delivery_id = '{parse_id(DELIVERY, delivery)}' ORDER BY number",
    )
    return [tuple(row) for row in found]


def terms_left(database: TestDatabase) -> int:
    """How many periods run."""
    return int(execute(database, "SELECT count(*) FROM term")[0][0])
