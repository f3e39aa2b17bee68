"""Faults at every boundary, one per run, and what is left of it: ``python -m bench.faults --n 2000 --seed 1``.

First, runs without a fault record every call that leaves the process: the catalogue. Then each run hurts one of these
calls at one moment (see ``bench.boundaries``), goes on until everything is at its end (``bench.lives``), and is judged
(``bench.truth``). Each point comes with each moment before any comes again with another of its calls.

What goes wrong is printed with what replays it alone: ``--only 'POINT#NUMBER@MOMENT'``.

Thousands take an hour. With ``--kept FILE`` each run is written down there as soon as it is judged, a later start goes
on with the points and moments that did not have their turn yet, and the figures are those of all starts together.
"""

import argparse
import itertools
import json
import logging
import math
import multiprocessing
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import structlog

from bench import lives
from bench.boundaries import Fault, Moment
from bench.measure import Result, cost, report
from bench.running import Answer, running
from bench.schedulers import side_by_side
from bench.verdict import world_faults
from bench.wishes import Run
from bench.world import World, parties, world

QUICK: Final = 12
# The judge's clock moves on a little from run to run, so that each has a time-stamp of its own to fetch.
_STEP: Final = 2.5
_WITHIN: Final = frozenset({Moment.BEFORE, Moment.LOST, Moment.DIES})


@dataclass(frozen=True)
class Catalogue:
    """Every point that runs without a fault came by: how often, and which carry several things at once."""

    counts: Mapping[str, int]
    several: frozenset[str]

    def faults(self, chance: random.Random, done: Mapping[tuple[str, Moment], int]) -> Iterator[Fault]:
        """Faults without end: each point with each moment, in an order by chance, then all of them once more.

        Args:
            chance: decides on the order.
            done: how often earlier starts had which of them; those wait until the others had as many turns.
        """
        every = [(point, moment) for point in sorted(self.counts) for moment in sorted(_WITHIN)]
        every += [(point, Moment.HALF) for point in sorted(self.several)]
        for turn in itertools.count():
            chance.shuffle(every)
            for point, moment in every:
                if done.get((point, moment), 0) <= turn:
                    yield Fault(point, chance.randint(1, self.counts[point]), moment)


@dataclass
class Tally:
    """What came of the runs so far, and of those that are kept in a file from earlier starts."""

    kept: Path | None = None
    turns: Counter[tuple[str, Moment]] = field(default_factory=Counter)
    struck: Counter[tuple[str, Moment]] = field(default_factory=Counter)
    places: set[str] = field(default_factory=set)
    seconds: list[float] = field(default_factory=list)
    missed: int = 0
    repeated_notices: int = 0
    anomalies: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.kept is not None and self.kept.exists():
            for line in self.kept.read_text("utf-8").splitlines():
                self._count(**json.loads(line))

    def add(self, fault: Fault, run: Run) -> None:
        """Count one run, and keep it; print what is wrong with it."""
        wrong = ["it came to no end"] if run.faults is None else list(run.faults)
        happened = bool(wrong) or run.struck is not None
        if not wrong and happened and run.seconds > lives.PATIENCE:
            wrong.append(f"it took {run.seconds:.0f} s")
        if wrong:
            print(f"\nANOMALY --only '{fault}'", *wrong, f"met: {run.troubles[:4]}", sep="\n  ", flush=True)
        row = {"fault": str(fault), "happened": happened, "seconds": run.seconds, "wrong": wrong}
        row["repeated_notices"] = run.repeated_notices
        if self.kept is not None:
            with self.kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        self._count(**row)

    def _count(
        self, fault: str, seconds: float, repeated_notices: int, wrong: Sequence[str], *, happened: bool
    ) -> None:
        known = Fault.parse(fault)
        self.turns[known.point, known.moment] += 1
        if not happened:
            self.missed += 1
            return
        self.struck[known.point.partition(".")[0], known.moment] += 1
        self.places.add(known.point)
        self.seconds.append(seconds)
        self.repeated_notices += repeated_notices
        if wrong:
            self.anomalies.append(f"{fault}: {'; '.join(wrong)}")


def _shard(place: World, name: str, faults: Sequence[Fault | None], ends: float, line: "Connection[Any, Any]") -> None:
    """Do runs, and tell of each; stop after one that left something behind, or whenever nobody listens any more."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    lives.warm(place)
    for number, fault in enumerate(faults):
        if time.monotonic() > ends:
            break
        run = lives.run(place, f"{name}-{number}", fault, skew=number * _STEP)
        line.send(run)
        if run.faults:
            return
    line.send([*world_faults(place)])


class Campaign:
    """Worlds with a process in each, side by side, and the faults they work through."""

    def __init__(self, home: Path, stack: Any, scanner: int) -> None:
        self._home, self._stack, self._scanner = home, stack, scanner
        self._names = itertools.count()
        self._lock = threading.Lock()
        self._context = multiprocessing.get_context("spawn")

    def record(self) -> Catalogue:
        """Run twice without a fault: the first time, connections and caches are made; both are the catalogue."""
        counts: Counter[str] = Counter()
        several: set[str] = set()
        for run in self._runs([None, None]):
            if run.faults:
                raise SystemExit(f"without any fault: {run.faults}, met {run.troubles}")
            counts |= Counter(run.counts)
            several |= set(run.several)
        return Catalogue(counts, frozenset(several))

    def hurt(self, faults: Iterator[Fault], tally: Tally, *, until: int, jobs: int, seconds: float = math.inf) -> None:
        """Take faults until as many happened as are wanted, none is left, or the time is over."""
        ends = time.monotonic() + seconds

        left: list[Fault] = []

        def work() -> None:
            while time.monotonic() < ends and (wanted := self._more(tally, until, jobs)) > 0:
                with self._lock:
                    chosen = [*itertools.islice(itertools.chain(left, faults), wanted)]
                    del left[: len(chosen)]
                if not chosen:
                    return
                taken = 0
                for run in self._runs(chosen, ends):
                    with self._lock:
                        tally.add(chosen[taken], run)
                        done = sum(tally.struck.values())
                    taken += 1
                    if done % 100 == 0:
                        print(f"{done} faults, {len(tally.anomalies)} anomalies", flush=True)
                with self._lock:
                    # What came after one that left something behind.
                    left.extend(chosen[taken:])

        threads = [threading.Thread(target=work) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _more(self, tally: Tally, until: int, jobs: int) -> int:
        with self._lock:
            left = until - sum(tally.struck.values())
        # A fresh world now and then, so that none grows so large that judging it takes longer than living in it.
        return min(150, -(-left // jobs))

    def _runs(self, faults: Sequence[Fault | None], ends: float = math.inf) -> Iterator[Run]:
        """The runs in one world; fewer than asked for when one left something behind."""
        number = next(self._names)
        folder = self._home / f"world-{number}"
        folder.mkdir()
        with world(self._stack, self._scanner, folder, broker=number % 16) as place:
            ours, theirs = self._context.Pipe(duplex=False)
            process = self._context.Process(target=_shard, args=(place, f"w{number}", faults, ends, theirs))
            process.start()
            theirs.close()
            try:
                while (told := _received(ours)) is not None:
                    if isinstance(told, Run):
                        yield told
                    elif told:
                        raise RuntimeError(f"a world is not right at its end: {told}")
            finally:
                ours.close()
                process.join()
            if process.exitcode != 0:
                # Whatever it would still have said about the world, nobody heard it.
                raise RuntimeError(f"a world's process ended with {process.exitcode}")


def _received(line: "Connection[Any, Any]") -> Any:
    try:
        return line.recv()
    except EOFError:
        return None


def _results(catalogue: Catalogue, tally: Tally) -> list[Result]:
    boundaries = sorted({point.partition(".")[0] for point in catalogue.counts})
    found = [cost("points found", len(catalogue.counts), "points")]
    found += [cost("points hurt", len(tally.places), "points"), cost("faults", sum(tally.struck.values()), "faults")]
    found += [
        cost(f"{boundary}, {moment.value}", tally.struck[boundary, moment], "faults")
        for boundary in boundaries
        for moment in Moment
        if tally.struck[boundary, moment]
    ]
    ordered = sorted(tally.seconds) or [0.0]
    return [
        *found,
        cost("from a fault to the end, median", ordered[len(ordered) // 2], "s"),
        cost("from a fault to the end, 99 of 100", ordered[int(len(ordered) * 0.99)], "s"),
        cost("from a fault to the end, longest", ordered[-1], "s"),
        cost("notices sent again under their Message-ID", tally.repeated_notices, "messages"),
        cost("faults that came too late to happen", tally.missed, "faults"),
        cost("lost, doubled, or not at an end", len(tally.anomalies), "faults"),
    ]


def _two_schedulers(home: Path, seconds: float, seed: int, json_file: Path | None) -> int:
    answers: list[Answer] = []
    with running(home / "home", ZENDING_PRINT_CUTOFF_SECONDS="4") as target:
        found = side_by_side(target, seconds, answers=answers, patience=lives.PATIENCE, seed=seed)
    results = [
        cost("two schedulers side by side", seconds, "s"),
        cost("deliveries meanwhile", len(answers), "deliveries"),
        cost("notices sent again under their Message-ID", found.repeated_notices, "messages"),
        cost("lost, doubled, or not at an end", len(found.faults), "faults"),
    ]
    report(results, json_file=json_file)
    print(*found.faults, sep="\n")
    return 1 if found.faults else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=2000, help="how many faults must happen")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="worlds side by side")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop then, with what was done")
    parser.add_argument("--kept", type=Path, metavar="FILE", help="keep each run there, and go on where it ends")
    parser.add_argument("--only", action="append", metavar="POINT#NUMBER@MOMENT", help="these faults alone")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} faults: under 50 seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument(
        "--schedulers", type=float, metavar="SECONDS", help="two schedulers side by side instead, such as 600"
    )
    parser.add_argument("--catalogue", action="store_true", help="only print the points")
    given = parser.parse_args()
    tally = Tally(given.kept)
    # In memory where that is possible: no power is cut here, and the disk is somebody else's too.
    memory = Path("/dev/shm")  # noqa: S108  only where the folder for this run is made, for us alone
    with tempfile.TemporaryDirectory(prefix="zending-faults-", dir=memory if memory.is_dir() else None) as folder:
        home = Path(folder)
        if given.schedulers:
            return _two_schedulers(home, given.schedulers, given.seed, given.json)
        with parties(home / "home") as (stack, scanner):
            campaign = Campaign(home, stack, scanner)
            catalogue = campaign.record()
            print(f"{len(catalogue.counts)} points", flush=True)
            if given.catalogue:
                for point, count in sorted(catalogue.counts.items()):
                    print(f"{count:5d} {point}")
                return 0
            if given.only:
                faults: Iterator[Fault] = iter([Fault.parse(text) for text in given.only])
                campaign.hurt(faults, tally, until=len(given.only), jobs=1)
            else:
                faults = catalogue.faults(random.Random(given.seed), tally.turns)
                until = QUICK if given.quick else given.n
                campaign.hurt(faults, tally, until=until, jobs=given.jobs, seconds=given.minutes * 60)
    report(_results(catalogue, tally), json_file=given.json)
    for anomaly in tally.anomalies:
        print(f"seed {given.seed}: {anomaly}")
    return 1 if tally.anomalies else 0


if __name__ == "__main__":
    sys.exit(main())
