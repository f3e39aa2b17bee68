"""What ``/metrics`` shows: requests by route, and what rows tell of the work; in Prometheus' text format.

Labels are routes' patterns, methods, status codes, kinds, lanes, codes and hosts: nothing of a request's content, and
never more values than the program has. Requests are counted in the process, or for all processes of one server in
files (``PROMETHEUS_MULTIPROC_DIR``); everything else comes from the database, so that any API process can be asked.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.multiprocess import MultiProcessCollector

from service.domain.alarms import Sample
from service.engine.tallies import BOUNDS, OUTCOMES

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"

_REGISTRY: Final = CollectorRegistry()
_REQUESTS: Final = Counter(
    "zending_requests", "Requests that were answered.", ("method", "route", "status"), registry=_REGISTRY
)
_SECONDS: Final = Histogram(
    "zending_request_seconds",
    "How long answers took.",
    ("method", "route"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    registry=_REGISTRY,
)

HELP: Final[Mapping[str, str]] = {
    "zending_jobs_waiting": "Jobs that are neither parked nor held; counted up to 10000.",
    "zending_oldest_seconds": "How long the oldest job of a step that nothing pauses has waited to be done.",
    "zending_promise_seconds": "Within how long a step is to be done.",
    "zending_jobs_parked": "Jobs that wait for a person; counted up to 10000.",
    "zending_jobs_failing": "Jobs that wait to be tried again, by what went wrong; counted up to 10000 each.",
    "zending_jobs_held": "Jobs that a pause holds; counted up to 10000.",
    "zending_ledger_pending_seconds": "How long the oldest evidence has waited to be put into the ledger.",
    "zending_ledger_unsigned_seconds": "Since when the ledger has grown without a signed checkpoint.",
    "zending_ledger_unstamped_seconds": "Since when checkpoints were signed without a time-stamp.",
    "zending_ledger_uncosigned_seconds": "Since when checkpoints were signed that a witness has not cosigned.",
    "zending_batch_open_seconds": "How long the oldest closed print batch has waited for its hand-over.",
    "zending_print_exceptions": "What print houses said that does not fit and nobody has looked at.",
    "zending_print_letters_late": "Letters past their deadline of which nobody said that the post has them.",
    "zending_print_letters_unprinted": "Letters that wait and whose product no print house offers.",
    "zending_print_letters_unprinted_oldest_seconds": "Since when the oldest of them waits.",
    "zending_print_letters_held": "Letters that an operator holds back, one by one or with their product.",
    "zending_print_letters_held_oldest_seconds": "Since when the oldest of them waits.",
    "zending_print_letters_left": "Letters whose cut-off came and for which no print house had room.",
    "zending_print_letters_left_oldest_seconds": "Since when the oldest of them waits.",
    "zending_print_acknowledgement_oldest_seconds": "Since when a batch was handed over that is not acknowledged.",
    "zending_print_inbound_oldest_seconds": "Since when a print house's file is kept that is not taken in.",
    "zending_print_pull_oldest_seconds": "Since when a pull list waits for its answer.",
    "zending_print_files_not_deleted": "Batch files whose deletion the print house has not confirmed in time.",
    "zending_print_numbers_left": "Numbers of the post that are left, by kind.",
    "zending_print_numbers_reserve": "How many of them should be left at least.",
    "zending_cutoff_late_seconds": "How long ago a print cut-off should have been that was not.",
    "zending_oldest_pause_seconds": "How long the oldest pause has lasted.",
    "zending_webhooks_failing": "Webhooks whose receiver took nothing at the last attempt.",
    "zending_webhooks_failing_seconds": "For how long the receiver that fails longest has taken nothing.",
    "zending_webhooks_disabled": "Webhooks that were disabled because their receiver failed or was gone.",
    "zending_notices_bounced": "Notices of the last day that reached nobody; counted up to 1000.",
    "zending_returned_mail_aside": "Mails that came back and wait for a person.",
    "zending_returned_mail_oldest_seconds": "For how long the oldest mail that came back has waited to be read.",
    "zending_returned_mail_unreadable": "1 where the folder of mail that came back can't be read.",
    "zending_heartbeat_age_seconds": "Since when the processes of a role on a host have been silent.",
    "zending_processes": "Hosts on which a role lives.",
    "zending_disk_free_ratio": "The share of a disk that is free.",
    "zending_seal_keys_unusable": "Organisations whose seal key or certificate can't be used, as a host sees it.",
    "zending_certificate_left_seconds": "How long a seal certificate is still valid.",
    "zending_seals_not_renewed": "Deliveries and signature requests that failed to be renewed or are a week late.",
    "zending_part_up": "Whether a part can be reached from the process that was asked.",
}
"""Every gauge, with what it means."""


def count(method: str, route: str, status: int, seconds: float) -> None:
    """Count one request that was answered; ``route`` is a pattern, never an address."""
    _REQUESTS.labels(method, route, str(status)).inc()
    _SECONDS.labels(method, route).observe(seconds)


def exposition(samples: Sequence[Sample], tallies: Iterable[Mapping[str, Any]]) -> bytes:
    """Everything in the text format.

    Args:
        samples: what was measured; each metric is one of ``HELP``.
        tallies: what workers did, as ``service.db.vitals.tallies`` gives it.
    """
    if os.environ.get(FOLDER):
        requests = CollectorRegistry()
        MultiProcessCollector(requests)  # type: ignore[no-untyped-call]
    else:
        requests = _REGISTRY
    rows = CollectorRegistry()
    rows.register(_Rows(samples, list(tallies)))
    return bytes(generate_latest(requests)) + bytes(generate_latest(rows))


class _Rows:
    """What the database told, as a collector of the library's."""

    def __init__(self, samples: Sequence[Sample], tallies: Sequence[Mapping[str, Any]]) -> None:
        self._samples, self._tallies = samples, tallies

    def collect(self) -> Iterator[Metric]:
        gauges: dict[str, GaugeMetricFamily] = {}
        for sample in self._samples:
            names = sorted(sample.labels)
            family = gauges.setdefault(
                sample.metric, GaugeMetricFamily(sample.metric, HELP[sample.metric], labels=names)
            )
            family.add_metric([sample.labels[name] for name in names], sample.value)
        yield from gauges.values()
        yield from self._steps()

    def _steps(self) -> Iterator[Metric]:
        jobs = CounterMetricFamily(
            "zending_step_jobs", "What became of jobs that workers took.", labels=("kind", "outcome")
        )
        chunks = HistogramMetricFamily("zending_step_seconds", "How long chunks of jobs took.", labels=("kind",))
        for tally in self._tallies:
            for outcome in OUTCOMES:
                jobs.add_metric((tally["kind"], outcome), tally[outcome])
            total, buckets = 0, []
            for bound, number in zip((*(f"{each:g}" for each in BOUNDS), "+Inf"), tally["chunks"], strict=True):
                total += number
                buckets.append((bound, total))
            chunks.add_metric((tally["kind"],), buckets, tally["seconds"])
        yield jobs
        yield chunks
