"""The one task: there may be work of a kind."""

from collections.abc import Callable

import structlog
from celery import Celery

from service.bootstrap import Application
from service.db.jobs import JobKind
from service.engine.tallies import Tallies
from service.engine.turns import Pace, run_until_idle
from service.engine.turnstile import Turnstile
from service.engine.wakeups import WAKE_TASK
from service.usecases.context import Context
from service.usecases.steps import all_steps

log = structlog.get_logger()

_KNOWN = frozenset(each.value for each in JobKind)
# A wake-up works this long at most; then others get their turn, and a fresh wake-up goes on.
TURN_SECONDS = 10.0
# What a step leads to, so that the next one starts at once instead of at the next sweep.
FOLLOWERS = {
    JobKind.SEAL: (JobKind.ROUTE,),
    JobKind.ROUTE: (JobKind.DEPOSIT, JobKind.LETTER),
    JobKind.DEPOSIT: (JobKind.NOTIFY, JobKind.ROUTE),
    JobKind.NOTIFY: (JobKind.ROUTE, JobKind.LETTER),
    JobKind.REMIND: (JobKind.ROUTE, JobKind.LETTER),
    JobKind.UNPACK: (JobKind.UNPACK, JobKind.CHECK, JobKind.ADMIT),
    JobKind.CHECK: (JobKind.ADMIT,),
    JobKind.ADMIT: (JobKind.SEAL,),
    JobKind.WEBHOOK: (JobKind.WEBHOOK,),
}


# Of this process: what it knows of how long jobs take, and what it has counted since it last wrote it down.
PACE = Pace()
TALLIES = Tallies()


def register(app: Celery, application: Callable[[], Application], calls: Turnstile) -> None:
    """Make the task known to Celery; ``calls`` bounds the processes that call senders' systems."""

    @app.task(name=WAKE_TASK)
    def wake(kind: str) -> None:
        if kind == JobKind.WEBHOOK.value:
            with calls.entered() as free:
                # Who finds no place leaves it to those inside, and to the next sweep.
                if free:
                    work(application(), JobKind.WEBHOOK)
        elif kind in _KNOWN:
            work(application(), JobKind(kind))
        else:
            # A newer release's: its own workers find the rows, and this message was only a wake-up.
            log.info("unknown_kind", kind=kind)


def work(application: Application, kind: JobKind) -> None:
    """Work through what is due of a kind, and wake whoever goes on."""
    context = application.context
    steps = all_steps(context)
    more = run_until_idle(
        context.database,
        steps[kind],
        lease_seconds=application.settings.lease_seconds,
        most_seconds=TURN_SECONDS,
        others=steps,
        pace=PACE,
        watch=TALLIES.add,
        after_chunk=lambda done: _after(context, done),
    )
    TALLIES.flush(context.database, force=not more)
    if more:
        context.wake([kind])


def _after(context: Context, done: JobKind) -> None:
    context.wake(FOLLOWERS.get(done, ()))
    TALLIES.flush(context.database)
