"""Wake-ups: messages that carry a kind and nothing else. Losing all of them loses nothing."""

import contextlib
import threading
import time
from collections.abc import Collection
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from celery import Celery

from service.db.jobs import JobKind
from service.engine import redis_transport

log = structlog.get_logger()

WAKE_TASK: Final = "zending.wake"
# How long a wake-up waits for another thread's, and all of them after one that failed, in seconds: whoever is not woken
# is found by the next sweep.
_TURN: Final = 0.5
_REST: Final = 1.0

QUEUES: Final[dict[JobKind, str]] = {
    JobKind.SEAL: "seal",
    JobKind.ROUTE: "deliver",
    JobKind.DEPOSIT: "deliver",
    JobKind.NOTIFY: "notify",
    JobKind.REMIND: "notify",
    JobKind.LETTER: "print",
    JobKind.HAND_OVER: "print",
    JobKind.UNPACK: "submission",
    JobKind.CHECK: "submission",
    JobKind.ADMIT: "submission",
    JobKind.RECALL: "submission",
    JobKind.ARCHIVE: "housekeeping",
    JobKind.ASK: "notify",
    JobKind.FINISH: "seal",
    JobKind.WEBHOOK: "webhook",
}
"""The queue whose workers do a kind of work."""


# Bounds of each kind of broker, in seconds: none of them may keep a caller waiting.
_AMQP_SCHEMES: Final = frozenset({"amqp", "amqps", "pyamqp"})
# A confirmed wake-up is counted in its queue: without that the next look at the queue may come before it.
_AMQP: Final = {"connect_timeout": 3, "read_timeout": 5, "write_timeout": 5, "confirm_publish": True}
_REDIS: Final = {
    "visibility_timeout": 120,
    "socket_timeout": 5,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "retry_on_timeout": True,
}


def make_celery(broker_url: str) -> Celery:
    """The Celery application that both sides share: names, bounds, and nothing that holds a result or a time.

    Deadlines are rows, so there is no ETA; the job's lease decides, so a message that is delivered twice does no harm.
    """
    redis_transport.install()
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
        broker_transport_options=_AMQP if urlsplit(broker_url).scheme in _AMQP_SCHEMES else _REDIS,
        # Only AMQP has heartbeats: a machine that vanished is missed after some seconds, and its messages go to others.
        broker_heartbeat=10,
        task_default_queue="deliver",
        # A wake-up is not worth a write to the broker's disk.
        task_default_delivery_mode="transient",
        task_create_missing_queues=True,
        task_serializer="json",
        accept_content=["json"],
        timezone="UTC",
        worker_soft_shutdown_timeout=20,
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )
    return app


class Waker:
    """Sends wake-ups, never more than twice the worker slots per queue, and never fails for whoever calls it.

    One connection is kept for all threads of a process: making one costs more than a whole hand-in's rows. While the
    broker is away only one call every ``_REST`` seconds tries it, so that no caller waits for it.
    """

    def __init__(self, app: Celery, *, slots: int) -> None:
        self._app = app
        self._most = max(2, 2 * slots)
        self._turn = threading.Lock()
        self._line: _Line | None = None
        self._rests_until = 0.0

    def wake(self, kinds: Collection[JobKind]) -> int:
        """Wake workers for these kinds; return how many messages went out (0 when the broker is away)."""
        if not kinds or not self._turn.acquire(timeout=_TURN):
            return 0
        try:
            return self._send(kinds) if time.monotonic() >= self._rests_until else 0
        finally:
            self._turn.release()

    def close(self) -> None:
        """Close the connection; a later wake-up makes another."""
        with self._turn:
            self._drop()

    def _send(self, kinds: Collection[JobKind]) -> int:
        kept = self._line is not None
        try:
            return self._over_line(kinds)
        except Exception as error:  # noqa: BLE001  each broker has errors of its own, and none may stop the caller
            self._drop()
            failed = type(error).__name__
        if kept:
            # A kept connection may have been closed by a broker that is back by now.
            try:
                return self._over_line(kinds)
            except Exception as error:  # noqa: BLE001  likewise
                self._drop()
                failed = type(error).__name__
        # The scheduler's sweep wakes whoever is due, once the broker is back.
        log.warning("wake_up_lost", error=failed)
        self._rests_until = time.monotonic() + _REST
        return 0

    def _over_line(self, kinds: Collection[JobKind]) -> int:
        line = self._line = self._line or _Line(self._app)
        return sum(line.send(kind, most=self._most) for kind in kinds)

    def _drop(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()


class _Line:
    """A connection to the broker with its channel; for one thread at a time."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        # Nobody would send a heartbeat over a connection that is used now and then; a dead one shows at its next use.
        self._connection = app.connection_for_write(connect_timeout=2, heartbeat=0)
        try:
            self._channel: Any = self._connection.channel()
            self._producer = app.amqp.Producer(self._channel)
        except BaseException:
            self.close()
            raise

    def send(self, kind: JobKind, *, most: int) -> bool:
        """Send one wake-up, unless enough of its queue wait already."""
        if self._outstanding(QUEUES[kind]) >= most:
            return False
        self._app.send_task(
            WAKE_TASK,
            args=(kind.value,),
            queue=QUEUES[kind],
            producer=self._producer,
            ignore_result=True,
            retry=False,
            expires=None,
        )
        return True

    def close(self) -> None:
        """Close; a connection that is broken is only let go of."""
        with contextlib.suppress(Exception):
            self._connection.release()

    def _outstanding(self, queue: str) -> int:
        """How many messages wait in a queue; declaring it is harmless and works alike on every broker."""
        # Exactly as workers declare it: AMQP refuses whoever declares the same queue otherwise.
        return int(self._channel.queue_declare(queue=queue, durable=True, auto_delete=False).message_count)
