"""Submissions for tests: ZIPs with lists, good and hostile, and their way through the service."""

import csv
import io
import json
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from service.db.ids import public_id
from service.usecases import submission_uploads, submissions
from service.usecases.submission_files import PART_BYTES
from service.usecases.submission_uploads import SubmissionOptions
from service.usecases.submission_views import SubmissionRowView, SubmissionView
from tests.pipeline_support import Pipeline
from tests.service_support import DOCUMENTS, delivery_for

PDF = (DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes()
COLUMNS = (
    "reference", "recipient.type", "recipient.id", "recipient.name", "postal_address.name", "postal_address.street",
    "postal_address.number", "postal_address.postcode", "postal_address.municipality", "postal_address.country",
    "subject", "language", "document_type", "registered", "document", "attachments",
)  # fmt: skip


def line(recipient: str = "jan", document: str = "brief.pdf", **fields: Any) -> dict[str, Any]:
    """A line of ``deliveries.jsonl``."""
    return delivery_for(recipient, **fields) | {"document": document}


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A line as cells of a CSV."""
    cells: dict[str, str] = {}
    for name, each in value.items():
        if isinstance(each, Mapping):
            cells |= flat(each, f"{prefix}{name}.")
        elif isinstance(each, list):
            cells[prefix + name] = "|".join(each)
        elif each is not None:
            cells[prefix + name] = str(each).lower() if isinstance(each, bool) else str(each)
    return cells


def as_jsonl(lines: Sequence[Mapping[str, Any]]) -> bytes:
    """A list in JSON lines."""
    return b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in lines)


def as_csv(lines: Sequence[Mapping[str, Any]], *, separator: str = ",", columns: Sequence[str] = COLUMNS) -> bytes:
    """A list as CSV."""
    written = io.StringIO()
    writer = csv.DictWriter(written, columns, delimiter=separator, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(flat(each) for each in lines)
    return written.getvalue().encode()


def packed(
    lines: Sequence[Mapping[str, Any]] | bytes,
    files: Mapping[str, bytes] | None = None,
    *,
    name: str = "deliveries.jsonl",
    method: int = zipfile.ZIP_DEFLATED,
) -> bytes:
    """A ZIP with a list and files; ``brief.pdf`` if none are given."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as archive:
        made = as_csv if name.endswith(".csv") else as_jsonl
        archive.writestr(name, lines if isinstance(lines, bytes) else made(lines))
        for each, pdf in (files if files is not None else {"brief.pdf": PDF}).items():
            archive.writestr(each, pdf)
    return written.getvalue()


def upload(
    pipeline: Pipeline, organisation: uuid.UUID, content: bytes, *, piece: int = PART_BYTES, **options: Any
) -> str:
    """Upload a file in pieces and complete it; returns the submission's id."""
    begun = submission_uploads.begin(
        pipeline.context, organisation, SubmissionOptions(**options), key=uuid.uuid4().hex, kind="empty"
    )
    public = public_id("sub", begun.id)
    at = 0
    while at < len(content):
        found = submission_uploads.find(pipeline.context, organisation, public)
        submission_uploads.check_offset(found, at)
        at = submission_uploads.append(pipeline.context, found, at, content[at : at + piece])
    submission_uploads.complete(pipeline.context, organisation, public)
    return public


def seen(pipeline: Pipeline, organisation: uuid.UUID, public: str) -> SubmissionView:
    """The submission as its sender sees it."""
    return submissions.get(pipeline.context, organisation, public)


def all_rows(
    pipeline: Pipeline, organisation: uuid.UUID, public: str, state: str | None = None
) -> list[SubmissionRowView]:
    """Every row, page by page."""
    found: list[SubmissionRowView] = []
    cursor = None
    while True:
        page = submissions.row_page(pipeline.context, organisation, public, state=state, cursor=cursor, limit=200)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found
