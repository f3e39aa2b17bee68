"""How the service is: everything that is measured, as samples, and what of it is wrong.

The samples are what ``/metrics`` shows; the alarms of ``service.domain.alarms`` look at the same ones, here and in the
monitoring.
"""

import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy.orm import Session

from printing.numbers import NumberRange
from service.db import archive, printing, queues, vitals, webhooks
from service.db import ledger_cosignatures as cosignatures
from service.db.jobs import JobKind, Lane
from service.db.operations import Heartbeat
from service.db.session import widen
from service.domain.alarms import ALARMS, Finding, Sample, judge
from service.ledger.cosigning import KnownWitness
from service.usecases import numbers, print_waiting, reconciliation
from service.usecases.archive import LATE
from service.usecases.context import Context
from service.usecases.heartbeats import SILENT_AFTER, disks

ROLES: Final = ("api", "worker", "scheduler")
TO_MAILBOX: Final = frozenset({JobKind.ROUTE, JobKind.DEPOSIT, JobKind.NOTIFY})
_RETURNED_MAIL: Final = {
    "aside": "zending_returned_mail_aside",
    "oldest": "zending_returned_mail_oldest_seconds",
    "unreadable": "zending_returned_mail_unreadable",
}
EXPECTED: Final = frozenset({"quiet_hours"})
"""Codes of jobs that wait by rule: nothing is wrong with them."""


@dataclass(frozen=True)
class Promises:
    """Within how many seconds what is done, as the settings give it."""

    seal: int
    mailbox: int
    bulk: int
    hand_over: int
    cutoff: int

    def of(self, kind: JobKind, lane: Lane) -> int:
        """The promise of a step: seals and mailboxes at once, letters by the next cut-off, the rest with large work."""
        if kind is JobKind.HAND_OVER:
            return self.hand_over
        if kind is JobKind.LETTER:
            return self.cutoff
        if lane is Lane.INTERACTIVE and kind is JobKind.SEAL:
            return self.seal
        if lane is Lane.INTERACTIVE and kind in TO_MAILBOX:
            return self.mailbox
        return self.bulk


@dataclass(frozen=True)
class Status:
    """How things stand at a moment: what is wrong, worst first, and what was measured."""

    at: datetime
    findings: list[Finding]
    samples: list[Sample]

    @property
    def worst(self) -> int:
        """0: all well; 1: something to look at; 2: somebody must act."""
        return max((int(each.severity) for each in self.findings), default=0)


def status(context: Context, promises: Promises, parts: Mapping[str, tuple[bool, bool]]) -> Status:
    """Look at everything.

    Args:
        context: the wired parts.
        promises: what is late when.
        parts: for each part that was asked: whether it is there, and whether nothing can be taken in without it.
    """
    samples = measure(context, promises)
    samples += part_samples(parts)
    return Status(context.clock(), judge(samples, ALARMS), samples)


def part_samples(parts: Mapping[str, tuple[bool, bool]]) -> list[Sample]:
    """Which parts are there."""
    return [
        Sample("zending_part_up", float(up), {"part": name, "needed": "yes" if needed else "no"})
        for name, (up, needed) in parts.items()
    ]


def disk_samples(places: Mapping[str, Path]) -> list[Sample]:
    """How full this machine's own disks are, for whoever can't ask the database what all machines said."""
    host = socket.gethostname()
    return [
        Sample("zending_disk_free_ratio", free, {"host": host, "disk": disk}) for disk, free in disks(places).items()
    ]


def measure(context: Context, promises: Promises) -> list[Sample]:
    """Everything that rows tell."""
    with context.database.transaction() as session:
        # Notices that bounced, and webhooks, stand in rows with tenants; only their number is asked for.
        widen(session, printing.every_organisation(session))
        lags = vitals.lags(session)
        return [
            *_queues(session, promises, lags.now),
            *_lags(lags),
            *_witnesses(session, context.witnesses, lags.now),
            *numbers.samples(session, _ranges(context)),
            Sample("zending_notices_bounced", vitals.bounced(session)),
            *_webhooks(session),
            *reconciliation.samples(session, context),
            *print_waiting.samples(session, context),
            Sample("zending_seals_not_renewed", archive.overdue(session, before=context.clock() - LATE)),
            *_life(session, lags.now),
        ]


def _ranges(context: Context) -> list[NumberRange]:
    """All ranges of numbers, each once: print houses may share them."""
    return list(dict.fromkeys(each for printer in context.printers.values() for each in printer.numbers))


def _queues(session: Session, promises: Promises, now: datetime) -> Iterable[Sample]:
    for queue in queues.queues(session):
        labels = {"kind": queue.kind.value, "lane": queue.lane.name.lower()}
        waited = 0.0 if queue.oldest is None else max(0.0, (now - queue.oldest).total_seconds())
        yield Sample("zending_jobs_waiting", queue.waiting, labels)
        yield Sample("zending_oldest_seconds", waited, labels)
        yield Sample("zending_promise_seconds", promises.of(queue.kind, queue.lane), labels)
    for kind, count in queues.parked_counts(session).items():
        yield Sample("zending_jobs_parked", count, {"kind": kind.value})
    for code, count in queues.troubles(session).items():
        if code not in EXPECTED:
            yield Sample("zending_jobs_failing", count, {"code": code})
    yield Sample("zending_jobs_held", sum(queues.held_counts(session).values()))


def _lags(lags: vitals.Lags) -> Iterable[Sample]:
    yield Sample("zending_ledger_pending_seconds", lags.pending or 0.0)
    yield Sample("zending_ledger_unsigned_seconds", lags.unsigned or 0.0)
    yield Sample("zending_ledger_unstamped_seconds", lags.unstamped or 0.0)
    # With the labels of the step that hands over, whose promise it is.
    labels = {"kind": JobKind.HAND_OVER.value, "lane": Lane.BULK.name.lower()}
    yield Sample("zending_batch_open_seconds", lags.batch or 0.0, labels)
    yield Sample("zending_cutoff_late_seconds", lags.cutoff or 0.0)
    yield Sample("zending_oldest_pause_seconds", lags.pause or 0.0)


def _witnesses(session: Session, witnesses: Sequence[KnownWitness], now: datetime) -> Iterable[Sample]:
    for witness in witnesses:
        since = cosignatures.waiting_since(session, witness.key_texts)
        waited = 0.0 if since is None else max(0.0, (now - since).total_seconds())
        yield Sample("zending_ledger_uncosigned_seconds", waited, {"witness": witness.name})


def _webhooks(session: Session) -> Iterable[Sample]:
    failing, disabled, longest = webhooks.troubles(session)
    yield Sample("zending_webhooks_failing", failing)
    yield Sample("zending_webhooks_failing_seconds", longest)
    yield Sample("zending_webhooks_disabled", disabled)


def _life(session: Session, now: datetime) -> Iterable[Sample]:
    alive = dict.fromkeys(ROLES, 0)
    left: dict[str, float] = {}
    disks: dict[tuple[str, str], float] = {}
    for beat in vitals.heartbeats(session):
        silent = max(0.0, (now - beat.at).total_seconds())
        labels = {"role": beat.role, "host": beat.host}
        yield Sample("zending_heartbeat_age_seconds", silent, labels)
        if silent > SILENT_AFTER:
            # What it last saw says nothing of now.
            continue
        alive[beat.role] += 1
        for disk, free in beat.report.get("disks", {}).items():
            # Several roles of a host see the same disk.
            disks[beat.host, disk] = min(free, disks.get((beat.host, disk), free))
        if "seals" in beat.report:
            seals: dict[str, float | None] = beat.report["seals"]
            unusable = sum(seconds is None or seconds <= 0 for seconds in seals.values())
            yield Sample("zending_seal_keys_unusable", unusable, labels)
            for profile, seconds in seals.items():
                if seconds is not None:
                    left[profile] = min(seconds, left.get(profile, seconds))
        yield from _returned_mail(beat)
    for (host, disk), free in disks.items():
        yield Sample("zending_disk_free_ratio", free, {"host": host, "disk": disk})
    for role, count in alive.items():
        yield Sample("zending_processes", count, {"role": role})
    for profile, seconds in left.items():
        yield Sample("zending_certificate_left_seconds", seconds, {"profile": profile})


def _returned_mail(beat: Heartbeat) -> Iterable[Sample]:
    for name, value in beat.report.get("returned_mail", {}).items():
        yield Sample(_RETURNED_MAIL[name], value, {"host": beat.host})
