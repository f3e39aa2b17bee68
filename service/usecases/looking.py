"""Works that ask for looks at documents while they are done: a chunk's looks are taken together."""

import uuid
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from printing.asked import Asked, Look
from printing.checks import Findings
from service.db.jobs import Leased
from service.domain.errors import Retryable
from service.engine.steps import Outcome
from service.usecases.context import Context

WorkT = TypeVar("WorkT")
ResultT = TypeVar("ResultT")

Looking = Generator[Look, Findings, ResultT]
"""A work that yields what is to be looked at, is sent what was found, and returns its result."""


def look(context: Context, asked: Asked, pdf: bytes) -> Findings:
    """Look at one document.

    Raises:
        Retryable: the machine is too busy.
    """
    (found,) = context.letters.check([(asked, pdf)])
    if isinstance(found, Retryable):
        raise found
    return found


def together(
    context: Context,
    works: Sequence[tuple[Leased, WorkT]],
    begin: Callable[[WorkT], Looking[ResultT]],
    organisation: Callable[[WorkT], uuid.UUID],
) -> list[Outcome[WorkT, ResultT]]:
    """Do works in step with one another; an error stops only the work it belongs to.

    What is looked at in one go belongs to one organisation.
    """
    outcomes: dict[int, Outcome[WorkT, ResultT]] = {}
    going = {number: begin(work) for number, (_, work) in enumerate(works)}
    found: dict[int, Findings | Retryable] = {}
    while going:
        asked: dict[uuid.UUID, list[tuple[int, Look]]] = {}
        for number, steps in list(going.items()):
            job, work = works[number]
            try:
                wanted = _next(steps, found.get(number))
            except StopIteration as end:
                outcomes[number] = Outcome(job, work, result=end.value)
            except Exception as error:  # noqa: BLE001  whatever it is belongs to this job and is settled with it
                outcomes[number] = Outcome(job, work, error=error)
            else:
                asked.setdefault(organisation(work), []).append((number, wanted))
                continue
            del going[number]
        found = {}
        for looks in asked.values():
            told = context.letters.check([look for _, look in looks])
            found.update(zip([number for number, _ in looks], told, strict=True))
    return [outcomes[number] for number in range(len(works))]


def _next(steps: Looking[ResultT], found: Findings | Retryable | None) -> Look:
    """What the work asks next."""
    if found is None:
        return next(steps)
    return steps.throw(found) if isinstance(found, Retryable) else steps.send(found)
