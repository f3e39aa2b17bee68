"""The codes that visible seals show, by their hashes."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import SmallInteger, insert, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db.base import Base


class VerificationCode(Base):
    """That a code is shown on a document."""

    __tablename__ = "verification_code"
    code_sha256: Mapped[bytes] = mapped_column(primary_key=True)
    delivery_id: Mapped[uuid.UUID]
    position: Mapped[int] = mapped_column(SmallInteger)
    organisation_id: Mapped[uuid.UUID]
    made_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Found:
    """What a code tells whoever holds it: nothing that the document itself doesn't show.

    Attributes:
        organisation: who sealed.
        made_at: when.
        pages: of the document.
        sha256: of the file as it is kept now.
        erased: the file is not kept any more.
    """

    organisation: str
    made_at: datetime
    pages: int
    sha256: bytes
    erased: bool


def add(session: Session, rows: Sequence[dict[str, object]]) -> None:
    """Write codes down, in the transaction that names the documents they are shown on."""
    if rows:
        session.execute(insert(VerificationCode), rows)


def find(session: Session, code_sha256: bytes) -> Found | None:
    """What is known of a code."""
    row = session.execute(text("SELECT * FROM zending_verified(:hash)"), {"hash": code_sha256}).mappings().first()
    return None if row is None else Found(**row)
