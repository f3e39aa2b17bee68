"""Everything that the service holds, read with every key it still has: for tests of what must not be there any more."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
import redis
from psycopg import sql

from service.db.printing import every_organisation
from service.usecases.housekeeping import subject_of
from service.usecases.personal import PLATFORM
from service.vault import crypto
from service.vault.errors import KeyDestroyed, VaultIntegrityError
from tests.pipeline_support import Pipeline, TestDatabase

Place = Callable[[Mapping[str, Any]], bytes]


def _of(organisation: str | None, place: str) -> Place:
    def made(row: Mapping[str, Any]) -> bytes:
        owner = PLATFORM if organisation is None else row[organisation]
        shown = {name: bytes(value).hex() if isinstance(value, bytes) else value for name, value in row.items()}
        return f"{owner}|{place.format(**shown)}".encode()

    return made


ENCRYPTED: Final[Mapping[tuple[str, str], Place]] = {
    ("delivery", "personal"): _of("organisation_id", "delivery.personal:{id}"),
    ("document", "filename"): _of("organisation_id", "document.filename:{delivery_id}/{position}"),
    ("evidence", "record"): _of("organisation_id", "evidence.record:{id}"),
    ("evidence", "salt"): _of("organisation_id", "evidence.salt:{id}"),
    ("idempotency_key", "answer"): _of("organisation_id", "idempotency.answer:{subject_id}"),
    ("mailbox", "personal"): _of(None, "mailbox.personal:{recipient_hash}"),
    ("activation", "proof"): _of(None, "activation.proof:{id}"),
    ("activation_code", "personal"): _of(None, "activation_code.personal:{recipient_hash}"),
    ("mandate", "personal"): _of(None, "mandate.personal:{id}"),
    ("mandate_act", "personal"): _of(None, "mandate_act.personal:{id}"),
    ("webhook", "secrets"): _of(None, "webhook.secrets:{id}"),
    ("web_session", "data"): _of(None, "web_session.data:{id_hash}"),
    ("signature_request", "personal"): _of("organisation_id", "signature_request.personal:{id}"),
    ("signature_document", "filename"): _of("organisation_id", "signature_document.filename:{request_id}/{position}"),
    ("signature_signer", "personal"): _of("organisation_id", "signature_signer.personal:{request_id}/{position}"),
    ("signature_signer", "prepared"): _of("organisation_id", "signature_signer.prepared:{request_id}/{position}"),
    ("signature_signer", "outcome"): _of("organisation_id", "signature_signer.outcome:{request_id}/{position}"),
    ("signature_evidence", "record"): _of("organisation_id", "signature_evidence.record:{id}"),
    ("signature_evidence", "salt"): _of("organisation_id", "signature_evidence.salt:{id}"),
    ("submission_row", "content"): _of("organisation_id", "submission_row.content:{submission_id}/{number}"),
}
"""Every encrypted column, and where its values say they belong."""
PLAIN: Final = {"sha256", "submitted_sha256", "leaf_hash", "recipient_hash", "mandator_hash", "mandatary_hash",
                "id_hash", "code_hash", "fingerprint", "root", "hashes", "timestamp_token",
                "announced_sha256", "code_sha256"}  # fmt: skip
"""Columns of bytes that are hashes, or public."""


def everything(pipeline: Pipeline, database: TestDatabase) -> Iterator[tuple[str, bytes]]:
    """Where something stands, and what stands there: as it is, and decrypted where a key of the ring opens it."""
    yield from _rows(pipeline, database)
    yield from _objects(pipeline)
    yield from _broker(pipeline)
    settings = pipeline.application.settings
    left_out = {Path(settings.print_folder), Path(urlsplit(settings.storage_url.get_secret_value()).path)}
    yield from files(Path(settings.home), left_out)


def files(folder: Path, left_out: set[Path]) -> Iterator[tuple[str, bytes]]:
    """Every file's name and content below a folder; the print house's folder is not ours, the store is read apart."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not left_out & {path, *path.parents}:
            yield str(path), path.name.encode() + b"\n" + path.read_bytes()


def _rows(pipeline: Pipeline, database: TestDatabase) -> Iterator[tuple[str, bytes]]:
    with psycopg.connect(database.owner_url.replace("+psycopg", "", 1)) as connection:
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
            " AND NOT relispartition ORDER BY relname"
        ).fetchall()
        for (table,) in names:
            cursor = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))
            columns = [each.name for each in cursor.description or ()]
            for values in cursor:
                row = dict(zip(columns, values, strict=True))
                yield from _row(pipeline, table, row)


def _row(pipeline: Pipeline, table: str, row: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    for column, value in row.items():
        if not isinstance(value, bytes):
            yield f"{table}.{column}", str(value).encode()
            continue
        yield f"{table}.{column}", value
        place = ENCRYPTED.get((table, column))
        if place is None:
            assert column in PLAIN, f"{table}.{column}: is it encrypted, and for which place?"
            continue
        if not value:
            continue  # the answer to an upload, which is made anew each time
        try:
            yield f"{table}.{column}, opened", crypto.decrypt(pipeline.context.keyring, value, place(row))
        except KeyDestroyed:
            continue


def _objects(pipeline: Pipeline) -> Iterator[tuple[str, bytes]]:
    store, vault = pipeline.application.store, pipeline.context.vault
    with pipeline.context.database.transaction() as session:
        owners = every_organisation(session)
    for found in list(store.listing()):
        yield f"object {found.path}", store.get(found.path, limit=2**28)
        subject = subject_of(found.path)
        if subject is None:
            continue  # the ledger's
        for owner in owners:
            try:
                opened = vault.read(found.path, owner, subject, found.path.split("/")[1])
            except (VaultIntegrityError, KeyDestroyed):
                continue  # another organisation's, or shredded
            yield f"object {found.path}, opened", opened


def _broker(pipeline: Pipeline) -> Iterator[tuple[str, bytes]]:
    broker = redis.Redis.from_url(pipeline.application.settings.broker_url.get_secret_value())
    with broker:
        for key in broker.scan_iter("*"):
            yield f"broker {key!r}", key + b"\n" + (broker.dump(key) or b"")
