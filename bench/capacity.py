"""What each step costs with a thousand, a hundred thousand and fifteen million deliveries in the tables.

For each size a database of its own is filled with generated rows (bench/generated.py). Then deliveries are handed in
and taken through every step in this process, one kind of step after the other, and the processor time of this process,
of the inspection and of PostgreSQL's connections is counted for each. Lists and look-ups are asked over HTTP. From the
costs in the largest tables follows how long a night of one and a half million deliveries takes on machines of several
sizes.
"""

import argparse
import http.client
import itertools
import json
import logging
import os
import random
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psycopg
import structlog

from bench import generated
from bench.measure import Result, cost, report
from bench.running import DOCUMENTS, SENDERS, Running, citizens, connect, running
from service.db.jobs import JobKind, Lane
from service.domain.states import Actor
from service.embedded.program import descendants
from service.engine.steps import run_chunk
from service.ledger import sequencer
from service.usecases import batches
from service.usecases.admission import Sender, Upload
from service.usecases.hand_in import hand_in
from service.usecases.log_head import StoredHead
from service.usecases.steps import all_steps

SIZES = (1_000, 100_000, 15_000_000)
NIGHT = 1_500_000
CORES = (2, 8, 16, 32, 64)
BUSY = 0.8
"""The part of a machine's cores that the night's figure counts on; the rest is waiting and other work."""
ANSWER_MS = 50.0
PAGE = 50
FILES = ("permit-nl-libreoffice.pdf", "letter-fr-chromium.pdf", "notice-nl-ghostscript.pdf", "receipt-nl-reportlab.pdf")
KINDS = (JobKind.SEAL, JobKind.ROUTE, JobKind.DEPOSIT, JobKind.NOTIFY, JobKind.LETTER)
_TICKS = os.sysconf("SC_CLK_TCK")
# What PostgreSQL does by itself falls on whichever step is being measured just then.
_BACKGROUND = (b"autovacuum", b"checkpointer", b"background writer", b"walwriter", b"io worker", b"logical replication")


@dataclass(frozen=True)
class Size:
    """What was measured with that many deliveries in the tables.

    Attributes:
        steps: milliseconds of processor time per delivery, by step.
        queries: milliseconds until the answer at the 95th of a hundred, by call.
        gigabytes: of the database.
    """

    deliveries: int
    steps: dict[str, float]
    queries: dict[str, float]
    gigabytes: float


class Work:
    """Takes deliveries through all steps in this process and counts what each step costs."""

    def __init__(self, target: Running, organisation: Any) -> None:
        self._target = target
        self._application = target.application
        self._context = target.application.context
        self._organisation = organisation
        self._files = [(name, (DOCUMENTS / name).read_bytes()) for name in FILES]
        self._paper = citizens(10**6, first=610215001)
        self._numbers = itertools.count()
        self.handed_in: list[str] = []

    def round(self, deliveries: int) -> dict[str, float]:
        """Hand in and carry through; milliseconds per delivery by step."""
        spent: dict[str, float] = {}
        with self._counted(spent, "hand-in", deliveries):
            for number in range(deliveries):
                self._hand_in(digital=number % 10 < 3)
        steps = all_steps(self._context)
        for kind in KINDS:
            with self._counted(spent, kind.value, deliveries):
                while run_chunk(self._context.database, steps[kind], lease_seconds=60):
                    pass
        with self._counted(spent, "close", deliveries):
            batches.close(self._context, Actor.OPERATOR)
        with self._counted(spent, JobKind.HAND_OVER.value, deliveries):
            while run_chunk(self._context.database, steps[JobKind.HAND_OVER], lease_seconds=60):
                pass
        with self._counted(spent, "sequence", deliveries):
            head = StoredHead(self._application.store, self._application.settings.ledger_origin)
            sessions = self._context.database.session
            sequencer.tick(sessions, self._application.log_signer, head, self._context.clock())
        return spent

    def _hand_in(self, *, digital: bool) -> None:
        number = next(self._numbers)
        citizen = self._target.activated[number % len(self._target.activated)] if digital else next(self._paper)
        name, content = self._files[number % len(self._files)]
        person = f"Persoon {citizen[-4:]}"
        request = {
            "reference": f"C-{number:06d}",
            "recipient": {"type": "citizen", "id": citizen, "name": person},
            "postal_address": {
                "name": person,
                "street": "Kerkstraat",
                "number": str(1 + number % 200),
                "postcode": str(9000 + number % 90),
                "municipality": "Gent",
                "country": "BE",
            },
            "subject": "Beslissing over uw aanvraag",
            "language": "nl",
            "document_type": "decision",
        }
        sender = Sender(self._organisation, Lane.BULK)
        upload = Upload("document", name, content)
        done = hand_in(self._context, sender, json.dumps(request).encode(), [upload], key=secrets.token_hex(16))
        self.handed_in.append(done.delivery_id)

    @contextmanager
    def _counted(self, spent: dict[str, float], step: str, deliveries: int) -> Iterator[None]:
        before = self._seconds()
        yield
        spent[step] = (self._seconds() - before) * 1e3 / deliveries

    def _seconds(self) -> float:
        """Processor seconds of this process, its inspection, and PostgreSQL's connections."""
        found = time.process_time()
        server = self._target.stack.pids()["postgres"][0]
        for process in (*descendants(os.getpid()), *descendants(server)):
            try:
                command = Path(f"/proc/{process}/cmdline").read_bytes()
                fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            ours = b"inspection.helper" in command
            backend = command.startswith(b"postgres: ") and not any(name in command for name in _BACKGROUND)
            if ours or backend:
                found += sum(map(int, fields[11 : 15 if ours else 13])) / _TICKS
        return found


class Questions:
    """Lists, single deliveries and look-ups over HTTP, about deliveries that were just handed in."""

    def __init__(self, target: Running, handed_in: Sequence[str]) -> None:
        self._target = target
        self._ids = handed_in
        self._chance = random.Random(20261124)
        self._token = target.token(scope="deliveries:read recipients:lookup")

    def ask(self, times: int) -> dict[str, float]:
        """The 95th percentile of each call, in milliseconds."""
        begin, end = datetime.now(UTC) - timedelta(hours=2), datetime.now(UTC) + timedelta(hours=1)
        within = {"from": begin.isoformat(), "to": end.isoformat()}
        calls: dict[str, Callable[[], tuple[str, str, Any]]] = {
            "list/newest": lambda: ("GET", f"/v1/deliveries?{urlencode({**within, 'limit': PAGE})}", None),
            "list/after": lambda: (
                "GET",
                f"/v1/deliveries?{urlencode({'cursor': self._one(PAGE), 'limit': PAGE})}",
                None,
            ),
            "list/status": lambda: (
                "GET",
                f"/v1/deliveries?{urlencode({'status': 'handed_over', 'cursor': self._one(2 * PAGE), 'limit': PAGE})}",
                None,
            ),
            "list/reference": lambda: ("GET", f"/v1/deliveries?reference=C-{self._number():06d}", None),
            "delivery": lambda: ("GET", f"/v1/deliveries/{self._one(0)}", None),
            "delivery/events": lambda: ("GET", f"/v1/deliveries/{self._one(0)}/events", None),
            "delivery/evidence": lambda: ("GET", f"/v1/deliveries/{self._one(0)}/evidence", None),
            "look-up/1": lambda: ("POST", "/v1/recipients/lookup", self._whom(1)),
            "look-up/100": lambda: ("POST", "/v1/recipients/lookup", self._whom(100)),
            "look-up/1000": lambda: ("POST", "/v1/recipients/lookup", self._whom(1000)),
        }
        found = {}
        with closing(connect(self._target.stack.base_url)) as connection:
            for name, call in calls.items():
                taken = []
                for number in range(times + 10):
                    method, path, body = call()
                    began = time.perf_counter()
                    self._answer(connection, method, path, body)
                    if number >= 10:
                        taken.append((time.perf_counter() - began) * 1e3)
                found[name] = statistics.quantiles(taken, n=20)[-1]
        return found

    def _number(self) -> int:
        return self._chance.randrange(len(self._ids))

    def _one(self, before: int) -> str:
        """A delivery with at least that many older ones of ours."""
        return self._ids[self._chance.randrange(before, len(self._ids))] if before else self._ids[self._number()]

    def _whom(self, count: int) -> dict[str, Any]:
        first = 610215001 + self._chance.randrange(100_000)
        asked = [*itertools.islice(itertools.cycle(self._target.activated), count // 3), *citizens(count, first=first)]
        return {
            "purpose": "delivery",
            "recipients": [{"type": "citizen", "id": each} for each in dict.fromkeys(asked[:count])],
        }

    def _answer(self, connection: http.client.HTTPConnection, method: str, path: str, body: Any) -> None:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"{method} {path.partition('?')[0]}: {answer.status} {content[:300]!r}")
        found = json.loads(content)
        if not (found.get("items", True)):
            raise RuntimeError(f"{method} {path.partition('?')[0]} found nothing")


@contextmanager
def filled(home: Path, deliveries: int) -> Iterator[tuple[Running, str]]:
    """Servers over a filled database, and its address; one that was kept is brought to this release's schema."""
    done = home / "filled"
    known = {} if not done.exists() else {"mailboxes": 0}
    with running(home, here=True, **known, ZENDING_PRINT_CUTOFF_SECONDS="86400") as target:
        urls = target.stack.urls
        assert urls is not None
        database = urls.superuser.rpartition("/")[0] + "/" + urls.owner.rpartition("/")[2]
        if known:
            target.activated = done.read_text("ascii").split()
        else:
            origin = target.application.settings.ledger_origin
            fill = generated.fill(database, list(_organisations(database).values()), deliveries, origin=origin)
            print(f"{deliveries:,} deliveries generated in {fill.seconds:.0f} s", flush=True)
            done.write_text(" ".join(target.activated), "ascii")
        yield target, database


def measure(home: Path, deliveries: int, *, rounds: int, each: int, times: int) -> Size:
    """Measure with that many deliveries in the tables.

    Raises:
        RuntimeError: an answer was not what it must be.
    """
    with filled(home, deliveries) as (target, database):
        senders = _organisations(database)
        size = _gigabytes(database)
        work = Work(target, senders[SENDERS[0].slug])
        work.round(max(20, each // 4))
        taken: dict[str, list[float]] = defaultdict(list)
        for _ in range(rounds):
            for step, spent in work.round(each).items():
                taken[step].append(spent)
        target.stack.start_service()
        queries = Questions(target, work.handed_in).ask(times)
        return Size(deliveries, {step: statistics.median(values) for step, values in taken.items()}, queries, size)


def _organisations(url: str) -> dict[str, Any]:
    with psycopg.connect(url.replace("+psycopg", "", 1)) as connection:
        # What is asked here in a minute is more than a day's look-ups.
        connection.execute("UPDATE organisation SET lookup_quota = 1000000000")
        rows = connection.execute("SELECT slug, id FROM organisation WHERE kind <> 'platform'").fetchall()
    return {str(slug): organisation for slug, organisation in rows}


def _gigabytes(url: str) -> float:
    with psycopg.connect(url.replace("+psycopg", "", 1)) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return float(row[0]) / 1e9


def results(sizes: Sequence[Size]) -> Iterator[Result]:
    """The figures: each size beside the smallest, calls beside their bound, the night from the largest."""
    first, last = sizes[0], sizes[-1]
    for size in sizes:
        for step, value in size.steps.items():
            named = f"step/{step}/{size.deliveries}"
            yield cost(named, value, "ms CPU/delivery", peer=f"with {first.deliveries}", peer_value=first.steps[step])
        whole, before = sum(size.steps.values()), sum(first.steps.values())
        named = f"step/whole/{size.deliveries}"
        yield cost(named, whole, "ms CPU/delivery", peer=f"with {first.deliveries}", peer_value=before)
    for size in sizes:
        for call, value in size.queries.items():
            yield cost(f"{call}/{size.deliveries}", value, "ms p95", peer="bound", peer_value=ANSWER_MS)
        yield Result(f"database/{size.deliveries}", size.gigabytes, "GB")
    seconds = NIGHT * sum(last.steps.values()) / 1e3
    for cores in CORES:
        yield Result(f"night/{cores}-cores", seconds / cores / BUSY / 3600, f"hours for {NIGHT} deliveries")


def main() -> None:
    parser = argparse.ArgumentParser(description="What each step costs in small and in full tables")
    parser.add_argument("--quick", action="store_true", help="small tables only: under 50 seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--sizes", type=int, nargs="+", metavar="N", help="how many deliveries are in the tables")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep filled databases there for the next run")
    parser.add_argument("--fill", action="store_true", help="only fill (15 million deliveries: 60 GB, half an hour)")
    chosen = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    sizes = chosen.sizes or ((1_000, 10_000) if chosen.quick else SIZES)
    rounds, each, times = (2, 60, 40) if chosen.quick else (5, 200, 200)
    measured = []
    with tempfile.TemporaryDirectory(prefix="zending bench ") as temporary:
        for deliveries in sizes:
            home = (chosen.keep or Path(temporary)) / str(deliveries)
            if chosen.fill:
                with filled(home, deliveries):
                    continue
            measured.append(measure(home, deliveries, rounds=rounds, each=each, times=times))
            if chosen.keep is None:
                shutil.rmtree(home)
    if chosen.fill:
        return
    report(results(measured), json_file=chosen.json)


if __name__ == "__main__":
    main()
