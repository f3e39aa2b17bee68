"""What became of hand-ins, judged from outside: HTTP answers, print and mail folders, the database read by its owner.

Nothing here asks the service whether it did well. Every check returns sentences, one for each thing that is not as it
must be; none means that nothing was lost and nothing happened twice.
"""

import email
import email.policy
import hashlib
import json
import time
import uuid
import zipfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bench import told
from bench.rows import quota_faults, row_faults
from bench.running import SENDERS, Answer, Running, Sending
from bench.tree import ledger_faults
from service.vault.objects.base import ObjectStore


@dataclass(frozen=True)
class End:
    """One way in which a delivery may end, and all that must then be there, exactly once each.

    Attributes:
        status: what the sender is told.
        channel: by which channel; None before any.
        evidence: the legal steps.
        mailbox: there is an item in a mailbox, and its owner was told.
        letter: the print house has its letter.
    """

    status: str
    channel: str | None
    evidence: frozenset[str]
    mailbox: bool = False
    letter: bool = False

    @property
    def sealed(self) -> bool:
        """Its documents carry the seal: from then on there is evidence that the submission was accepted."""
        return "SubmissionAcceptance" in self.evidence


_CONSIGNED = frozenset({"SubmissionAcceptance", "ContentConsignment", "ConsignmentNotification"})
AVAILABLE = End("available", "digital", _CONSIGNED, mailbox=True)
OPENED = End("opened", "digital", _CONSIGNED | {"ContentAccessTracking"}, mailbox=True)
READ = End("opened", "digital", OPENED.evidence | {"ContentHandover"}, mailbox=True)
HANDED_OVER = End("handed_over", "paper", frozenset({"SubmissionAcceptance", "RelayToNonERDS"}), letter=True)
REJECTED = End("rejected", None, frozenset({"SubmissionRejection"}))
CANCELLED = End("cancelled", None, frozenset())
CANCELLED_SEALED = End("cancelled", None, frozenset({"SubmissionAcceptance"}))
CANCELLED_LATER = End("cancelled", "paper", CANCELLED_SEALED.evidence)

Expected = Mapping[str, Collection[End]]
"""The ends that each acknowledged delivery may have, by its id."""


@dataclass(frozen=True)
class Found:
    """What the checks found.

    Attributes:
        faults: a sentence for each thing that is wrong.
        repeated_notices: messages that were sent again under the Message-ID they had: a mail server may have taken a
            message although the sender died before it knew; mail programs show it once.
    """

    faults: list[str] = field(default_factory=list)
    repeated_notices: int = 0


@dataclass(frozen=True)
class Standing:
    """How far the deliveries are."""

    ended: int
    waiting_jobs: int
    parked_jobs: int
    unpublished: int


@contextmanager
def owner(target: Running) -> Iterator[psycopg.Connection[Any]]:
    """The database as its owner reads it, past row-level security."""
    assert target.stack.urls is not None, "only with the embedded database"
    with closing(psycopg.connect(_plain(target.stack.urls.owner), autocommit=True, connect_timeout=5)) as connection:
        yield connection


def standing(connection: psycopg.Connection[Any]) -> Standing:
    """How far everything is at this moment."""
    row = connection.execute(
        """
        SELECT (SELECT count(*) FROM delivery WHERE status IN ('available', 'handed_over')),
               (SELECT count(*) FROM job WHERE parked_at IS NULL),
               (SELECT count(*) FROM job WHERE parked_at IS NOT NULL),
               (SELECT count(*) FROM evidence) - coalesce((SELECT signed_size FROM ledger_head), 0)
        """
    ).fetchone()
    assert row is not None
    return Standing(*row)


def wait_for_end(target: Running, count: int, *, seconds: float, every: float = 0.2) -> float:
    """Wait until ``count`` deliveries are at their end, no job is left and all evidence is published.

    Returns:
        The seconds it took.

    Raises:
        TimeoutError: it took longer; with how far they were.
    """
    began = time.monotonic()
    last: object = "the database did not answer"
    while time.monotonic() - began < seconds:
        try:
            with owner(target) as connection:
                while time.monotonic() - began < seconds:
                    last = standing(connection)
                    if last == Standing(count, 0, 0, 0):
                        return time.monotonic() - began
                    time.sleep(every)
        except psycopg.OperationalError:
            # It may be down for a moment: that is what some tests are about.
            time.sleep(every)
    raise TimeoutError(f"not at the end after {seconds:.0f} s: {last}, of {count} deliveries")


def judge(target: Running, answers: Sequence[Answer], *, sender: Sending = SENDERS[0], quotas: bool = True) -> Found:
    """Check that what was acknowledged is at its one right end, and that there is nothing else.

    ``quotas``: whether all releases that took in count what an organisation used.
    """
    found = Found()
    expected = {answer.delivery: [AVAILABLE if answer.request.digital else HANDED_OVER] for answer in answers}
    if len(expected) != len(answers):
        found.faults.append(f"{len(answers)} hand-ins were acknowledged under {len(expected)} ids")
    found.faults.extend(told.lists(target, answers, sender))
    with owner(target) as connection:
        stored = judge_stored(connection, expected, target.stack.home / "print", target.stack.home / "mail")
        found.faults.extend(stored.faults)
        found.faults.extend(quota_faults(connection) if quotas else ())
        found.faults.extend(ledger_faults(connection))
    found.faults.extend(told.samples(target, answers, sender))
    return Found(found.faults, stored.repeated_notices)


def judge_stored(
    connection: psycopg.Connection[Any],
    expected: Expected,
    print_folder: Path,
    mail_folder: Path,
    *,
    since: str = "",
    first: str = "dlv_",
) -> Found:
    """Check rows, letters and messages of the deliveries from ``first`` on: each at one of its ends, and no others.

    Args:
        connection: the database as its owner.
        expected: every delivery that was acknowledged, from ``first`` on.
        print_folder: what the print house got for these deliveries, and nothing else.
        mail_folder: all messages that went out.
        since: names of messages before this are not looked at.
        first: the id of the first delivery; ids grow with time.
    """
    ends, faults = _ends(connection, expected, _uuid(first))
    mailboxes = [each for each, end in ends.items() if end.mailbox]
    letters = [each for each, end in ends.items() if end.letter]
    items = connection.execute(
        "SELECT delivery_id FROM mailbox_item WHERE delivery_id >= %s AND deposited_at IS NOT NULL"
        " AND withdrawn_at IS NULL",
        [_uuid(first)],
    )
    faults += _same("mailbox items", [_public(row[0]) for row in items], mailboxes)
    faults += _evidence(connection, ends, _uuid(first))
    faults += row_faults(connection, [_uuid(each) for each in expected], _uuid(first))
    faults += _documents(connection, _uuid(first))
    faults += _letters(print_folder, connection, letters)
    untold, repeated = _notices(mail_folder, connection, set(mailboxes), since)
    return Found(faults + untold, repeated)


def _ends(
    connection: psycopg.Connection[Any], expected: Expected, first: uuid.UUID
) -> tuple[dict[str, End], list[str]]:
    """The end at which each delivery is, and what is wrong with that."""
    ends: dict[str, End] = {}
    faults = []
    rows = connection.execute(
        "SELECT id, status, channel, (SELECT bool_and(d.sealed) FROM document d WHERE d.delivery_id = delivery.id)"
        " FROM delivery WHERE id >= %s",
        [first],
    )
    for row in rows:
        each, here = _public(row[0]), (row[1], row[2], row[3])
        if each not in expected:
            faults.append(f"{each} is there, but was never acknowledged")
            continue
        known = [end for end in expected[each] if (end.status, end.channel, end.sealed) == here]
        if known:
            ends[each] = known[0]
        else:
            wanted = " or ".join(f"{end.status} by {end.channel}" for end in expected[each])
            faults.append(f"{each} is {here[0]} by {here[1]}, sealed: {here[2]}, not {wanted}")
    faults += [f"{each} is lost" for each in expected.keys() - ends.keys() if not any(each in said for said in faults)]
    waiting = connection.execute("SELECT kind, parked_at IS NOT NULL, last_error FROM job").fetchall()
    faults += [f"a job {kind} is {'parked' if parked else 'left'}: {error}" for kind, parked, error in waiting]
    return ends, faults


def _evidence(connection: psycopg.Connection[Any], ends: Mapping[str, End], first: uuid.UUID) -> Iterator[str]:
    kinds: dict[str, list[str]] = {each: [] for each in ends}
    rows = connection.execute("SELECT delivery_id, event FROM evidence WHERE delivery_id >= %s", [first])
    for delivery, event in rows:
        kinds.setdefault(_public(delivery), []).append(event)
    for each, events in kinds.items():
        if each not in ends:
            yield f"{each} has the evidence {sorted(events)}, but is at no end"
        elif sorted(events) != sorted(ends[each].evidence):
            yield f"{each}, {ends[each].status}, has the evidence {sorted(events)}"
    leaves = connection.execute(
        """
        SELECT e.delivery_id, e.event, count(l.index), bool_or(l.leaf_hash <> e.leaf_hash),
               coalesce(max(l.index) < (SELECT signed_size FROM ledger_head), false)
        FROM evidence e LEFT JOIN ledger_leaf l ON l.evidence_id = e.id WHERE e.delivery_id >= %s
        GROUP BY e.delivery_id, e.event, e.id
        """,
        [first],
    )
    for delivery, event, count, differs, signed in leaves:
        if count != 1 or differs or not signed:
            yield f"{_public(delivery)}, {event}: {count} leaves, {'another hash, ' * bool(differs)}signed: {signed}"


def _documents(connection: psycopg.Connection[Any], first: uuid.UUID) -> Iterator[str]:
    unkept = connection.execute(
        """
        SELECT count(*) FROM document d JOIN delivery v ON v.id = d.delivery_id
        LEFT JOIN vault_object o ON o.subject_id = d.delivery_id AND o.path = d.path
        WHERE d.delivery_id >= %s AND (o.kept_at IS NULL OR (NOT d.sealed AND v.state = 'sealed'))
        """,
        [first],
    ).fetchone()
    if unkept != (0,):
        yield f"{unkept} documents are not sealed, or name an object that does not count"


def object_faults(connection: psycopg.Connection[Any], store: ObjectStore, first: str) -> Iterator[str]:
    """Every object that counts is in the store with its own hash, and the store holds none that nobody intended."""
    known: dict[str, dict[str, bool]] = {}
    rows = connection.execute(
        "SELECT subject_id, path, kept_at IS NOT NULL FROM vault_object WHERE subject_id >= %s", [_uuid(first)]
    )
    for subject, path, kept in rows:
        known.setdefault(str(subject), {})[path] = kept
    for subject, paths in known.items():
        stored = {each.path for each in store.listing(subject)}
        yield from (f"{path} is in the store, but was never intended" for path in stored - paths.keys())
        for path in (path for path, kept in paths.items() if kept):
            if path not in stored:
                yield f"{path} counts, but is not in the store"
            elif hashlib.sha256(store.get(path, limit=1 << 30)).hexdigest() != path.rpartition("/")[2]:
                yield f"{path} is not what its name says"


def _letters(folder: Path, connection: psycopg.Connection[Any], wanted: Collection[str]) -> Iterator[str]:
    """What the print house has, by its own files."""
    printed: list[str] = []
    digests = {}
    for path in sorted(folder.iterdir()):
        if path.suffix != ".ZIP":
            yield f"{path.name} lies in the print folder"
            continue
        digests[path.name] = hashlib.sha256(path.read_bytes()).digest()
        with zipfile.ZipFile(path) as package:
            manifest = json.loads(package.read("manifest.json"))
            for file in manifest["files"]:
                if hashlib.sha256(package.read(file["name"])).hexdigest() != file["sha256"]:
                    yield f"{path.name}: {file['name']} is not what its manifest says"
        printed += [letter["id"].rpartition("-")[0] for letter in manifest["letters"]]
        ends = [letter["first_page"] + letter["pages"] for letter in manifest["letters"]]
        starts = [letter["first_page"] for letter in manifest["letters"]]
        if starts != [1, *ends[:-1]] or ends[-1] - 1 != sum(file["pages"] for file in manifest["files"]):
            yield f"{path.name}: the letters do not cover its pages one after the other"
    yield from _same("printed letters", printed, wanted)
    rows = connection.execute(
        """
        SELECT DISTINCT b.file_name, b.sha256, b.state FROM print_batch b JOIN print_letter l ON l.batch_id = b.id
        WHERE l.delivery_id = ANY(%s)
        """,
        [[_uuid(each) for each in wanted]],
    ).fetchall()
    yield from _same("batches", list(digests), [row[0] for row in rows])
    yield from (f"{name} is {state}, not handed over" for name, _, state in rows if state != "handed_over")
    yield from (
        f"{name} is not the file that was kept" for name, digest, _ in rows if digests.get(name, digest) != digest
    )


def _notices(
    folder: Path, connection: psycopg.Connection[Any], due: Collection[str], since: str
) -> tuple[list[str], int]:
    """The messages that went out, by their Message-ID; codes for activation are not counted."""
    rows = connection.execute(
        "SELECT delivery_id, number FROM leg WHERE kind = 'mailbox' AND delivery_id = ANY(%s)",
        [[_uuid(each) for each in due]],
    )
    legs = {_public(row[0]): _message(*row) for row in rows}
    expected = {message: delivery for delivery, message in legs.items()}
    sent: Counter[str] = Counter()
    for path in folder.glob("*.eml"):
        if path.name < since:
            continue
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        sent[str(message["Message-ID"]).strip("<>").partition("@")[0]] += 1
    faults = [f"{delivery} was never told of" for key, delivery in expected.items() if not sent[key]]
    faults += [f"{delivery} has no mailbox leg" for delivery in set(due) - legs.keys()]
    # Whatever else there is in the database: nobody is told of it now.
    others = {_message(*row): row[0] for row in connection.execute("SELECT delivery_id, number FROM leg")}
    faults += [f"{others[key]} was told of" for key in sent.keys() & (others.keys() - expected.keys())]
    return faults, sum(sent[key] - 1 for key in expected if sent[key] > 1)


def _message(delivery: uuid.UUID, leg: int) -> str:
    """The first part of the Message-ID of the notice about a leg."""
    return hashlib.sha256(f"{delivery}/{leg}/arrived".encode()).hexdigest()[:40]


def _same(what: str, found: Iterable[Any], expected: Iterable[Any]) -> Iterator[str]:
    counted, wanted = Counter(found), set(expected)
    twice = [each for each, count in counted.items() if count > 1]
    for problem, members in (
        ("more than once", twice),
        ("missing", wanted - counted.keys()),
        ("not expected", counted.keys() - wanted),
    ):
        if members:
            yield f"{what}: {len(members)} {problem}, such as {next(iter(members))}"


def _uuid(delivery: str) -> uuid.UUID:
    return uuid.UUID(delivery.removeprefix("dlv_").ljust(32, "0"))


def _public(delivery: uuid.UUID) -> str:
    return f"dlv_{delivery.hex}"


def _plain(url: str) -> str:
    """The address as psycopg reads it, without the name of a driver."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)
