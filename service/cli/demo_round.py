"""The demonstration's round: hands in the samples as agencies do and follows each to its end."""

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from cryptography import x509

from service.cli.demo_calls import CallRefused, Calls, Paper
from service.cli.demo_house import House
from service.domain.states import LegState
from service.embedded.fictional import Sample
from service.embedded.kept import write_durably
from service.embedded.privileges import private_folder
from service.ledger.verify import verify_evidence

PATIENCE: Final = 180.0
"""Seconds without any progress after which a delivery counts as stuck."""

_PAUSE: Final = 0.5
_DIGITAL = frozenset({LegState.OFFERED.value, LegState.AVAILABLE.value, LegState.OPENED.value})
_PAPER = frozenset(
    state.value
    for state in (LegState.HANDED_OVER, LegState.PRINTED, LegState.POSTED, LegState.DELIVERED, LegState.RETURNED)
)
_ARRIVED: Final = _DIGITAL | _PAPER
_OVER: Final = frozenset({"rejected", "cancelled", "withdrawn", "undeliverable"})
_NEEDED: Final[Mapping[str, tuple[frozenset[str], ...]]] = {
    "digital": (
        frozenset({"SubmissionAcceptance"}),
        # What is offered first lies there once its addressee accepts it.
        frozenset({"ContentConsignment", "NotificationForAcceptance"}),
        frozenset({"ConsignmentNotification", "ConsignmentNotificationFailure", "NotificationForAcceptance"}),
    ),
    "paper": (frozenset({"SubmissionAcceptance"}), frozenset({"RelayToNonERDS"})),
}
"""The evidence that a delivery has at its end: one of each set."""


@dataclass
class Row:
    """One sample on its way.

    Attributes:
        delivery: as the service last told it; None before it is handed in, and when it was refused.
        refusal: why it was not taken.
        evidence: events, and whether they are published.
        verified: whether all evidence held when it was verified offline; None before.
        saved: the sealed document.
        known: it was there from an earlier start.
    """

    sample: Sample
    delivery: dict[str, Any] | None = None
    refusal: CallRefused | None = None
    evidence: list[dict[str, Any]] = field(default_factory=list)
    verified: bool | None = None
    saved: Path | None = None
    known: bool = False

    @property
    def state(self) -> str:
        """Where it stands, in one word or two."""
        if self.refusal is not None:
            return f"refused: {self.refusal.code}"
        return "handing in" if self.delivery is None else str(self.delivery["status"])

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it here."""
        return self.refusal is not None or self.verified is not None or self.state in _OVER

    @property
    def is_as_expected(self) -> bool:
        """Whether it came to the end that it was made for."""
        if self.sample.broken:
            return self.refusal is not None
        return self.state in _ARRIVED and self.verified is True

    @property
    def has_all_evidence(self) -> bool:
        """Whether each step has its evidence and a signed checkpoint covers all of it."""
        needed = None if self.delivery is None else _NEEDED.get(self.delivery["channel"] or "")
        if self.state not in _ARRIVED or needed is None:
            return False
        events = {each["event"] for each in self.evidence}
        return all(events & each for each in needed) and all(each["published"] for each in self.evidence)


class Round:
    """All samples of one start. Use it as a context manager."""

    def __init__(self, house: House, documents: Path, samples: Iterable[Sample], show: Callable[[], None]) -> None:
        """Prepare; nothing is handed in yet.

        Args:
            house: where to.
            documents: the folder of the samples' PDFs.
            samples: what to hand in.
            show: called after each change.
        """
        self.rows = [Row(sample) for sample in samples]
        self._house, self._documents, self._show = house, documents, show
        self._calls: dict[str, Calls] = {}
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        for slug in {row.sample.sender for row in self.rows}:
            self._calls[slug] = self._closing.enter_context(self._house.agency(slug))
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def run(self) -> bool:
        """Hand in what is not there yet and follow everything; whether each came to its end."""
        for row in self.rows:
            self._hand_in(row)
            self._show()
        last = time.monotonic() + PATIENCE
        while not all(row.is_over for row in self.rows):
            changed = [self._look(row) for row in self.rows if not row.is_over]
            if any(changed):
                last = time.monotonic() + PATIENCE
                self._show()
            elif time.monotonic() > last:
                return False
            else:
                time.sleep(_PAUSE)
        return all(row.is_as_expected for row in self.rows)

    def _hand_in(self, row: Row) -> None:
        sample, calls = row.sample, self._calls[row.sample.sender]
        row.delivery = calls.find(sample.reference)
        row.known = row.delivery is not None
        if row.known:
            return
        paper = Paper(sample.document, (self._documents / sample.document).read_bytes())
        if sample.broken:
            # As when a transfer was cut off in the middle.
            paper = Paper(sample.document, paper.content[: len(paper.content) // 2])
        attachments = [Paper(name, (self._documents / name).read_bytes()) for name in sample.attachments]
        try:
            row.delivery = calls.hand_in(sample.as_json(), paper, attachments, key=sample.idempotency_key)
        except CallRefused as refusal:
            row.refusal = refusal

    def _look(self, row: Row) -> bool:
        """See how far a delivery is; whether anything changed."""
        assert row.delivery is not None
        calls, before = self._calls[row.sample.sender], (row.state, row.evidence)
        row.delivery = calls.delivery(row.delivery["id"])
        if row.state in _ARRIVED:
            row.evidence = calls.evidence(row.delivery["id"])
        if row.has_all_evidence:
            self._keep(row, calls)
        return (row.state, row.evidence) != before or row.is_over

    def _keep(self, row: Row, calls: Calls) -> None:
        """Save the sealed document and its evidence beside it, and verify the evidence as anybody can: offline."""
        assert row.delivery is not None
        row.saved = self._house.home / "sealed" / f"{row.sample.reference}.pdf"
        save(row.saved, calls.sealed(row.delivery["id"]))
        folder = self._house.home / "evidence" / row.sample.reference
        private_folder(folder.parent)
        private_folder(folder)
        issuer = self._house.time_stamp_issuer
        issuers = x509.load_pem_x509_certificates(issuer.read_bytes()) if issuer else []
        sound = []
        for each in row.evidence:
            document = calls.one_evidence(row.delivery["id"], each["id"])
            write_durably(folder / f"{each['event']}.json", json.dumps(document, ensure_ascii=False, indent=1))
            # The time-stamp comes up to an interval after the checkpoint: it is demanded where it is there.
            stamped = document.get("timestamp_token") is not None
            checks = verify_evidence(document, self._house.ledger_keys, issuers if stamped else [])
            sound.append(all(check.ok is not False for check in checks))
        row.verified = all(sound)


def save(file: Path, content: bytes) -> None:
    """Write a file of somebody's letter, readable for us only; all of it or nothing."""
    private_folder(file.parent)
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)
    fresh.replace(file)
