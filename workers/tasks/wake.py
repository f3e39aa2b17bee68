"""The one task: there may be work of a kind."""

from collections.abc import Callable

from celery import Celery

from service.bootstrap import Application
from service.db.jobs import JobKind
from service.engine.steps import run_until_idle
from service.engine.wakeups import WAKE_TASK
from service.usecases.steps import all_steps

# A wake-up works this long at most; then others get their turn, and a fresh wake-up goes on.
TURN_SECONDS = 10.0
# What a step leads to, so that the next one starts at once instead of at the next sweep.
FOLLOWERS = {
    JobKind.SEAL: (JobKind.ROUTE,),
    JobKind.ROUTE: (JobKind.DEPOSIT, JobKind.LETTER),
    JobKind.DEPOSIT: (JobKind.NOTIFY, JobKind.ROUTE),
}


def register(app: Celery, application: Callable[[], Application]) -> None:
    """Make the task known to Celery."""

    @app.task(name=WAKE_TASK)
    def wake(kind: str) -> None:
        work(application(), JobKind(kind))


def work(application: Application, kind: JobKind) -> None:
    """Work through what is due of a kind, and wake whoever goes on."""
    context = application.context
    more = run_until_idle(
        context.database,
        all_steps(context)[kind],
        lease_seconds=application.settings.lease_seconds,
        most_seconds=TURN_SECONDS,
        after_chunk=lambda: context.wake(FOLLOWERS.get(kind, ())),
    )
    if more:
        context.wake([kind])
