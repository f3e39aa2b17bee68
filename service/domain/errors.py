"""One family of errors: each states a fact, under a stable code.

``code`` is part of the contract with integrators and never changes its meaning. ``detail`` is one plain sentence that is
safe to show to anybody; it never holds a name, number, address, subject or file name. ``context`` holds ids for the log
and never leaves the service. HTTP status codes stand in one table at the edge, not here.
"""

# ruff: noqa: N818 - an error states a fact

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of what was handed in.

    Attributes:
        code: stable code of the rule that was broken.
        detail: one sentence, safe to show, without the value itself.
        pointer: JSON pointer (RFC 6901) to the field, for JSON input.
        row: row number of a table that was handed in, counted from 1 without its header.
        column: name of the column in that row.
    """

    code: str
    detail: str
    pointer: str | None = None
    row: int | None = None
    column: str | None = None


class ZendingError(Exception):
    """What every error of this service is.

    Args:
        detail: one sentence that is safe to show.
        code: replaces the class's own code for this one error.
        context: ids for the log; never shown.
        errors: what is wrong with which field, where fields are to blame.
    """

    code: str = "error"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        context: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        # Only what pickle can give back: an error crosses from a child process to its parent.
        super().__init__(detail)
        if code is not None:
            self.code = code
        self.detail = detail
        self.context: dict[str, str] = dict(context or {})
        self.errors: tuple[FieldError, ...] = tuple(errors)

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class Invalid(ZendingError):
    """What was handed in breaks a rule; ``errors`` says which field and which rule."""

    code = "invalid"


class NotFound(ZendingError):
    """There is no such thing, or it belongs to somebody else: the two look the same."""

    code = "not_found"


class Conflict(ZendingError):
    """The thing is not in a state in which this can be done."""

    code = "conflict"


class TransitionRefused(Conflict):
    """The event has no place in the current state of the delivery or leg."""

    code = "transition_refused"


class Forbidden(ZendingError):
    """Whoever asks is known, and may not do this."""

    code = "forbidden"


class Unauthenticated(ZendingError):
    """Nobody knows who asks."""

    code = "unauthenticated"


class QuotaExceeded(ZendingError):
    """More was asked for than is allowed in this time.

    Args:
        retry_after: seconds after which it makes sense to ask again.
    """

    code = "quota_exceeded"

    def __init__(
        self,
        detail: str,
        *,
        retry_after: int = 60,
        code: str | None = None,
        context: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(detail, code=code, context=context, errors=errors)
        self.retry_after = retry_after


class PayloadTooLarge(ZendingError):
    """More bytes than the limit; nothing of them was kept."""

    code = "payload_too_large"


class DocumentRefused(Invalid):
    """A document that cannot be taken; ``code`` is the inspection's code for why."""

    code = "document_refused"


class IdempotencyMissing(Invalid):
    """A call that creates something came without its Idempotency-Key."""

    code = "idempotency_key_missing"


class IdempotencyMismatch(Invalid):
    """The Idempotency-Key was used before for something else."""

    code = "idempotency_key_mismatch"


class IdempotencyRunning(Conflict):
    """The first call with this Idempotency-Key has not ended yet."""

    code = "idempotency_key_running"


class Retryable(ZendingError):
    """Something outside failed and may come back: the same work may succeed later, unchanged."""

    code = "retryable"


class Final(ZendingError):
    """This work can never succeed, however often it is tried.

    Args:
        reason: a word of the closed list of the evidence that follows (see `evidence.REASONS`); the code unless given.
    """

    code = "final"

    def __init__(
        self,
        detail: str,
        *,
        reason: str | None = None,
        code: str | None = None,
        context: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(detail, code=code, context=context, errors=errors)
        self.reason: str = reason if reason is not None else self.code
