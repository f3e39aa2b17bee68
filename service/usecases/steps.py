"""Every kind of job and the step that does it."""

from typing import Any

from service.db.jobs import JobKind
from service.engine.steps import Step, by_leg
from service.usecases import (
    archive,
    batches,
    letters,
    notices,
    route,
    seal,
    submission_admit,
    submission_recall,
    submission_unpack,
    webhook_sending,
)
from service.usecases.context import Context
from service.usecases.signatures import finishing, renewing
from service.usecases.signatures import notices as asking


def all_steps(context: Context) -> dict[JobKind, Step[Any, Any]]:
    """The steps by their kind."""
    made: list[Step[Any, Any]] = [
        seal.step(context),
        route.route_step(context),
        route.deposit_step(context),
        notices.step(context),
        notices.reminder_step(context),
        letters.step(context),
        batches.step(context),
        submission_unpack.step(context),
        submission_admit.check_step(context),
        submission_admit.admit_step(context),
        submission_recall.step(context),
        by_leg(archive.step(context), {archive.REQUESTS: renewing.step(context)}),
        asking.step(context),
        finishing.step(context),
        webhook_sending.step(context),
    ]
    return {step.kind: step for step in made}
