"""Refusals as the errors the rest of the service knows."""

from service.domain.errors import DocumentRefused
from service.inspection.codes import REFUSALS


def refusal(code: str, **context: str) -> DocumentRefused:
    """The error for a code of `codes.REFUSALS`; `context` is for logs only."""
    return DocumentRefused(REFUSALS[code], code=code, context=context)
