"""Wake-ups: messages that carry a kind and nothing else. Losing all of them loses nothing."""

from collections.abc import Collection
from typing import Any, Final

import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from service.db.jobs import JobKind

log = structlog.get_logger()

WAKE_TASK: Final = "zending.wake"

QUEUES: Final[dict[JobKind, str]] = {
    JobKind.SEAL: "seal",
    JobKind.ROUTE: "deliver",
    JobKind.DEPOSIT: "deliver",
    JobKind.NOTIFY: "notify",
    JobKind.LETTER: "print",
    JobKind.HAND_OVER: "print",
}
"""The queue whose workers do a kind of work."""


def make_celery(broker_url: str) -> Celery:
    """The Celery application that both sides share: names, bounds, and nothing that holds a result or a time.

    Deadlines are rows, so there is no ETA; the job's lease decides, so a message that is delivered twice does no harm.
    """
    app = Celery("zending", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_max_tasks_per_child=1000,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": 120,
            "socket_timeout": 5,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "retry_on_timeout": True,
        },
        task_default_queue="deliver",
        task_create_missing_queues=True,
        task_serializer="json",
        accept_content=["json"],
        timezone="UTC",
        worker_soft_shutdown_timeout=20,
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )
    return app


class Waker:
    """Sends wake-ups, never more than twice the worker slots per queue, and never fails for whoever calls it."""

    def __init__(self, app: Celery, *, slots: int) -> None:
        self._app = app
        self._most = max(2, 2 * slots)

    def wake(self, kinds: Collection[JobKind]) -> int:
        """Wake workers for these kinds; return how many messages went out (0 when the broker is away)."""
        sent = 0
        try:
            with self._app.connection_for_write(connect_timeout=2) as connection, connection.channel() as channel:
                for kind in kinds:
                    if _outstanding(channel, QUEUES[kind]) >= self._most:
                        continue
                    self._app.send_task(
                        WAKE_TASK,
                        args=(kind.value,),
                        queue=QUEUES[kind],
                        connection=connection,
                        ignore_result=True,
                        retry=False,
                        expires=None,
                    )
                    sent += 1
        except (OperationalError, OSError, ConnectionError) as error:
            # The scheduler's sweep wakes whoever is due, once the broker is back.
            log.warning("wake_up_lost", error=type(error).__name__)
        return sent


def _outstanding(channel: Any, queue: str) -> int:
    """How many messages wait in a queue; declaring it is harmless and works alike on every broker."""
    return int(channel.queue_declare(queue=queue, durable=True).message_count)
