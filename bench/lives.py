"""One run: a few deliveries over every way, in a process that may be killed, and in those that follow it.

A life is a forked process that plays all parts: it hands in as an agency's program would, works as the workers do,
runs the scheduler's loops, opens what came into a mailbox. Every part goes on after an error as the real one does: the
agency repeats with the same Idempotency-Key, a worker takes the next wake-up, the scheduler its next round, a person
tries again. When nothing is left to do but to wait (for a retry, a lease, a claim), time is moved on in the rows that
wait, and counted.
"""

import dataclasses
import hashlib
import json
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, cast

import psycopg

from bench.boundaries import Fault, Watch, watched
from bench.running import DOCUMENTS
from bench.verdict import verdict
from bench.wishes import UNSEALABLE, WISHES, Run, Wish
from bench.world import World, empty_broker
from service.bootstrap import Application, build
from service.domain.errors import (
    Conflict,
    Forbidden,
    IdempotencyRunning,
    Invalid,
    NotFound,
    PayloadTooLarge,
    TransitionRefused,
    Unauthenticated,
)
from service.domain.identifiers import RecipientId, RecipientKind
from service.embedded.fictional import RECIPIENTS, request
from service.settings import read_settings
from service.usecases import deliveries, mailbox
from service.usecases.admission import Sender, Upload
from service.usecases.hand_in import hand_in
from service.usecases.mailbox import Reader
from service.usecases.personal import find_hash
from service.usecases.steps import all_steps
from signing.archive import Kept
from signing.errors import PdfUnreadable
from signing.seal import Sealer
from workers.schedule import loops
from workers.tasks.wake import work

ROUNDS: Final = 6
LIVES: Final = 3
PATIENCE: Final = 120.0
"""Seconds, moved on or real, from a fault until everything is at its end."""
_HANGS: Final = 300.0
# What the sealer of a run refuses for good, as it does with a file that no seal can be put into.
_REFUSED: Final = hashlib.sha256((DOCUMENTS / UNSEALABLE).read_bytes()).digest()
_REFUSALS: Final = (Invalid, NotFound, Conflict, Forbidden, Unauthenticated, PayloadTooLarge)
_LEDGER_LOOPS: Final = ("sequence", "stamp")
_write, _fork = os.write, os.fork


def run(world: World, name: str, fault: Fault | None, *, skew: float = 0.0) -> Run:
    """Do one run, with one fault or none; returns once everything is at its end, or cannot be."""
    known = Run(name)
    for _ in range(LIVES):
        known.lives += 1
        status = _life(world, known, fault if known.struck is None else None, skew)
        if known.faults is not None:
            return known
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL or known.struck is None:
            known.faults = [f"a life ended by itself, with status {status}; it met {known.troubles[-5:]}"]
            return known
    known.faults = ["it was killed more often than it was hurt"]
    return known


def warm(world: World) -> None:
    """Live once in this process: what is loaded and kept for good (modules, fonts, tables) need not be again and again.

    Raises:
        RuntimeError: even without a fault all was not well.
    """
    known = Run("warm")
    life = Life(world, known, None, 0.0, lambda **line: known.take(line))
    life.live()
    life.close()
    if known.faults:
        raise RuntimeError(f"without any fault: {known.faults}, met {known.troubles}")


def _life(world: World, known: Run, fault: Fault | None, skew: float) -> int:
    """Fork a process that lives until all is done or it is killed; take in what it tells; its status."""
    reading, writing = os.pipe()
    process = _fork()
    if process == 0:
        status = 1
        try:
            os.close(reading)
            Life(world, known, fault, skew, lambda **line: _tell(writing, line)).live()
            status = 0
        except BaseException as error:  # noqa: BLE001  whatever it is, the other side is told and this process ends
            import traceback

            traceback.print_exc()
            _tell(writing, {"troubles": [*known.troubles, f"{type(error).__name__}: {error}"]})
        finally:
            os._exit(status)
    os.close(writing)
    rest = b""
    while True:
        if not select.select([reading], [], [], _HANGS)[0]:
            os.kill(process, signal.SIGTERM)
            break
        piece = os.read(reading, 1 << 16)
        if not piece:
            break
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            known.take(json.loads(line))
    os.close(reading)
    return os.waitpid(process, 0)[1]


def _tell(pipe: int, line: dict[str, Any]) -> None:
    content = json.dumps(line).encode() + b"\n"
    while content:
        content = content[_write(pipe, content) :]


class Life:
    """The life of one process; see the module."""

    def __init__(self, world: World, known: Run, fault: Fault | None, skew: float, tell: Callable[..., object]) -> None:
        self._world, self._run, self._tell = world, known, tell
        self._skew = timedelta(seconds=skew)
        self._fault = fault
        self._watch = Watch(fault, world.parties, self._struck)
        self._application = self._wired()
        self._context = self._application.context
        self._kinds = list(all_steps(self._context))
        self._loops = {name: once for name, _, once in loops(self._application)}

    def _wired(self) -> Application:
        made = build(read_settings(**self._world.settings), hands_in=True)
        real = made.context.sealer
        context = dataclasses.replace(
            made.context,
            clock=lambda: datetime.now(UTC) + self._skew,
            sealer=lambda organisation: cast("Sealer", _Sealer(real(organisation))),
        )
        return dataclasses.replace(made, context=context)

    def live(self) -> None:
        """Go on until everything is at its end."""
        with watched(self._watch, self._application.store, self._context.printers.first.provider):
            faults: list[str] = []
            for _ in range(ROUNDS):
                self._round()
                with self._watch.aside(), closing(self._owner()) as connection:
                    found = verdict(self._world, self._run, connection, self._application)
                    faults = found.faults
                    if not faults:
                        break
                    self._move_on(connection)
        self._tell(
            faults=faults,
            repeated_notices=found.repeated_notices,
            ended=time.time(),
            counts=dict(self._watch.counts),
            several=sorted(self._watch.several),
            troubles=self._run.troubles,
        )

    def close(self) -> None:
        """Let go of helpers and connections."""
        self._application.close()

    def _round(self) -> None:
        with self._watch.aside():
            self._begin_round()
        for wish in WISHES:
            if wish.name not in self._run.acknowledged:
                self._ask(partial(self._hand_in, wish))
        self._work()
        if self._run.cancelled is None and "cancelled" in self._run.acknowledged:
            self._ask(self._cancel)
        for once in self._loops.values():
            self._try(once)
        self._work()
        if not self._run.read and "portal" in self._run.acknowledged:
            self._try(self._read)
        self._skew += timedelta(seconds=1.1)
        for name in _LEDGER_LOOPS:
            self._try(self._loops[name])

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001  each part goes on as its real one does
            self._run.troubles.append(f"{type(error).__name__}: {error}"[:300])
        # The print house takes what is there away as soon as it is there: nothing may lean on it to lie there still.
        with self._watch.aside():
            self._world.fetch(self._run.name)

    def _ask(self, act: Callable[[], object]) -> None:
        """Do what a sender asks for; an answer that does not say "try again" would have made them give up."""

        def asked() -> None:
            try:
                act()
            except _REFUSALS as error:
                if not isinstance(error, IdempotencyRunning):
                    self._run.refused.append(str(error))
                    self._tell(refused=self._run.refused)
                raise

        self._try(asked)

    def _struck(self) -> None:
        if self._run.struck is None:
            self._run.struck = time.time()
            self._tell(struck=self._run.struck)

    def _hand_in(self, wish: Wish) -> None:
        uploads = [
            Upload("attachment" if number else "document", name, (DOCUMENTS / name).read_bytes())
            for number, name in enumerate(wish.documents)
        ]
        fields = {"subject": "Een brief", "document_type": "letter", "language": "nl", "registered": wish.registered}
        name = f"{self._run.name}-{wish.name}"
        raw = json.dumps(request(RECIPIENTS[wish.recipient], reference=name, **fields)).encode()
        sender = Sender(self._world.organisation, wish.lane)
        handed = hand_in(self._context, sender, raw, uploads, key=name)
        before = self._run.acknowledged.setdefault(wish.name, handed.delivery_id)
        if before != handed.delivery_id:
            raise RuntimeError("one key was acknowledged under two ids")
        self._tell(acknowledged={wish.name: handed.delivery_id})

    def _work(self) -> None:
        for kind in self._kinds:
            self._try(partial(work, self._application, kind))

    def _cancel(self) -> None:
        try:
            deliveries.cancel(self._context, self._world.organisation, self._run.acknowledged["cancelled"])
        except TransitionRefused:
            # Too late, or an earlier try had its effect although nobody heard of it.
            self._run.cancelled = False
        else:
            self._run.cancelled = True
        self._tell(cancelled=self._run.cancelled)

    def _read(self) -> None:
        number = RECIPIENTS["cem"].number
        assert number is not None
        recipient = RecipientId.parse(RecipientKind.CITIZEN, number)
        reader = Reader(find_hash(self._context, recipient), RecipientKind.CITIZEN, "substantial")
        delivery = self._run.acknowledged["portal"]
        mailbox.open_message(self._context, reader, delivery)
        file = mailbox.document(self._context, reader, delivery, 0)
        self._run.read, self._run.got = True, hashlib.sha256(file.content).hexdigest()
        self._tell(read=True, got=self._run.got)

    def _owner(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(self._world.owner_url, autocommit=True)

    def _begin_round(self) -> None:
        """The print house comes by, the broker's messages are taken, a cut-off comes."""
        self._world.fetch(self._run.name)
        empty_broker(str(self._world.settings["redis_url"]))
        with closing(self._owner()) as connection:
            connection.execute("UPDATE print_cutoff SET next_at = now() - interval '1 second'")

    def _move_on(self, connection: "psycopg.Connection[Any]") -> None:
        """Wait for what waits, by moving it here instead: jobs that are due later or leased, keys that are claimed."""
        row = connection.execute(
            """
            SELECT greatest(0, extract(epoch FROM max(until) - clock_timestamp())) FROM (
                SELECT greatest(due_at, lease_until) AS until FROM job WHERE parked_at IS NULL
                UNION ALL SELECT lease_until FROM idempotency_key WHERE status IS NULL) AS waiting
            """
        ).fetchone()
        if row is None or not row[0]:
            return
        seconds = float(row[0]) + 0.01
        connection.execute(
            "UPDATE job SET due_at = due_at - make_interval(secs => %(by)s),"
            " lease_until = lease_until - make_interval(secs => %(by)s)",
            {"by": seconds},
        )
        connection.execute(
            "UPDATE idempotency_key SET lease_until = lease_until - make_interval(secs => %s) WHERE status IS NULL",
            [seconds],
        )
        self._run.waited += seconds
        self._tell(waited=self._run.waited)


class _Sealer:
    """The real sealer (by its one method), but for the one document that no seal can be put into."""

    def __init__(self, real: Any) -> None:
        self._real = real

    shows, together = False, 1

    def seal_to_keep(self, pdf: bytes, *, at: datetime, code: str | None = None) -> Kept:
        """Seal, or refuse for good."""
        if hashlib.sha256(pdf).digest() == _REFUSED:
            raise PdfUnreadable("The document cannot be read.")
        kept: Kept = self._real.seal_to_keep(pdf, at=at, code=code)
        return kept
