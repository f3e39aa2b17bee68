"""The whole way of a document on one machine: handed in over HTTP, sealed, delivered or printed, evidenced.

Everything runs on the same cores: the program that hands in, the API, inspection, workers, scheduler, PostgreSQL,
Valkey, the time-stamp authority and the mail sink. The clock runs from the first hand-in to the last delivery's end:
in its mailbox or handed to the print house, with all evidence published. Afterwards everything is checked from outside.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import truth
from bench.measure import Result, cost, rate, report
from bench.running import DOCUMENTS, WEIGHTS, Answer, Running, hand_in, requests, running
from bench.seal import authority
from service.embedded.pki import ensure_pki, ensure_seal
from service.embedded.program import descendants, log_file
from service.inspection.inspector import Inspector
from service.inspection.limits import InspectionLimits
from service.inspection.scanners.none import NoScanner
from service.vault.durable import write_all
from signing.keys import FileSealKey
from signing.seal import Sealer
from signing.timestamps import HttpTimeStampAuthority
from signing.trust import load_certificates

FLOOR = 60.0
"""Documents a second that are the least on two cores."""
CONNECTIONS = 8
CUTOFF_SECONDS = 2
END_SECONDS = 900.0
# A look at the memory of all processes takes a hundredth of a second of a core, which is counted as the client's.
_SAMPLE_SECONDS = 3.0
_FLAT_SAMPLES = 5
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Parts:
    """CPU time and memory of each part, read from /proc while everything runs."""

    target: Running
    before: dict[str, float] = field(default_factory=dict)
    machine_before: float = 0.0
    peak: dict[str, float] = field(default_factory=dict)
    series: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start to count."""
        self.before, self.machine_before = self._cpu(), _machine_seconds()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def end(self) -> dict[str, float]:
        """CPU seconds by part since ``begin``; ``others`` is what did not belong to us."""
        spent = {part: seconds - self.before.get(part, 0.0) for part, seconds in self._cpu().items()}
        spent["others"] = max(0.0, _machine_seconds() - self.machine_before - sum(spent.values()))
        self._stop.set()
        assert self._thread is not None
        self._thread.join()
        return spent

    def _processes(self) -> Iterator[tuple[str, int]]:
        yield "client", os.getpid()
        for name, numbers in self.target.stack.pids().items():
            for process in (numbers[0], *descendants(numbers[0])):
                yield _part(name, process), process

    def _cpu(self) -> dict[str, float]:
        """CPU seconds by part: of each process, and of the children it has waited for."""
        found: dict[str, float] = defaultdict(float)
        for part, process in self._processes():
            try:
                fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            # The children of our own process are the parts themselves.
            times = fields[11:13] if part == "client" else fields[11:15]
            found[part] += sum(map(int, times)) / _TICKS
        return found

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            now: dict[str, float] = defaultdict(float)
            for part, process in self._processes():
                now[part] += _proportional_mib(process)
            for part, size in now.items():
                self.peak[part] = max(self.peak.get(part, 0.0), size)
                self.series[part].append(size)


def _machine_seconds() -> float:
    """CPU seconds that all processors of the machine were busy, or taken by its host, since it started."""
    user, nice, system, _idle, _wait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / _TICKS


def _part(name: str, process: int) -> str:
    if name != "api":
        return name
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes()
        parent = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        above = Path(f"/proc/{parent}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return name
    return "inspection" if b"inspection.helper" in command + above else name


def _proportional_mib(process: int) -> float:
    """Memory of a process; what several share counts for each by its part (PSS)."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


@dataclass
class Spent:
    """What a kind of step took in the workers: chunks, jobs, seconds, and seconds of the processor."""

    chunks: int = 0
    jobs: int = 0
    seconds: float = 0.0
    cpu: float = 0.0


@dataclass(frozen=True)
class Run:
    """One run's figures; times in seconds."""

    documents: int
    hand_in_seconds: float
    whole_seconds: float
    answers: Sequence[Answer]
    cpu: dict[str, float]
    memory: dict[str, float]
    steps: dict[str, Spent]
    series: dict[str, list[float]]


def run(home: Path, documents: int) -> Run:
    """Start everything, warm it up, hand in, wait for the end, check.

    Raises:
        RuntimeError: something is missing or double.
    """
    slots = len(os.sched_getaffinity(0))
    with running(home, ZENDING_PRINT_CUTOFF_SECONDS=str(CUTOFF_SECONDS), ZENDING_WORKER_SLOTS=str(slots)) as target:
        early = hand_in(target, requests(target, 20, seed=1), connections=CONNECTIONS)
        truth.wait_for_end(target, len(early), seconds=60.0)
        wanted = requests(target, documents)
        log = log_file(target.home, "worker")
        start = log.stat().st_size
        parts = Parts(target)
        parts.begin()
        began = time.perf_counter()
        answers = hand_in(target, wanted, connections=CONNECTIONS)
        handed_in = time.perf_counter() - began
        truth.wait_for_end(target, len(early) + documents, seconds=END_SECONDS, every=0.1)
        whole = time.perf_counter() - began
        cpu = parts.end()
        found = truth.judge(target, [*early, *answers])
        if found.faults or found.repeated_notices:
            raise RuntimeError("\n".join([*found.faults, f"{found.repeated_notices} notices went out twice"]))
        return Run(documents, handed_in, whole, answers, cpu, parts.peak, _steps(log, start), parts.series)


def _steps(log: Path, start: int) -> dict[str, Spent]:
    """By kind of step, from the workers' log."""
    found: dict[str, Spent] = defaultdict(Spent)
    with log.open("rb") as file:
        file.seek(start)
        for line in file:
            if b'"chunk"' not in line:
                continue
            entry = json.loads(line[line.index(b"{") :])
            spent = found[entry["kind"]]
            spent.chunks, spent.jobs = spent.chunks + 1, spent.jobs + entry["jobs"]
            spent.seconds, spent.cpu = spent.seconds + entry["seconds"], spent.cpu + entry["cpu"]
    return found


def bare(home: Path, rounds: int) -> float:
    """Documents a second if each were only inspected, sealed and written durably, one after the other, alone.

    The same documents and parts, without HTTP, database, queue, encryption, notices, letters or evidence.
    """
    chance = random.Random(20261123)
    names = chance.choices(list(WEIGHTS), weights=list(WEIGHTS.values()), k=rounds)
    files = {name: (DOCUMENTS / name).read_bytes() for name in WEIGHTS}
    home.mkdir()
    pki = ensure_pki(home / "pki")
    credential = ensure_seal(pki.folder, "Measuring", "measuring")
    key = FileSealKey.from_pem(credential.key, credential.certificate, credential.chain)
    with (
        authority(pki) as (url, _),
        HttpTimeStampAuthority(url, load_certificates(pki.trust_anchor)) as tsa,
        Inspector(InspectionLimits(), NoScanner()) as inspector,
    ):
        sealer = Sealer(key, tsa)
        for warm in (True, False):
            began = time.perf_counter()
            for number, name in enumerate(names[:10] if warm else names):
                inspector.inspect(files[name])
                _write_durably(home / f"{warm}-{number}", sealer.seal(files[name], at=datetime.now(UTC)))
        return rounds / (time.perf_counter() - began)


def _write_durably(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        write_all(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def results(done: Run, bound: float) -> Iterator[Result]:
    """The run as figures of the table."""
    speed = done.documents / done.whole_seconds
    yield rate("pipeline/floor", speed, "documents/s", peer="named floor", peer_value=FLOOR)
    yield rate("pipeline/bound", speed, "documents/s", peer="inspect, seal, fsync alone", peer_value=bound)
    yield rate("hand-in/rate", done.documents / done.hand_in_seconds, "documents/s")
    taken = sorted(answer.seconds * 1e3 for answer in done.answers)
    yield cost("hand-in/p50", taken[len(taken) // 2], "ms")
    yield cost("hand-in/p95", taken[int(len(taken) * 0.95)], "ms")
    ours = {part: seconds for part, seconds in done.cpu.items() if part != "others"}
    whole = sum(ours.values())
    yield cost("cpu/whole", whole * 1e3 / done.documents, "ms CPU/document")
    available = done.whole_seconds * len(os.sched_getaffinity(0))
    yield Result("cpu/busy", 100 * whole / available, "% of the cores")
    yield Result("cpu/others", 100 * done.cpu["others"] / available, "% of the cores")
    for part, seconds in sorted(ours.items(), key=lambda item: -item[1]):
        yield cost(f"cpu/{part}", seconds * 1e3 / done.documents, "ms CPU/document")
        yield Result(f"share/{part}", 100 * seconds / whole, "% of the CPU")
    for kind, spent in sorted(done.steps.items(), key=lambda item: -item[1].cpu):
        yield cost(f"step/{kind}", spent.cpu * 1e3 / done.documents, "ms CPU/document, in the worker")
        yield cost(f"took/{kind}", spent.seconds * 1e3 / done.documents, "ms/document")
        yield Result(f"chunk/{kind}", spent.jobs / spent.chunks, "jobs/chunk")
    for part, size in sorted(done.memory.items(), key=lambda item: -item[1]):
        yield cost(f"memory/{part}", size, "MiB peak")
    yield cost("memory/whole", sum(done.memory.values()), "MiB, sum of peaks")
    for part, sizes in sorted(done.series.items(), key=lambda item: -max(item[1])):
        tenth = len(sizes) // 10
        if tenth < _FLAT_SAMPLES or part == "client":
            continue
        # The first tenth is spent on filling caches.
        early, late = statistics.median(sizes[tenth : 2 * tenth]), statistics.median(sizes[-tenth:])
        yield cost(f"growth/{part}", late, "MiB at the end", peer="after a tenth", peer_value=early)


def main() -> None:
    parser = argparse.ArgumentParser(description="The whole way of a document, 30 % to mailboxes and 70 % on paper")
    parser.add_argument("--quick", action="store_true", help="fewer documents: under 50 seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--documents", type=int, metavar="N", help="how many are handed in")
    chosen = parser.parse_args()
    documents = chosen.documents or (400 if chosen.quick else 2000)
    with tempfile.TemporaryDirectory(prefix="zending bench ") as folder:
        bound = bare(Path(folder) / "bare", 50 if chosen.quick else 200)
        done = run(Path(folder) / "whole", documents)
    print(f"{documents} documents, {CONNECTIONS} connections, a print cut-off every {CUTOFF_SECONDS} s\n")
    report(results(done, bound), json_file=chosen.json)


if __name__ == "__main__":
    main()
