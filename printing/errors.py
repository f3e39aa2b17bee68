from dataclasses import dataclass

from printing.profiles import Box


@dataclass(frozen=True)
class Problem:
    """One reason why a letter cannot or should not be printed.

    Attributes:
        code: stable, in capitals, such as ``TOO_MANY_SHEETS``.
        detail: a sentence that holds no personal data.
        page: counted from 1, or None when the problem is the whole letter's.
        boxes: where on the page, in mm from its top-left corner; empty where no place is meant.
    """

    code: str
    detail: str
    page: int | None = None
    boxes: tuple[Box, ...] = ()


class PrintingError(Exception):
    """What printing refuses, as a fact.

    Attributes:
        code: the code of the first problem.
        detail: its sentence; safe to show.
        problems: all of them.
    """

    def __init__(self, *problems: Problem) -> None:
        """Hold at least one problem."""
        first = problems[0]
        super().__init__(f"{first.code}: {first.detail}")
        self.code = first.code
        self.detail = first.detail
        self.problems = problems


class LetterRefused(PrintingError):
    """No letter can be made of this input; trying again gives the same."""


class BatchRefused(PrintingError):
    """A batch is not what was frozen; trying again gives the same until the cause is repaired."""


class ProviderRefused(PrintingError):
    """The far side holds something that must be looked at by a person; nothing was printed because of this call."""


class ProviderUnavailable(PrintingError):
    """The far side could not be reached or broke off; trying again is safe and may succeed."""
