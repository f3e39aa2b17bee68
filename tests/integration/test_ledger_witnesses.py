"""The log and its witnesses: cosignatures in evidence, and witnesses that are away, wrong or lying."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, select, text, update
from sqlalchemy.exc import DBAPIError

from service.db import ledger as table
from service.db import ledger_past
from service.db.ledger_cosignatures import LedgerCosignature
from service.ledger import add_checkpoint, cosigning, evidence_proof, new_log, notes, sequencer, timestamps, verify
from service.ledger.cosigning import Asker, WitnessAway, parse_witnesses
from service.ledger.errors import NoteRefused, WitnessAnswerRefused, WitnessContradicts
from service.ledger.head_store import FileHeadStore
from service.ledger.witness import Answer, Witness
from tests.ledger_support import NOW, ORIGIN, TestAuthority, leaves, signer
from tests.ledger_tables_support import Sessions, evidences, fresh_tables, overwrite, put, server, tick
from tests.witness_support import NAME, answering, command, dripping, known, made, serving


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with server() as running:
        yield running


@pytest.fixture
def sessions(engine: Engine) -> Iterator[Sessions]:
    with fresh_tables(engine) as fresh:
        yield fresh


@pytest.fixture
def store(tmp_path: Path) -> FileHeadStore:
    return FileHeadStore(tmp_path / "head")


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return made(tmp_path / "w")


@pytest.fixture
def asker(witness: Witness) -> Iterator[Asker]:
    """Asks the witness, whose time is ours."""
    with answering(lambda body: witness.answer(body, now=NOW)) as url, asking_at(url, witness) as made_:
        yield made_


@contextmanager
def asking_at(url: str, witness: Witness, *, seconds: float = 5) -> Iterator[Asker]:
    with closing(Asker(known(url, witness), seconds=seconds)) as asker:
        yield asker


def ask(asker: Asker, sessions: Sessions) -> int | None:
    return asker.ask(sessions, lambda: NOW)


def grow(sessions: Sessions, store: FileHeadStore, *counts: int) -> None:
    """A checkpoint after each of these numbers of leaves."""
    for count in counts:
        put(sessions, leaves(count, of=uuid.uuid4().hex))
        tick(sessions, store)


def cosigned(sessions: Sessions) -> list[int]:
    with sessions() as session:
        return sorted(session.scalars(select(LedgerCosignature.size).distinct()))


def test_evidence_carries_cosignatures_that_hold_offline(
    sessions: Sessions, store: FileHeadStore, witness: Witness, asker: Asker
) -> None:
    ((evidence_id, one, salt, leaf), *_) = evidences(sessions, 300)
    tick(sessions, store)
    keys = [*signer().vkeys, *witness.vkeys]

    def checks() -> dict[str, bool | None]:
        with sessions() as session:
            proof = evidence_proof.proof_for(session, evidence_id)
        document = evidence_proof.document(one, salt, leaf, proof)
        return {
            check.detail: check.ok for check in verify.verify_evidence(document, keys) if check.name == "checkpoint"
        }

    # Published at once, without the witness; whoever demands its signature is told that it is not there.
    assert sorted(map(bool, checks().values())) == [False, False, True, True]
    assert ask(asker, sessions) == 300
    found = checks()
    assert all(found.values())
    assert sum(NAME in detail for detail in found) == 2
    with sessions() as session:
        note = evidence_proof.newest_note(session)
    assert note is not None
    assert len(notes.split(note)[1]) == 4
    assert ask(asker, sessions) is None


def test_each_checkpoint_is_cosigned_in_its_turn(sessions: Sessions, store: FileHeadStore, asker: Asker) -> None:
    assert ask(asker, sessions) is None
    tick(sessions, store)
    assert ask(asker, sessions) is None
    grow(sessions, store, 3)
    assert ask(asker, sessions) == 3
    grow(sessions, store, 250, 1, 2, 600)
    assert [ask(asker, sessions) for _ in range(5)] == [253, 254, 256, 856, None]


def test_after_a_long_absence_stamped_checkpoints_come_first(
    sessions: Sessions, store: FileHeadStore, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cosigning, "SEVERAL", 4)
    grow(sessions, store, 1)
    assert ask(asker, sessions) == 1
    for number in range(9):
        grow(sessions, store, 1)
        if number in {2, 5}:
            timestamps.stamp_checkpoints(sessions, TestAuthority(), NOW, timedelta(0))
    assert [ask(asker, sessions) for _ in range(6)] == [4, 7, 8, 9, 10, None]


def test_a_witness_that_begins_late_begins_with_the_newest(
    sessions: Sessions, store: FileHeadStore, asker: Asker
) -> None:
    grow(sessions, store, *[1] * 5)
    assert [ask(asker, sessions), ask(asker, sessions)] == [5, None]


def test_an_answer_that_was_lost_is_fetched_again(
    sessions: Sessions, store: FileHeadStore, witness: Witness, asker: Asker
) -> None:
    grow(sessions, store, 3)
    assert ask(asker, sessions) == 3
    grow(sessions, store, 4, 5)
    with sessions() as session:
        newest = table.newest_checkpoint(session)
        assert newest is not None
        body = cosigning._request(session, 3, newest)
    # The witness cosigned the newest, and nobody heard of it; the one between is left out.
    assert witness.answer(bytes(body), now=NOW).status == 200
    assert [ask(asker, sessions), ask(asker, sessions)] == [12, None]
    assert cosigned(sessions) == [3, 12]


def test_a_witness_that_knows_nothing_any_more_is_shown_the_newest(
    sessions: Sessions, store: FileHeadStore, witness: Witness, tmp_path: Path
) -> None:
    fresh = made(tmp_path / "fresh")
    grow(sessions, store, 3)
    with answering(lambda body: witness.answer(body, now=NOW)) as url, asking_at(url, witness) as asker:
        assert ask(asker, sessions) == 3
    grow(sessions, store, 4, 5)
    sizes = []

    def as_new(body: bytes) -> Answer:
        sizes.append(add_checkpoint.parse(body).old)
        answer = fresh.answer(body, now=NOW)
        return answer if answer.status != 200 else Answer(200, _by(witness, body))

    with answering(as_new) as url, asking_at(url, witness) as asker:
        assert ask(asker, sessions) == 12
    assert sizes == [3, 0]


def _by(witness: Witness, body: bytes) -> str:
    text_ = notes.split(add_checkpoint.parse(body).note)[0]
    return "".join(key.sign(text_, at=NOW) for key in witness._keys)


def test_two_histories_are_never_cosigned(
    sessions: Sessions, store: FileHeadStore, witness: Witness, asker: Asker, tmp_path: Path
) -> None:
    """The whole service goes wrong: database and store rolled back, and signed again with the log's own keys."""
    grow(sessions, store, 3)
    grow(sessions, store, 4)
    assert ask(asker, sessions) == 7
    _roll_back(sessions, 3)
    forked = FileHeadStore(tmp_path / "forked")
    sequencer.adopt(sessions, signer(), forked)
    grow(sessions, forked, 1)
    with pytest.raises(WitnessContradicts) as behind:
        ask(asker, sessions)
    assert behind.value.why == "ahead"
    grow(sessions, forked, 3)
    with pytest.raises(WitnessContradicts) as same:
        ask(asker, sessions)
    assert same.value.why == "forked"
    grow(sessions, forked, 9)
    with pytest.raises(WitnessContradicts):
        ask(asker, sessions)
    assert cosigned(sessions) == []
    assert {name.split("-")[0] for name in witness.refusals()} >= {"forked"}


def _roll_back(sessions: Sessions, size: int) -> None:
    with sessions() as session:
        root = session.scalars(select(table.LedgerCheckpoint.root).where(table.LedgerCheckpoint.size == size)).one()
    overwrite(
        sessions,
        delete(LedgerCosignature),
        delete(table.LedgerLeaf).where(table.LedgerLeaf.index >= size),
        delete(table.LedgerCheckpoint).where(table.LedgerCheckpoint.size != size),
        update(table.LedgerHead).values(size=size, root=root, signed_size=size),
        update(table.LedgerTile).values(width=size, hashes=text(f"substring(hashes for {size * 32})")),
    )


def _foreign(witness: Witness, body: bytes) -> str:
    """Lines of the right name and key id, by another key."""
    lines = notes.split(f"x\n\n{_by(witness, body)}")[1]
    return "".join(str(notes.Signature(each.name, each.key_id, each.value[:8] + bytes(64))) for each in lines)


LIES: dict[str, Callable[[Witness, bytes], Answer]] = {
    "nothing": lambda *_: Answer(200, ""),
    "no lines": lambda *_: Answer(200, "thanks\n"),
    "another's lines only": lambda *_: Answer(200, "— other.example/w AAAAAAAAAAA=\n"),
    "forged lines": lambda witness, body: Answer(200, _foreign(witness, body)),
    "one good and one forged": lambda witness, body: Answer(
        200, _by(witness, body).splitlines(keepends=True)[0] + _foreign(witness, body).splitlines(keepends=True)[1]
    ),
    "another checkpoint's": lambda witness, _: Answer(
        200, "".join(key.sign(f"{ORIGIN}\n1\n{'A' * 43}=\n", at=NOW) for key in witness._keys)
    ),
    "a checkpoint within": lambda witness, _: Answer(
        200, f"{ORIGIN}\n1\n{'A' * 43}=\n\n" + "".join(
            key.sign(f"{ORIGIN}\n1\n{'A' * 43}=\n", at=NOW) for key in witness._keys)
    ),
    "from the future": lambda witness, body: Answer(
        200, "".join(key.sign(notes.split(add_checkpoint.parse(body).note)[0], at=NOW + timedelta(hours=1))
                     for key in witness._keys)
    ),
    "from the past": lambda witness, body: Answer(
        200, "".join(key.sign(notes.split(add_checkpoint.parse(body).note)[0], at=NOW - timedelta(hours=1))
                     for key in witness._keys)
    ),
    "no text": lambda *_: Answer(200, "\udcff\n"),
    "too many lines": lambda witness, body: Answer(200, _by(witness, body) * 40),
    "a moved page": lambda *_: Answer(302, ""),
    "a fault": lambda *_: Answer(500, ""),
    "an unknown log": lambda *_: Answer(404, ""),
    "a conflict without a size": lambda *_: Answer(409, "many\n", add_checkpoint.SIZE_TYPE),
    "conflicts without end": lambda *_: Answer(409, "1\n", add_checkpoint.SIZE_TYPE),
    "a size beyond ours": lambda *_: Answer(409, "9223372036854775807\n", add_checkpoint.SIZE_TYPE),
    "too long an answer": lambda *_: Answer(200, "x" * 100_000),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_what_a_lying_witness_says_is_not_kept(
    sessions: Sessions, store: FileHeadStore, witness: Witness, lie: Callable[[Witness, bytes], Answer]
) -> None:
    grow(sessions, store, 2, 3)
    lying, refused = answering(lambda body: lie(witness, body)), (WitnessAnswerRefused, WitnessContradicts, WitnessAway)
    with lying as url, asking_at(url, witness) as asker, pytest.raises(refused):
        ask(asker, sessions)
    assert cosigned(sessions) == []
    # And the log goes on.
    grow(sessions, store, 1)
    with sessions() as session:
        newest = table.newest_checkpoint(session)
    assert newest is not None
    assert newest.size == 6


def test_of_a_key_named_twice_the_line_is_kept_that_holds(
    sessions: Sessions, store: FileHeadStore, witness: Witness
) -> None:
    grow(sessions, store, 2)
    twice = answering(lambda body: Answer(200, _by(witness, body) + _foreign(witness, body)))
    with twice as url, asking_at(url, witness) as asker:
        assert ask(asker, sessions) == 2
    with sessions() as session:
        note = evidence_proof.newest_note(session)
    assert note is not None
    assert len(notes.open_note(note, [notes.VerifierKey.parse(each) for each in witness.vkeys]).verified) == 2


def test_a_witness_that_drips_or_is_not_there_is_given_up_in_time(
    sessions: Sessions, store: FileHeadStore, witness: Witness
) -> None:
    grow(sessions, store, 2)
    with dripping() as url:
        for each in (url, "http://127.0.0.1:9"):
            with asking_at(each, witness, seconds=0.5) as asker, pytest.raises(WitnessAway):
                ask(asker, sessions)


def test_cosignatures_only_grow(sessions: Sessions, store: FileHeadStore, asker: Asker) -> None:
    grow(sessions, store, 2)
    assert ask(asker, sessions) == 2
    for statement in ("DELETE FROM ledger_cosignature", "UPDATE ledger_cosignature SET line = 'other'"):
        with sessions() as session, pytest.raises(DBAPIError, match="ledger"):
            session.execute(text(statement))


def test_a_closed_log_keeps_what_was_cosigned(
    sessions: Sessions, store: FileHeadStore, witness: Witness, asker: Asker
) -> None:
    ((evidence_id, one, salt, leaf),) = evidences(sessions, 1)
    tick(sessions, store)
    assert ask(asker, sessions) == 1
    with sessions.begin() as session:
        new_log.open_new(session, signer(), store, "zending.example/log-2")
    with sessions() as session:
        assert ledger_past.leaf(session, evidence_id) is not None
        proof = evidence_proof.proof_for(session, evidence_id)
        document = evidence_proof.document(one, salt, leaf, proof)
    checks = verify.verify_evidence(document, [*signer().vkeys, *witness.vkeys])
    assert [check.ok for check in checks if check.name != "time-stamp"] == [True] * 6


def test_one_that_anybody_runs_elsewhere_cosigns(sessions: Sessions, store: FileHeadStore, tmp_path: Path) -> None:
    """From an empty folder, by the command alone, over HTTP; killed and started again it goes on."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    keys = command(folder, "create", NAME).stdout.split()
    assert command(folder, "add-log", *signer().vkeys).returncode == 0
    for count in (3, 300):
        grow(sessions, store, count)
        with serving(folder) as url:
            (read,) = parse_witnesses(" ".join([url, *keys]))
            with closing(Asker(read)) as asker:
                assert asker.ask(sessions, lambda: datetime.now(UTC)) is not None
    assert command(folder, "status").stdout == f"{ORIGIN}: 303 leaves\n"
    assert cosigned(sessions) == [3, 303]


@pytest.mark.parametrize(
    "text_",
    ["vkey", "https://w.example", "https:// {0}", "https://w.example {log}", "https://w.example nonsense",
     "https://w.example {0} https://x.example {0}", "https://w.example {0} {other}"],
)  # fmt: skip
def test_a_setting_that_names_no_witness_is_refused(witness: Witness, tmp_path: Path, text_: str) -> None:
    other = made(tmp_path / "o", "other.example/w").vkeys[0]
    with pytest.raises(NoteRefused):
        parse_witnesses(text_.format(*witness.vkeys, log=signer().vkeys[0], other=other))


def test_the_setting_names_several(witness: Witness, tmp_path: Path) -> None:
    other = made(tmp_path / "o", "other.example/w")
    read = parse_witnesses(
        f"https://w.example/a/ {witness.vkeys[0]}\n  {witness.vkeys[1]}\n\nhttp://o.example {other.vkeys[1]}\n"
    )
    assert [(each.url, each.name, len(each.keys)) for each in read] == [
        ("https://w.example/a", NAME, 2),
        ("http://o.example", "other.example/w", 1),
    ]
    assert parse_witnesses("") == ()
