"""What evidence of every kind has in common: record and salt under the year's key, a leaf in the ledger, a proof."""

import uuid
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from sqlalchemy.orm import Session

from service.db.ids import EVIDENCE, public_id
from service.ledger import entry, evidence_proof
from service.usecases.context import Context
from service.vault import crypto


class Row(Protocol):
    """A row of evidence, whatever it is about."""

    __tablename__: str
    id: Any
    organisation_id: Any
    event: Any
    at: Any
    record: Any
    salt: Any
    leaf_hash: Any


class Owner(Protocol):
    """The row of what evidence is about."""

    organisation_id: Any
    retention_year: Any


def columns(
    context: Context, table: str, statement: dict[str, object], owner: Owner, evidence: uuid.UUID
) -> dict[str, Any]:
    """The columns that hold a statement: encrypted, each for its place, and the hash that the ledger gets.

    Args:
        context: the key ring is taken from it.
        table: where the row stands.
        statement: the record; its event key is hashed with it.
        owner: whose key is used, until when.
        evidence: the row's id.
    """
    salt, organisation = entry.new_salt(), owner.organisation_id
    kek = context.keyring.wrap_key(organisation, owner.retention_year)
    return {
        "record": crypto.encrypt(kek, msgspec.json.encode(statement), place(table, organisation, "record", evidence)),
        "salt": crypto.encrypt(kek, salt, place(table, organisation, "salt", evidence)),
        "leaf_hash": entry.leaf_hash(str(statement["event_key"]), salt, statement),
    }


def whole(session: Session, context: Context, row: Row) -> dict[str, object]:
    """One evidence with its salt and leaf hash, and its proof where there is one, as it leaves the service."""
    table = row.__tablename__
    salt = crypto.decrypt(context.keyring, row.salt, place(table, row.organisation_id, "salt", row.id))
    raw = crypto.decrypt(context.keyring, row.record, place(table, row.organisation_id, "record", row.id))
    return evidence_proof.document(
        msgspec.json.decode(raw, type=dict[str, object]), salt, row.leaf_hash, evidence_proof.proof_for(session, row.id)
    )


def listed(session: Session, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Evidence as lists show it."""
    done = evidence_proof.published(session, [row.id for row in rows])
    return [
        {"id": public_id(EVIDENCE, row.id), "event": row.event, "at": row.at, "published": row.id in done}
        for row in rows
    ]


def place(table: str, organisation: uuid.UUID, column: str, evidence: uuid.UUID) -> bytes:
    """What an encrypted column of an evidence is bound to."""
    return f"{organisation}|{table}.{column}:{evidence}".encode()
