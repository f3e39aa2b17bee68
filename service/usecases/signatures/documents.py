"""The documents of a signature request: read as they are now, and stored anew, all together, with each act."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from service.db import deliveries
from service.db import retention as due
from service.db.retention import Removal
from service.db.signatures import SignatureDocument
from service.domain.errors import Erased, NotFound
from service.usecases.admission import intents
from service.usecases.context import Context
from service.usecases.signatures.folders import Document, Signing
from service.usecases.views import File
from service.vault.vault import Prepared

ORIGINAL: Final = "request-original"
REPORT: Final = "request-report"
"""What the vault knows the first documents, and a request's report, as."""


@dataclass(frozen=True)
class Stored:
    """A document as it counts from now on, encrypted and in the store."""

    prepared: Prepared
    sha256: bytes
    size: int


def read(context: Context, signing: Signing, number: int = 1) -> File:
    """One document of a request as it is now, counted from 1.

    Raises:
        NotFound: the request has no such document.
        Erased: its period is over.
    """
    if not 1 <= number <= len(signing.documents):
        raise NotFound
    return _read(context, signing, signing.documents[number - 1])


def read_all(context: Context, signing: Signing) -> list[File]:
    """All documents of a request as they are now.

    Raises:
        Erased: their period is over.
    """
    return [_read(context, signing, each) for each in signing.documents]


def _read(context: Context, signing: Signing, document: Document) -> File:
    row = signing.row
    if row.content_erased_at is not None:
        raise Erased
    kept = document.row
    return File(document.filename, context.vault.read(kept.path, row.organisation_id, row.id, kept.role))


def role_of(act: str, number: int) -> str:
    """What the vault knows a document as, after an act; of the first one only the act is told."""
    return act if number == 1 else f"{act}-d{number}"


def state(signing: Signing) -> list[bytes]:
    """The digests of all documents as they are now: two readings are equal where nobody acted in between."""
    return [each.row.sha256 for each in signing.documents]


def store(
    context: Context, signing: Signing, act: str, contents: Sequence[bytes], *, also: bytes = b""
) -> list[Stored]:
    """Store all documents as they are after an act; nothing names them yet, and repeating it does no harm.

    Args:
        context: the wired parts.
        signing: whose documents they are.
        act: the role.
        contents: of all its documents, in their order.
        also: a report that is stored with them, and comes last.
    """
    row = signing.row
    roles = [(role_of(act, each.number), content) for each, content in zip(signing.documents, contents, strict=True)]
    if also:
        roles.append((REPORT, also))
    made = [
        Stored(
            context.vault.prepare(row.organisation_id, row.retention_year, row.id, role, content),
            hashlib.sha256(content).digest(),
            len(content),
        )
        for role, content in roles
    ]
    prepared = [each.prepared for each in made]
    with context.database.transaction(organisations=[row.organisation_id]) as session:
        deliveries.intend(session, intents(row.organisation_id, row.id, prepared))
    context.vault.write_many(prepared)
    return made


def name(session: Session, signing: Signing, made: Sequence[Stored], *, now: datetime) -> None:
    """Let what was stored be the documents; what they were before is removed later: they begin with it, byte for byte.

    Args:
        session: a transaction that has locked the request.
        signing: the request; its rows are changed.
        made: its documents, all of them and in their order.
        now: this moment.
    """
    before = [Removal(each.row.path, signing.id, signing.row.organisation_id) for each in signing.documents]
    for document, stored in zip(signing.documents, made, strict=True):
        row = document.row
        row.path, row.role = stored.prepared.path, stored.prepared.path.split("/")[1]
        row.sha256, row.size = stored.sha256, stored.size
        if isinstance(row, SignatureDocument):
            row.beside = made[0].prepared.path
    session.flush()
    deliveries.keep(session, [signing.id], [each.prepared.path for each in made])
    due.remove_later(session, before, now=now)
