"""Keys of creating requests: claimed under a lease, completed with the first answer."""

import uuid
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Claim:
    """This request is the first with its key, or took over from one whose lease ended."""

    organisation_id: uuid.UUID
    route: str
    key: str
    fence: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of an earlier request with the same key; ``status`` is None while it runs."""

    fingerprint: bytes
    status: int | None
    answer: bytes | None
    subject_id: uuid.UUID | None


_CLAIM = text(
    """
    INSERT INTO idempotency_key (organisation_id, route, key, fingerprint, lease_until)
    VALUES (:organisation, :route, :key, :fingerprint, clock_timestamp() + make_interval(secs => :seconds))
    ON CONFLICT (organisation_id, route, key) DO UPDATE
        SET lease_until = excluded.lease_until, fence = idempotency_key.fence + 1
        WHERE idempotency_key.status IS NULL AND idempotency_key.fingerprint = excluded.fingerprint
          AND idempotency_key.lease_until < clock_timestamp()
    RETURNING fence
    """
)
_SEEN = text(
    "SELECT fingerprint, status, answer, subject_id FROM idempotency_key"
    " WHERE organisation_id = :organisation AND route = :route AND key = :key"
)
_COMPLETE = text(
    "UPDATE idempotency_key SET status = :status, answer = :answer, subject_id = :subject, lease_until = NULL"
    " WHERE organisation_id = :organisation AND route = :route AND key = :key AND fence = :fence AND status IS NULL"
)
_RELEASE = text(
    "DELETE FROM idempotency_key WHERE organisation_id = :organisation AND route = :route AND key = :key"
    " AND fence = :fence AND status IS NULL"
)


def claim(
    session: Session, organisation: uuid.UUID, route: str, key: str, fingerprint: bytes, *, seconds: int
) -> Claim | Seen:
    """Claim a key; when somebody has it, say what is known of them."""
    place = {"organisation": organisation, "route": route, "key": key}
    fence = session.scalar(_CLAIM, {**place, "fingerprint": fingerprint, "seconds": seconds})
    if fence is not None:
        return Claim(organisation, route, key, fence)
    row = session.execute(_SEEN, place).one()
    return Seen(row.fingerprint, row.status, row.answer, row.subject_id)


def complete(session: Session, claim: Claim, *, status: int, answer: bytes, subject: uuid.UUID) -> bool:
    """Keep the first answer; False when the claim was lost to somebody else."""
    result = session.execute(_COMPLETE, {**_place(claim), "status": status, "answer": answer, "subject": subject})
    return bool(result.rowcount)  # type: ignore[attr-defined]


def release(session: Session, claim: Claim) -> None:
    """Give a key back after a refusal that left nothing behind."""
    session.execute(_RELEASE, _place(claim))


def _place(claim: Claim) -> dict[str, object]:
    return {"organisation": claim.organisation_id, "route": claim.route, "key": claim.key, "fence": claim.fence}
