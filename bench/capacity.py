"""What each step costs with a thousand, a hundred thousand and fifteen million deliveries in the tables.

For each size a database of its own is filled with generated rows (bench/generated.py). Then deliveries are handed in
and taken through every step in this process, one kind of step after the other, and the processor time of this process,
of the inspection and of PostgreSQL's connections is counted for each. The sizes take turns, so that a machine that is
busy for a moment is busy for all of them; a step's ratio to the smallest tables is the median over the rounds, and
beside it stands its noise: how far two rounds in the same, smallest, tables lie apart. Lists and look-ups are asked
over HTTP. From the costs in the largest tables follows how long a night of one and a half million deliveries takes on
machines of several sizes.

With ``--keep FOLDER`` it can be done in pieces: ``--fill`` fills, ``--piece steps`` and ``--piece answers`` measure one
thing and add it to what the folder holds, ``--piece report`` tells what it holds by then.
"""

import argparse
import json
import logging
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psycopg
import structlog

from bench import generated
from bench.capacity_questions import Questions
from bench.capacity_steps import Work
from bench.measure import Result, cost, report
from bench.running import SENDERS, Running, running

SIZES = (1_000, 100_000, 15_000_000)
NIGHT = 1_500_000
CORES = (2, 8, 16, 32, 64)
BUSY = 0.8
"""The part of a machine's cores that the night's figure counts on; the rest is waiting and other work."""
ANSWER_MS = 50.0
SAME = 0.2
"""By how much a step may cost more in full tables than in small ones."""
Alone = AbstractContextManager[Any]
FILLED, HANDED_IN, MEASURED = "filled", "handed-in", "measured.jsonl"


@dataclass
class Measured:
    """What was measured with that many deliveries in the tables.

    Attributes:
        steps: milliseconds of processor time per delivery, by step, one for each round.
        answers: milliseconds until each answer, by call.
        gigabytes: of the database.
    """

    steps: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    answers: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    gigabytes: float = 0.0


class Tables:
    """Servers over one filled database."""

    def __init__(self, home: Path, target: Running) -> None:
        self.home, self.target = home, target
        urls = target.stack.urls
        assert urls is not None
        self.url = urls.superuser.rpartition("/")[0] + "/" + urls.owner.rpartition("/")[2]

    @classmethod
    @contextmanager
    def opened(cls, home: Path, deliveries: int) -> Iterator[Self]:
        """Start them; a database that was kept is brought to this release's schema, another is filled."""
        done = home / FILLED
        known: dict[str, Any] = {"mailboxes": 0} if done.exists() else {}
        with running(home, here=True, **known, ZENDING_PRINT_CUTOFF_SECONDS="86400") as target:
            tables = cls(home, target)
            if known:
                target.activated = done.read_text("ascii").split()
            else:
                origin = target.application.settings.ledger_origin
                fill = generated.fill(tables.url, list(tables.organisations().values()), deliveries, origin=origin)
                print(f"{deliveries:,} deliveries generated in {fill.seconds:.0f} s", flush=True)
                done.write_text(" ".join(target.activated), "ascii")
            yield tables

    def organisations(self) -> dict[str, Any]:
        """The senders' ids by their slugs."""
        with psycopg.connect(self.url.replace("+psycopg", "", 1)) as connection:
            # What is asked here in a minute is more than a day's look-ups.
            connection.execute("UPDATE organisation SET lookup_quota = 1000000000")
            rows = connection.execute("SELECT slug, id FROM organisation WHERE kind <> 'platform'").fetchall()
        return {str(slug): organisation for slug, organisation in rows}

    def gigabytes(self) -> float:
        """Of the database."""
        with psycopg.connect(self.url.replace("+psycopg", "", 1)) as connection:
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        assert row is not None
        return float(row[0]) / 1e9

    def handed_in(self) -> list[str]:
        """The deliveries that were handed in here so far, oldest first."""
        file = self.home / HANDED_IN
        return file.read_text("ascii").split() if file.exists() else []

    def remember(self, deliveries: Sequence[str]) -> None:
        """Add deliveries that were handed in."""
        with (self.home / HANDED_IN).open("a", encoding="ascii") as file:
            file.writelines(f"{each}\n" for each in deliveries)


class Notes:
    """What was measured so far, a line of a file for each piece."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / MEASURED

    def add(self, deliveries: int, **found: Any) -> None:
        """Add a piece."""
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"deliveries": deliveries, **found}) + "\n")

    def read(self) -> dict[int, Measured]:
        """Everything, by how many deliveries were in the tables, least first."""
        sizes: dict[int, Measured] = defaultdict(Measured)
        for line in self._file.read_text("utf-8").splitlines():
            piece = json.loads(line)
            size = sizes[piece["deliveries"]]
            for step, spent in piece.get("steps", {}).items():
                size.steps[step].append(spent)
            for call, taken in piece.get("answers", {}).items():
                size.answers[call] += taken
            size.gigabytes = piece.get("gigabytes", size.gigabytes)
        return dict(sorted(sizes.items()))


def measure_steps(
    folder: Path, sizes: Sequence[int], *, rounds: int, each: int, alone: Callable[[], Alone] = nullcontext
) -> None:
    """Take deliveries through all steps, ``each`` in a round, the sizes in turns; a first round does not count.

    ``alone`` is entered for each round, for whoever shares the machine and can hold others off for a minute.
    """
    notes = Notes(folder)
    with ExitStack() as stack:
        works = []
        for deliveries in sizes:
            tables = stack.enter_context(Tables.opened(folder / str(deliveries), deliveries))
            work = Work(tables.target, tables.organisations()[SENDERS[0].slug], already=len(tables.handed_in()))
            tables.remember(work.round(max(20, each // 4))[1])
            notes.add(deliveries, gigabytes=tables.gigabytes())
            works.append((deliveries, tables, work))
        for number in range(rounds):
            with alone():
                # Whoever comes first in a round comes last in the next.
                for deliveries, tables, work in works[:: -1 if number % 2 else 1]:
                    spent, handed_in = work.round(each)
                    tables.remember(handed_in)
                    notes.add(deliveries, steps=spent)


def measure_answers(
    folder: Path, sizes: Sequence[int], *, times: int, alone: Callable[[], Alone] = nullcontext
) -> None:
    """Ask over HTTP, about what was handed in while steps were measured; ``alone`` as above, for each size."""
    notes = Notes(folder)
    for deliveries in sizes:
        with Tables.opened(folder / str(deliveries), deliveries) as tables:
            tables.organisations()
            tables.target.stack.start_service()
            questions = Questions(tables.target, tables.handed_in())
            with alone():
                for call, taken in questions.ask(times):
                    notes.add(deliveries, answers={call: taken})


def results(sizes: dict[int, Measured]) -> Iterator[Result]:
    """The figures: each size beside the smallest, calls beside their bound, the night from the largest."""
    first, last = next(iter(sizes)), list(sizes)[-1]
    for deliveries, size in sizes.items():
        for step in [*size.steps, "whole"]:
            value, base = _rounds(size, step), _rounds(sizes[first], step)
            # Rounds that were done beside one another are compared with one another.
            ratio = statistics.median(small / full for small, full in zip(base, value, strict=False))
            yield Result(
                f"step/{step}/{deliveries}",
                statistics.median(value),
                "ms CPU/delivery",
                f"with {first}",
                statistics.median(base),
                ratio,
            )
    for step in [*sizes[first].steps, "whole"]:
        apart = [abs(one - other) / one for one, other in pairwise(_rounds(sizes[first], step))]
        yield cost(f"noise/{step}", statistics.median(apart), "between rounds", peer="bound", peer_value=SAME)
    for deliveries, size in sizes.items():
        for call, taken in size.answers.items():
            value = statistics.quantiles(taken, n=20)[-1]
            yield cost(f"{call}/{deliveries}", value, "ms p95", peer="bound", peer_value=ANSWER_MS)
        yield Result(f"database/{deliveries}", size.gigabytes, "GB")
    seconds = NIGHT * statistics.median(_rounds(sizes[last], "whole")) / 1e3
    for cores in CORES:
        yield Result(f"night/{cores}-cores", seconds / cores / BUSY / 3600, f"hours for {NIGHT} deliveries")


def _rounds(size: Measured, step: str) -> list[float]:
    """What a step cost in each round; all steps together as ``whole``."""
    if step == "whole":
        return [sum(spent) for spent in zip(*size.steps.values(), strict=True)]
    return size.steps[step]


def main() -> None:
    parser = argparse.ArgumentParser(description="What each step costs in small and in full tables")
    parser.add_argument("--quick", action="store_true", help="small tables only: under 50 seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--sizes", type=int, nargs="+", metavar="N", help="how many deliveries are in the tables")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep filled databases and figures there")
    parser.add_argument("--fill", action="store_true", help="only fill (15 million: 63 GB, up to an hour)")
    parser.add_argument("--piece", choices=("steps", "answers", "report"), help="only this; needs --keep")
    parser.add_argument("--rounds", type=int, help="how often each size has its turn")
    chosen = parser.parse_args()
    if chosen.piece and chosen.keep is None:
        parser.error("--piece needs --keep: what it measures must stay somewhere")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    sizes = chosen.sizes or ((1_000, 10_000) if chosen.quick else SIZES)
    rounds, each, times = (3, 60, 40) if chosen.quick else (10, 200, 200)
    with tempfile.TemporaryDirectory(prefix="zending bench ") as temporary:
        folder = chosen.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if chosen.fill:
            for deliveries in sizes:
                with Tables.opened(folder / str(deliveries), deliveries):
                    pass
            return
        if chosen.piece in {None, "steps"}:
            measure_steps(folder, sizes, rounds=chosen.rounds or rounds, each=each)
        if chosen.piece in {None, "answers"}:
            measure_answers(folder, sizes, times=times)
        if chosen.piece in {None, "report"}:
            report(results(Notes(folder).read()), json_file=chosen.json)


if __name__ == "__main__":
    main()
