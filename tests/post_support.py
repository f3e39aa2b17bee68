"""For tests of what comes back from a print house: letters that it has, and the files that it writes."""

import io
import json
import uuid
import zipfile
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from printing.exchange import OUTCOMES, Events, LetterEvent, PostalEvent, encode
from service.usecases import post_reports
from service.usecases.post_reports import Taken
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase


def handed_over(pipeline: Pipeline, sender: uuid.UUID, count: int = 1) -> list[str]:
    """Letters that the print house has: the deliveries' ids."""
    ids = [pipeline.hand_in(sender, "jan").delivery_id for _ in range(count)]
    pipeline.work()
    pipeline.close_batches()
    pipeline.work()
    return ids


def printer(pipeline: Pipeline) -> str:
    return pipeline.context.printers.first.name


def said(
    delivery: str,
    event: PostalEvent,
    at: datetime,
    *,
    leg: int = 1,
    event_id: str | None = None,
    **fields: Any,
) -> LetterEvent:
    """An event of a print house."""
    return LetterEvent(
        id=f"{delivery}-{leg}",
        event_id=event_id or uuid.uuid4().hex,
        event=event,
        outcome=fields.pop("outcome", OUTCOMES[event]),
        at=at,
        **fields,
    )


def events_file(events: Iterable[LetterEvent], at: datetime) -> bytes:
    return encode(Events(at=at, events=tuple(events)))


def take(pipeline: Pipeline, data: bytes, *, name: str = "events.json", house: str | None = None) -> Taken:
    """Take a file in, as if it came now."""
    return post_reports.take(pipeline.context, house or printer(pipeline), name, data, pipeline.now)


def report(pipeline: Pipeline, *events: LetterEvent) -> Taken:
    """Take a file with these events in."""
    return take(pipeline, events_file(events, pipeline.now))


def scans_file(index: dict[str, Any], files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as package:
        package.writestr("index.json", json.dumps(index))
        for name, content in files.items():
            package.writestr(name, content)
    return made.getvalue()


def exceptions(database: TestDatabase) -> list[str]:
    """The codes of what does not fit, oldest first."""
    return [code for (code,) in execute(database, "SELECT code FROM print_exception ORDER BY at, id")]
