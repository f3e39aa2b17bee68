"""The scheduler: loops that wake, close, sequence and tidy. Two of them at once do no harm; ``zending scheduler``."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

import structlog

from service import alive, logs, memory
from service.bootstrap import Application, begin_watching, build, retention_periods
from service.domain.errors import ZendingError
from service.ledger import sequencer
from service.ledger.cosigning import Asker
from service.ledger.timestamps import stamp_checkpoints
from service.settings import settings
from service.usecases import (
    access,
    archive,
    bounces,
    housekeeping,
    pauses,
    periods,
    post_inbox,
    post_pulls,
    print_forecasts,
    print_runs,
    printers,
    reconciliation,
    retention,
    submissions,
    webhook_sending,
)
from service.usecases.log_head import StoredHead
from service.usecases.signatures import clock

log = structlog.get_logger()

SEQUENCE_LIMIT = 5000
COSIGNED_AT_ONCE = 50


def loops(application: Application) -> list[tuple[str, float, Callable[[], object]]]:
    """Name, seconds between two rounds, and one round, of everything that goes on by itself."""
    context, setting = application.context, application.settings
    head = StoredHead(application.store, setting.ledger_origin)
    signer = application.log_signer
    keeping = retention_periods(setting)

    def sequence() -> None:
        while True:
            done = sequencer.tick(context.database.session, signer, head, context.clock(), limit=SEQUENCE_LIMIT)
            if done.sequenced < SEQUENCE_LIMIT:
                return

    def stamp() -> None:
        interval = timedelta(seconds=setting.checkpoint_stamp_seconds)
        stamp_checkpoints(context.database.session, application.tsa, context.clock(), interval)

    def tidy() -> None:
        with context.database.transaction() as session:
            housekeeping.make_partitions(session, now=context.clock())
            housekeeping.end_sessions(session, now=context.clock())
            access.forget_statements(session, now=context.clock())
        submissions.tidy(
            context,
            upload_seconds=setting.submission_upload_seconds,
            keep_seconds=setting.submission_keep_seconds,
        )
        housekeeping.collect_orphans(context, window=keeping.window)
        context.receipts.prune(context.clock() - keeping.window)
        bounces.tidy(application.returns)

    def retain() -> None:
        retention.run(context, keeping)
        while housekeeping.collect_removed(context, window=keeping.window) == housekeeping.COLLECT:
            pass

    return [
        ("sequence", 0.5, sequence),
        ("stamp", 1.0, stamp),
        *_witness_loops(application),
        ("let_go", 1.0, lambda: pauses.let_go_rest(context)),
        ("webhooks", 1.0, lambda: webhook_sending.put_due(context)),
        ("wake", 1.0, lambda: housekeeping.wake_due(context)),
        ("cutoff", min(1.0, setting.print_cutoff_seconds / 4), lambda: print_runs.close_due(context)),
        ("forecasts", 15.0, lambda: print_forecasts.tell_due(context)),
        ("signatures", 10.0, lambda: clock.round_(context)),
        ("periods", 5.0, lambda: periods.round_(context)),
        ("tidy", 3600.0, tidy),
        ("retain", 60.0, retain),
        ("archive", 60.0, lambda: archive.put_due(context)),
        ("bounces", 10.0, lambda: bounces.read_all(context, application.returns)),
        *_printer_loops(application),
        ("reconcile", 60.0, lambda: reconciliation.round_(context)),
        ("pulls", 15.0, lambda: post_pulls.send(context)),
        ("mend", 30.0, lambda: housekeeping.try_stored_again(context)),
    ]


def _printer_loops(application: Application) -> Iterator[tuple[str, float, Callable[[], object]]]:
    """A loop for each print house's inbox: one that does not answer keeps nobody else waiting."""
    context, seconds = application.context, float(application.settings.print_inbox_seconds)
    for name in printers.names(context):
        yield f"inbox {name}", seconds, partial(post_inbox.read_all, context, name)


def _witness_loops(application: Application) -> Iterator[tuple[str, float, Callable[[], object]]]:
    """A loop for each witness: one that does not answer keeps nobody else waiting."""
    context = application.context

    def cosign(asker: Asker) -> None:
        for _ in range(COSIGNED_AT_ONCE):
            if asker.ask(context.database.session, context.clock) is None:
                return

    for witness in context.witnesses:
        asker = Asker(witness)
        application.closing.callback(asker.close)
        yield f"witness {witness.name}", 1.0, partial(cosign, asker)


def run_loop(name: str, seconds: float, once: Callable[[], object], stop: threading.Event) -> None:
    """Repeat one round until told to stop; a round that fails is told and tried again, less often while it fails."""
    wait = seconds
    while not stop.is_set():
        began = time.monotonic()
        try:
            once()
            wait = seconds
        except Exception as error:  # noqa: BLE001  whatever it is, the next round tries again
            wait = min(max(wait, seconds) * 2, 30.0)
            code = error.code if isinstance(error, ZendingError) else getattr(error, "code", None)
            log.warning("loop_failed", loop=name, error=type(error).__name__, code=code, again_in=wait)
        stop.wait(max(0.05, wait - (time.monotonic() - began)))


def main() -> None:
    """Run all loops until a signal comes."""
    logs.configure(style=settings().log_format)
    memory.give_back_large_blocks()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    application = build(settings())
    begin_watching(application, "scheduler")
    threads = [
        threading.Thread(target=run_loop, args=(name, seconds, once, stop), name=name)
        for name, seconds, once in loops(application)
    ]
    log.info("scheduler_started", loops=len(threads))
    for thread in threads:
        thread.start()
    alive.give_signs(settings().alive_file, lambda: all(thread.is_alive() for thread in threads))
    for thread in threads:
        thread.join()
    application.close()


if __name__ == "__main__":
    main()
