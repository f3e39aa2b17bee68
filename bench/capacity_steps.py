"""What each step of a delivery costs, done in this process over a filled database; for bench/capacity.py."""

import itertools
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.running import DOCUMENTS, Running, citizens
from service.db.jobs import JobKind, Lane
from service.domain.states import Actor
from service.embedded.program import descendants
from service.engine.steps import run_chunk
from service.ledger import sequencer
from service.usecases import print_runs
from service.usecases.admission import Sender, Upload
from service.usecases.hand_in import hand_in
from service.usecases.log_head import StoredHead
from service.usecases.steps import all_steps

FIRST_ON_PAPER = 610215001
"""The number of the first recipient without a mailbox, without its check digits."""
_FILES = (
    "permit-nl-libreoffice.pdf",
    "letter-fr-chromium.pdf",
    "notice-nl-ghostscript.pdf",
    "receipt-nl-reportlab.pdf",
)
_KINDS = (JobKind.SEAL, JobKind.ROUTE, JobKind.DEPOSIT, JobKind.NOTIFY, JobKind.LETTER)
_TICKS = os.sysconf("SC_CLK_TCK")
# What PostgreSQL does by itself falls on whichever step is being measured just then.
_BACKGROUND = (b"autovacuum", b"checkpointer", b"background writer", b"walwriter", b"io worker", b"logical replication")


class Work:
    """Takes deliveries through all steps in this process and counts what each step costs."""

    def __init__(self, target: Running, organisation: Any, *, already: int) -> None:
        """Begin.

        Args:
            target: servers over the filled database.
            organisation: who hands in.
            already: how many deliveries earlier runs handed in.
        """
        self._target = target
        self._application = target.application
        self._context = target.application.context
        self._organisation = organisation
        self._files = [(name, (DOCUMENTS / name).read_bytes()) for name in _FILES]
        self._paper = citizens(10**6, first=FIRST_ON_PAPER)
        self._numbers = itertools.count(already)

    def round(self, deliveries: int) -> tuple[dict[str, float], list[str]]:
        """Hand in and carry through; milliseconds per delivery by step, and the deliveries."""
        spent: dict[str, float] = {}
        with self._counted(spent, "hand-in", deliveries):
            handed_in = [self._hand_in(digital=number % 10 < 3) for number in range(deliveries)]
        steps = all_steps(self._context)
        for kind in _KINDS:
            with self._counted(spent, kind.value, deliveries):
                while run_chunk(self._context.database, steps[kind], lease_seconds=60):
                    pass
        with self._counted(spent, "close", deliveries):
            print_runs.close(self._context, Actor.OPERATOR)
        with self._counted(spent, JobKind.HAND_OVER.value, deliveries):
            while run_chunk(self._context.database, steps[JobKind.HAND_OVER], lease_seconds=60):
                pass
        with self._counted(spent, "sequence", deliveries):
            head = StoredHead(self._application.store, self._application.settings.ledger_origin)
            sessions = self._context.database.session
            sequencer.tick(sessions, self._application.log_signer, head, self._context.clock())
        return spent, handed_in

    def _hand_in(self, *, digital: bool) -> str:
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
        return hand_in(
            self._context, sender, json.dumps(request).encode(), [upload], key=secrets.token_hex(16)
        ).delivery_id

    @contextmanager
    def _counted(self, spent: dict[str, float], step: str, deliveries: int) -> Iterator[None]:
        before = self._seconds()
        yield
        spent[step] = (self._seconds() - before) * 1e3 / deliveries

    def _seconds(self) -> float:
        """Processor seconds of this process, its inspection, and PostgreSQL's connections."""
        found = time.process_time()
        server = self._target.stack.pids()["postgres"][0]
        for process in descendants(server):
            found += _backend_seconds(process)
        for process in descendants(os.getpid()):
            found += _inspection_seconds(process)
        return found


def _backend_seconds(process: int) -> float:
    """Of one connection's server process, which has one thread; to the nanosecond, where ticks are a hundredth."""
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes()
        if not command.startswith(b"postgres: ") or any(name in command for name in _BACKGROUND):
            return 0.0
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def _inspection_seconds(process: int) -> float:
    """Of the inspection's helper and of its children that ended, one per document."""
    try:
        if b"inspection.helper" not in Path(f"/proc/{process}/cmdline").read_bytes():
            return 0.0
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS
