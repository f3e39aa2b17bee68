"""Keys of creating requests: claimed under a lease, completed with the first answer."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Request:
    """A creating request with its key.

    Attributes:
        fingerprint: what makes two requests the same.
        seconds: how long its claim lasts; then another request may take over.
    """

    organisation_id: uuid.UUID
    route: str
    key: str
    fingerprint: bytes
    seconds: int


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


@dataclass(frozen=True, slots=True)
class Answer:
    """The first answer to a claimed request."""

    claim: Claim
    status: int
    body: bytes
    subject_id: uuid.UUID


# In the order of their keys, so that two groups can't wait for one another.
_CLAIM = text(
    """
    INSERT INTO idempotency_key AS known (organisation_id, route, key, fingerprint, lease_until)
    SELECT DISTINCT ON (organisation_id, route, key)
           organisation_id, route, key, fingerprint, clock_timestamp() + make_interval(secs => seconds)
    FROM unnest(CAST(:organisations AS uuid[]), CAST(:routes AS text[]), CAST(:keys AS text[]),
                CAST(:fingerprints AS bytea[]), CAST(:seconds AS integer[])) WITH ORDINALITY
         AS asked(organisation_id, route, key, fingerprint, seconds, place)
    ORDER BY organisation_id, route, key, place
    ON CONFLICT (organisation_id, route, key) DO UPDATE
        SET lease_until = excluded.lease_until, fence = known.fence + 1
        WHERE known.status IS NULL AND known.fingerprint = excluded.fingerprint
          AND known.lease_until < clock_timestamp()
    RETURNING organisation_id, route, key, fence
    """
)
_SEEN = text(
    """
    SELECT organisation_id, route, key, fingerprint, status, answer, subject_id
    FROM idempotency_key JOIN unnest(CAST(:organisations AS uuid[]), CAST(:routes AS text[]), CAST(:keys AS text[]))
         AS asked(organisation_id, route, key) USING (organisation_id, route, key)
    """
)
_COMPLETE = text(
    """
    UPDATE idempotency_key AS known
    SET status = done.status, answer = done.answer, subject_id = done.subject, lease_until = NULL
    FROM unnest(CAST(:organisations AS uuid[]), CAST(:routes AS text[]), CAST(:keys AS text[]),
                CAST(:fences AS bigint[]), CAST(:statuses AS smallint[]), CAST(:answers AS bytea[]),
                CAST(:subjects AS uuid[])) AS done(organisation_id, route, key, fence, status, answer, subject)
    WHERE known.organisation_id = done.organisation_id AND known.route = done.route AND known.key = done.key
      AND known.fence = done.fence AND known.status IS NULL
    RETURNING known.organisation_id, known.route, known.key
    """
)
_RELEASE = text(
    "DELETE FROM idempotency_key WHERE organisation_id = :organisation AND route = :route AND key = :key"
    " AND fence = :fence AND status IS NULL"
)

_RENEW = text(
    "UPDATE idempotency_key SET lease_until = clock_timestamp() + make_interval(secs => :seconds)"
    " WHERE organisation_id = :organisation AND route = :route AND key = :key AND fence = :fence AND status IS NULL"
)


def claim_all(session: Session, asked: Sequence[Request]) -> list[Claim | Seen | None]:
    """Claim keys; where somebody has one, say what is known of them.

    Of two in the same group the first gets the key and the other sees a request that runs. None: whoever had the key
    gave it back at this moment; ask again.
    """
    won = {
        (row.organisation_id, row.route, row.key): row.fence
        for row in session.execute(
            _CLAIM,
            {
                **_places(asked),
                "fingerprints": [each.fingerprint for each in asked],
                "seconds": [each.seconds for each in asked],
            },
        )
    }
    found: list[Claim | Seen | None] = []
    for each in asked:
        fence = won.pop(_place(each), None)
        found.append(None if fence is None else Claim(each.organisation_id, each.route, each.key, fence))
    others = [each for each, claimed in zip(asked, found, strict=True) if claimed is None]
    if others:
        seen = {
            (row.organisation_id, row.route, row.key): Seen(row.fingerprint, row.status, row.answer, row.subject_id)
            for row in session.execute(_SEEN, _places(others))
        }
        found = [claimed or seen.get(_place(each)) for each, claimed in zip(asked, found, strict=True)]
    return found


def complete_all(session: Session, answers: Sequence[Answer]) -> list[bool]:
    """Keep first answers; False where the claim was lost to somebody else."""
    values = {
        **_places([each.claim for each in answers]),
        "fences": [each.claim.fence for each in answers],
        "statuses": [each.status for each in answers],
        "answers": [each.body for each in answers],
        "subjects": [each.subject_id for each in answers],
    }
    kept = {(row.organisation_id, row.route, row.key) for row in session.execute(_COMPLETE, values)}
    return [_place(each.claim) in kept for each in answers]


def claim(
    session: Session, organisation: uuid.UUID, route: str, key: str, fingerprint: bytes, *, seconds: int
) -> Claim | Seen:
    """Claim one key, for ``seconds``; when somebody has it, say what is known of them."""
    asked = Request(organisation, route, key, fingerprint, seconds)
    while True:
        # Asked again only where whoever had it gave it back in between.
        (found,) = claim_all(session, [asked])
        if found is not None:
            return found


def complete(session: Session, claim: Claim, *, status: int, answer: bytes, subject: uuid.UUID) -> bool:
    """Keep one first answer; False when the claim was lost to somebody else."""
    return complete_all(session, [Answer(claim, status, answer, subject)])[0]


def renew(session: Session, claim: Claim, *, seconds: int) -> None:
    """Prolong a claim whose request takes longer; one that was lost to somebody else stays theirs."""
    place = {"organisation": claim.organisation_id, "route": claim.route, "key": claim.key, "fence": claim.fence}
    session.execute(_RENEW, {**place, "seconds": seconds})


def release(session: Session, claim: Claim) -> None:
    """Give a key back after a refusal that left nothing behind."""
    session.execute(
        _RELEASE,
        {"organisation": claim.organisation_id, "route": claim.route, "key": claim.key, "fence": claim.fence},
    )


def _place(each: Request | Claim) -> tuple[uuid.UUID, str, str]:
    return each.organisation_id, each.route, each.key


def _places(asked: Sequence[Request] | Sequence[Claim]) -> dict[str, list[Any]]:
    return {
        "organisations": [each.organisation_id for each in asked],
        "routes": [each.route for each in asked],
        "keys": [each.key for each in asked],
    }


# A hand-in's key is as old as its delivery: the times keep the search to a few pages of the table.
_ANSWERS = text(
    """
    SELECT organisation_id, route, key, subject_id, answer FROM idempotency_key
    WHERE subject_id = ANY (:ids) AND length(answer) > 0 AND created_at BETWEEN
        (SELECT min(zending_id_time(id)) - interval '2 days' FROM unnest(CAST(:ids AS uuid[])) AS id)
        AND (SELECT max(zending_id_time(id)) + interval '2 days' FROM unnest(CAST(:ids AS uuid[])) AS id)
    FOR UPDATE
    """
)
_REPLACE = text(
    "UPDATE idempotency_key SET answer = :answer"
    " WHERE organisation_id = :organisation AND route = :route AND key = :key"
)


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that is kept for a subject."""

    organisation_id: uuid.UUID
    route: str
    key: str
    subject_id: uuid.UUID
    answer: bytes


def answers_of(session: Session, subjects: Collection[uuid.UUID]) -> list[Kept]:
    """The answers that were given for these subjects, locked."""
    if not subjects:
        return []
    return [Kept(*row) for row in session.execute(_ANSWERS, {"ids": list(subjects)})]


def replace_answer(session: Session, kept: Kept, answer: bytes) -> None:
    """Give another answer to the same request from now on."""
    session.execute(
        _REPLACE, {"answer": answer, "organisation": kept.organisation_id, "route": kept.route, "key": kept.key}
    )
