"""The Celery application of the worker processes; ``zending worker`` starts it by command.

Each process wires itself after the fork: nothing of the parent's connections is shared.
"""

from typing import Any

from celery.signals import setup_logging, worker_init, worker_process_init, worker_process_shutdown

from service import alive, logs, memory
from service.bootstrap import Application, begin_watching, build
from service.engine.turnstile import Turnstile
from service.engine.wakeups import QUEUES, make_celery
from service.settings import settings
from workers.tasks import wake

_application: Application | None = None

app = make_celery(settings().broker_url.get_secret_value())
app.conf.task_queues = None
app.conf.task_time_limit = 900
app.conf.worker_max_memory_per_child = 1_500_000


def application() -> Application:
    """The parts of this worker process."""
    if _application is None:
        raise RuntimeError("the worker process was not initialised")
    return _application


# Half of the processes, so that receivers who are slow to answer never hold all of them.
wake.register(app, application, Turnstile(max(1, settings().worker_slots // 2)))


@setup_logging.connect
def _configure_logs(**_: Any) -> None:
    logs.configure(style=settings().log_format)


@worker_process_init.connect
def _open(**_: Any) -> None:
    global _application  # noqa: PLW0603  one per process, made after the fork
    memory.give_back_large_blocks()
    _application = build(settings())
    begin_watching(_application, "worker")
    memory.settle()


@worker_init.connect
def _give_signs(**_: Any) -> None:
    # A worker whose pool is gone does nothing more, however well its parent feels.
    alive.give_signs(settings().alive_file, alive.has_children)


@worker_process_shutdown.connect
def _close(**_: Any) -> None:
    if _application is not None:
        wake.TALLIES.flush(_application.context.database, force=True)
        _application.close()


def main() -> None:
    """Run the worker over all queues until it is told to stop.

    Raises:
        SettingsRefused: it could never work here; its processes alone would be made again and again and say nothing.
    """
    build(settings()).close()
    app.worker_main(
        [
            "worker",
            f"--concurrency={settings().worker_slots}",
            "--pool=prefork",
            f"--queues={','.join(sorted(set(QUEUES.values())))}",
            "--loglevel=WARNING",
            "--without-gossip",
            "--without-mingle",
            # Workers that tell one another that they live hang on a broker that is away; ours tell the database.
            "--without-heartbeat",
            "--disable-prefetch",
        ]
    )


if __name__ == "__main__":
    main()
