"""Floods of the same requests: each key makes one delivery, however many ask with it at the same moment.

Two floods against the real processes over HTTP: many keys, each shown by twenty connections at once; and one key, shown
again and again as by somebody who clicks and clicks. Every answer is looked at, then the database is counted.
"""

import http.client
import itertools
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sqlalchemy import text

from bench.measure import Result, options, rate, report
from bench.running import Request, Running, connect, requests, running
from service.db.session import Database

PARALLEL: Final = 20
KEYS, QUICK_KEYS = 1000, 20
CLICKS, QUICK_CLICKS = 10_000, 300
PATIENCE: Final = 300.0
_PAUSE: Final = 0.05
_COUNTS: Final = text(
    """
    SELECT (SELECT count(*) FROM delivery), (SELECT count(DISTINCT reference) FROM delivery),
           (SELECT count(*) FROM submission), (SELECT count(*) FROM document),
           (SELECT count(*) FROM vault_object WHERE kept_at IS NOT NULL AND role LIKE 'original%'),
           (SELECT count(*) FROM delivery_event WHERE event = 'handed_in'),
           (SELECT count(*) FROM idempotency_key WHERE status IS NOT NULL)
    """
)


@dataclass
class Flood:
    """What came back.

    Attributes:
        answers: for each request, the different bodies of its acknowledgements: one of them, or something is wrong.
        posts: how many requests went out.
        told_to_wait: how many of them were answered with 409 (the first one runs) or 429.
        wrong: what should never be answered.
    """

    answers: list[set[bytes]]
    posts: int = 0
    told_to_wait: int = 0
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def check(self) -> None:
        """See to it that each request was acknowledged, always with the same bytes.

        Raises:
            RuntimeError: that is not so.
        """
        if self.wrong:
            raise RuntimeError(f"{len(self.wrong)} answers were neither 202 nor 409: {self.wrong[:3]}")
        differing = [place for place, bodies in enumerate(self.answers) if len(bodies) != 1]
        if differing:
            raise RuntimeError(f"requests that were not answered with one body: {differing[:10]}")


def flood(base_url: str, token: str, wanted: Sequence[Request], *, parallel: int) -> Flood:
    """Send each request over ``parallel`` connections at once, one request after the other."""
    start = threading.Barrier(parallel)

    def turns() -> Iterator[int]:
        for place in range(len(wanted)):
            start.wait(PATIENCE)
            yield place

    return _run(base_url, token, wanted, [turns] * parallel)


def click(base_url: str, token: str, request: Request, *, times: int, parallel: int) -> Flood:
    """Send one request ``times`` times over several connections, each as fast as it is answered."""
    shares = [len(range(number, times, parallel)) for number in range(parallel)]
    return _run(base_url, token, [request], [partial(itertools.repeat, 0, share) for share in shares])


def _run(base_url: str, token: str, wanted: Sequence[Request], clients: Sequence[Callable[[], Iterable[int]]]) -> Flood:
    found = Flood([set() for _ in wanted])

    def work(turns: Callable[[], Iterable[int]]) -> None:
        with closing(connect(base_url, timeout=PATIENCE)) as connection:
            for place in turns():
                _until_acknowledged(connection, token, wanted[place], found, place)

    def guarded(turns: Callable[[], Iterable[int]]) -> None:
        try:
            work(turns)
        except Exception as error:  # noqa: BLE001  told with the rest of what is wrong
            with found.lock:
                found.wrong.append(repr(error))

    began = time.monotonic()
    threads = [threading.Thread(target=guarded, args=(turns,)) for turns in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found.seconds = time.monotonic() - began
    return found


def _until_acknowledged(
    connection: http.client.HTTPConnection, token: str, request: Request, found: Flood, place: int
) -> None:
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": request.content_type,
        "Idempotency-Key": request.key,
    }
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        connection.request("POST", "/v1/deliveries", request.body, headers)
        answer = connection.getresponse()
        body = answer.read()
        waits = answer.status == http.client.TOO_MANY_REQUESTS or (
            answer.status == http.client.CONFLICT and json.loads(body)["code"] == "idempotency_key_running"
        )
        with found.lock:
            found.posts += 1
            found.told_to_wait += waits
            if answer.status == http.client.ACCEPTED:
                found.answers[place].add(body)
            elif not waits:
                found.wrong.append(f"{answer.status}: {body[:200]!r}")
        if not waits:
            return
        time.sleep(_PAUSE)
    with found.lock:
        found.wrong.append("never acknowledged")


def counted(database: Database, organisations: Sequence[object]) -> set[int]:
    """The numbers of rows that must all be the number of keys."""
    with database.transaction(organisations=organisations) as session:  # type: ignore[arg-type]
        return set(session.execute(_COUNTS).one())


def _measured(target: Running, *, keys: int, clicks: int) -> list[Result]:
    token = target.token()
    wanted = requests(target, keys + 1, digital=0.3)
    many = flood(target.stack.base_url, token, wanted[:keys], parallel=PARALLEL)
    many.check()
    again = click(target.stack.base_url, token, wanted[keys], times=clicks, parallel=PARALLEL)
    again.check()
    database = target.application.context.database
    with database.transaction() as session:
        senders = list(session.scalars(text("SELECT id FROM organisation")))
    numbers = counted(database, senders)
    if numbers != {keys + 1}:
        raise RuntimeError(f"{keys + 1} keys made {sorted(numbers)} rows")
    return [
        Result(f"deliveries of {keys} keys × {PARALLEL} parallel posts", keys, "deliveries", "keys", keys, 1.0),
        rate("posts of that flood", many.posts / many.seconds, "posts/s"),
        Result("of them told to wait", many.told_to_wait, "posts"),
        Result(
            f"deliveries of {again.posts - again.told_to_wait} clicks on one form", 1, "deliveries", "forms", 1, 1.0
        ),
        rate("posts of those clicks", again.posts / again.seconds, "posts/s"),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both floods and count."""
    asked = options(__doc__ or "", arguments)
    with tempfile.TemporaryDirectory(prefix="zending-floods-") as folder, running(Path(folder) / "home") as target:
        results = _measured(
            target, keys=QUICK_KEYS if asked.quick else KEYS, clicks=QUICK_CLICKS if asked.quick else CLICKS
        )
    report(results, json_file=asked.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
