"""Why an operator does something to letters, in a few words for the other operators; nothing personal."""

from typing import Final

from service.domain.errors import Invalid

LENGTH: Final = 200


def checked(reason: str) -> str:
    """A reason as it is kept.

    Raises:
        Invalid: ``reason_missing``.
    """
    reason = reason.strip()
    if not 0 < len(reason) <= LENGTH:
        raise Invalid(f"A reason has 1 to {LENGTH} characters.", code="reason_missing")
    return reason
