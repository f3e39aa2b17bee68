"""What became of hand-ins, judged from outside: HTTP answers, print and mail folders, the database read by its owner.

Nothing here asks the service whether it did well. Every check returns sentences, one for each thing that is not as it
must be; none means that nothing was lost and nothing happened twice.
"""

import email
import email.policy
import hashlib
import http.client
import json
import random
import time
import uuid
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bench.running import SENDERS, Answer, Running, Sending, connect
from service.ledger.verify import verify_evidence

SAMPLE = 5
EVIDENCE = {
    True: {"SubmissionAcceptance", "ContentConsignment", "ConsignmentNotification"},
    False: {"SubmissionAcceptance", "RelayToNonERDS"},
}
"""The evidence that a delivery has at its end, for mailboxes and for paper."""


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


def judge(target: Running, answers: Sequence[Answer], *, sender: Sending = SENDERS[0]) -> Found:
    """Check that what was acknowledged is at its one right end, and that there is nothing else."""
    found = Found()
    digital = {answer.delivery: answer.request.digital for answer in answers}
    if len(digital) != len(answers):
        found.faults.append(f"{len(answers)} hand-ins were acknowledged under {len(digital)} ids")
    found.faults.extend(_lists(target, answers, sender))
    with owner(target) as connection:
        found.faults.extend(_database(connection, digital))
        found.faults.extend(_letters(target.stack.home / "print", connection, digital))
        found.faults.extend(_ledger(connection))
        faults, repeated = _notices(target.stack.home / "mail", connection, digital)
    found.faults.extend(faults)
    found.faults.extend(_samples(target, answers, sender))
    return Found(found.faults, repeated)


def _lists(target: Running, answers: Sequence[Answer], sender: Sending) -> Iterator[str]:
    """What the sender is told over HTTP."""
    expected = {answer.delivery: answer.request for answer in answers}
    seen: Counter[str] = Counter()
    references: Counter[str] = Counter()
    for item in _pages(target, sender):
        seen[item["id"]] += 1
        references[item["reference"]] += 1
        request = expected.get(item["id"])
        if request is None:
            yield f"{item['id']} is there, but was never acknowledged"
            continue
        status, channel = ("available", "digital") if request.digital else ("handed_over", "paper")
        if (item["status"], item["channel"], item["reference"]) != (status, channel, request.reference):
            yield f"{item['id']} is {item['status']} by {item['channel']}, not {status} by {channel}"
    yield from (f"{each} is lost" for each in expected.keys() - seen.keys())
    yield from (f"{each} is listed {count} times" for each, count in seen.items() if count > 1)
    yield from (f"reference {each} stands for {count} deliveries" for each, count in references.items() if count > 1)


def _pages(target: Running, sender: Sending) -> Iterator[dict[str, Any]]:
    with closing(connect(target.stack.base_url)) as connection:
        headers = {"Authorization": f"Bearer {target.token(sender)}"}
        cursor = ""
        while True:
            page = _get(connection, f"/v1/deliveries?limit=100{cursor}", headers)
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            cursor = f"&cursor={page['next_cursor']}"


def _get(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> Any:
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != http.client.OK:
        raise RuntimeError(f"{path} answered {answer.status}: {content[:300]!r}")
    return json.loads(content)


def _database(connection: psycopg.Connection[Any], digital: dict[str, bool]) -> Iterator[str]:
    items = [_public(row[0]) for row in connection.execute("SELECT delivery_id FROM mailbox_item")]
    yield from _same("mailbox items", items, [each for each, mailbox in digital.items() if mailbox])
    kinds: dict[str, list[str]] = {each: [] for each in digital}
    for delivery, event in connection.execute("SELECT delivery_id, event FROM evidence"):
        kinds.setdefault(_public(delivery), []).append(event)
    for each, events in kinds.items():
        if each not in digital:
            yield f"{each} has evidence, but was never acknowledged"
        elif sorted(events) != sorted(EVIDENCE[digital[each]]):
            yield f"{each} has the evidence {sorted(events)}"
    unkept = connection.execute(
        """
        SELECT count(*) FROM document d LEFT JOIN vault_object o ON o.subject_id = d.delivery_id AND o.path = d.path
        WHERE o.kept_at IS NULL OR NOT d.sealed
        """
    ).fetchone()
    if unkept != (0,):
        yield f"{unkept} documents are not sealed, or name an object that does not count"


def _letters(folder: Path, connection: psycopg.Connection[Any], digital: dict[str, bool]) -> Iterator[str]:
    """What the print house has, by its own files."""
    printed: list[str] = []
    names = []
    for path in sorted(folder.iterdir()):
        if path.suffix != ".ZIP":
            yield f"{path.name} lies in the print folder"
            continue
        names.append(path.name)
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
    yield from _same("printed letters", printed, [each for each, mailbox in digital.items() if not mailbox])
    rows = connection.execute("SELECT file_name FROM print_batch WHERE state = 'handed_over'").fetchall()
    yield from _same("batches", names, [row[0] for row in rows])


def _notices(folder: Path, connection: psycopg.Connection[Any], digital: dict[str, bool]) -> tuple[list[str], int]:
    """The messages that went out, by their Message-ID; codes for activation are not counted."""
    legs = {
        _public(row[0]): f"{row[0]}/{row[1]}/arrived"
        for row in connection.execute("SELECT delivery_id, number FROM leg WHERE kind = 'mailbox'")
    }
    expected = {hashlib.sha256(reference.encode()).hexdigest()[:40]: delivery for delivery, reference in legs.items()}
    sent: Counter[str] = Counter()
    for path in folder.glob("*.eml"):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        sent[str(message["Message-ID"]).strip("<>").partition("@")[0]] += 1
    due = {each for each, mailbox in digital.items() if mailbox}
    faults = [
        f"{delivery} was never told of" for key, delivery in expected.items() if delivery in due and not sent[key]
    ]
    faults += [f"{delivery} has no mailbox leg" for delivery in due - legs.keys()]
    return faults, sum(sent[key] - 1 for key in expected if sent[key] > 1)


def _ledger(connection: psycopg.Connection[Any]) -> Iterator[str]:
    leaves = connection.execute("SELECT index, evidence_id, leaf_hash FROM ledger_leaf ORDER BY index").fetchall()
    evidence = dict(connection.execute("SELECT id, leaf_hash FROM evidence").fetchall())
    yield from _same("leaves of the ledger", [row[1] for row in leaves], evidence)
    if [row[0] for row in leaves] != list(range(len(leaves))):
        yield "the ledger's leaves are not counted from 0 without gaps"
    if any(evidence.get(row[1]) != row[2] for row in leaves):
        yield "a leaf is not its evidence's hash"
    head = connection.execute("SELECT size, root, signed_size FROM ledger_head").fetchone()
    if head is None or head != (len(leaves), _root([bytes(row[2]) for row in leaves]), len(leaves)):
        yield "the ledger's head is not the tree of its leaves, or is not signed"


def _root(leaves: list[bytes]) -> bytes:
    """The tree head of RFC 6962, section 2.1, by its definition."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + _root(leaves[:split]) + _root(leaves[split:])).digest()


def _samples(target: Running, answers: Sequence[Answer], sender: Sending) -> Iterator[str]:
    """A few deliveries from end to end: the sealed file is the one that was promised, its evidence verifies offline."""
    headers = {"Authorization": f"Bearer {target.token(sender)}"}
    keys = list(target.application.log_signer.vkeys)
    with closing(connect(target.stack.base_url)) as connection:
        for answer in random.Random(1).sample(list(answers), min(SAMPLE, len(answers))):
            path = f"/v1/deliveries/{answer.delivery}"
            promised = _get(connection, path, headers)["documents"][0]["sha256"]
            connection.request("GET", f"{path}/document", headers=headers)
            content = connection.getresponse().read()
            if hashlib.sha256(content).hexdigest() != promised:
                yield f"{answer.delivery}: the sealed file is not the one that was promised"
            for item in _get(connection, f"{path}/evidence", headers)["items"]:
                document = _get(connection, f"{path}/evidence/{item['id']}", headers)
                for check in verify_evidence(document, keys):
                    if check.ok is False:
                        yield f"{answer.delivery}, {item['event']}: {check.name}: {check.detail}"


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


def _public(delivery: uuid.UUID) -> str:
    return f"dlv_{delivery.hex}"


def _plain(url: str) -> str:
    """The address as psycopg reads it, without the name of a driver."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)
