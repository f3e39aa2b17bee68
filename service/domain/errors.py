"""One family of errors: each states a fact, under a stable code.

``code`` is part of the contract with integrators and never changes its meaning. ``detail`` is one plain sentence that
is safe to show to anybody; it never holds a name, number, address, subject or file name. ``context`` holds ids for the
log and never leaves the service. HTTP status codes stand in one table at the edge, not here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of what was handed in.

    Attributes:
        pointer: JSON pointer (RFC 6901) to the field, for JSON input; None where the reader knows the place.
        code: stable code of the rule that was broken.
        detail: one sentence, safe to show, without the value itself.
        row: row number of a table that was handed in, counted from 1 without its header.
        column: name of the column in that row.
    """

    pointer: str | None
    code: str
    detail: str
    row: int | None = None
    column: str | None = None


class ZendingError(Exception):
    """What every error of this service is.

    Args:
        detail: one sentence that is safe to show; the class's own ``sentence`` unless given.
        code: replaces the class's own code for this one error.
        context: ids for the log; never shown.
        errors: what is wrong with which field, where fields are to blame.
    """

    code: str = "error"
    sentence: str = "This could not be done."

    def __init__(
        self,
        detail: str | None = None,
        *,
        code: str | None = None,
        context: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        # Only what pickle can give back: an error crosses from a child process to its parent.
        super().__init__(detail)
        detail = self.sentence if detail is None else detail
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
    sentence = "What was handed in is not right."


class NotFound(ZendingError):
    """There is no such thing, or it belongs to somebody else: the two look the same."""

    code = "not_found"
    sentence = "There is nothing by this id."


class Conflict(ZendingError):
    """The thing is not in a state in which this can be done."""

    code = "conflict"
    sentence = "This is not possible now."


class Erased(ZendingError):
    """It was here, and its period is over: it was erased as announced."""

    code = "content_erased"
    sentence = "This is no longer kept: its retention period is over."


class TransitionRefused(Conflict):
    """The event has no place in the current state of the delivery or leg."""

    code = "transition_refused"
    sentence = "This is not possible in the present state."


class Forbidden(ZendingError):
    """Whoever asks is known, and may not do this."""

    code = "forbidden"
    sentence = "You may not do this."


class Unauthenticated(ZendingError):
    """Nobody knows who asks."""

    code = "unauthenticated"
    sentence = "Log in, or send valid credentials."


class QuotaExceeded(ZendingError):
    """More was asked for than is allowed in this time.

    Args:
        retry_after: seconds after which it makes sense to ask again.
    """

    code = "quota_exceeded"
    sentence = "Too many requests; try again later."

    def __init__(
        self,
        detail: str | None = None,
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
    sentence = "This is larger than the service accepts."


class DocumentRefused(Invalid):
    """A document that cannot be taken; ``code`` is the inspection's code for why."""

    code = "document_refused"
    sentence = "This document cannot be taken."


class IdempotencyMissing(Invalid):
    """A call that creates something came without its Idempotency-Key."""

    code = "idempotency_key_missing"
    sentence = "Send an Idempotency-Key with this call."


class IdempotencyMismatch(Invalid):
    """The Idempotency-Key was used before for something else."""

    code = "idempotency_key_mismatch"
    sentence = "This Idempotency-Key was used before for another request."


class IdempotencyRunning(Conflict):
    """The first call with this Idempotency-Key has not ended yet."""

    code = "idempotency_key_running"
    sentence = "The first request with this Idempotency-Key is still running."


class Retryable(ZendingError):
    """Something outside failed and may come back: the same work may succeed later, unchanged."""

    code = "retryable"
    sentence = "This is not possible at the moment; try again later."


class Final(ZendingError):
    """This work can never succeed, however often it is tried.

    Args:
        reason: a word of the closed list of the evidence that follows (see `evidence.REASONS`); the code unless given.
    """

    code = "final"
    sentence = "This can never succeed."

    def __init__(
        self,
        detail: str | None = None,
        *,
        reason: str | None = None,
        code: str | None = None,
        context: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(detail, code=code, context=context, errors=errors)
        self.reason: str = reason if reason is not None else self.code
