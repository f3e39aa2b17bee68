"""A leaf is in a signed checkpoint two seconds after its commit, whoever else does not answer."""

import dataclasses
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from service.bootstrap import Application
from service.ledger import evidence_proof, sequencer
from service.ledger.witness import Answer
from service.usecases.context import Context
from tests.ledger_support import leaves
from tests.pipeline_support import Pipeline
from tests.service_support import until
from tests.witness_support import answering, known, made
from workers import schedule

PROMISE = 2.0


class Silent:
    """An authority or a witness that was asked and says nothing until it is let go."""

    def __init__(self) -> None:
        self.asked, self.let_go = threading.Event(), threading.Event()

    def token(self, _digest: bytes) -> bytes:
        return self._silence()

    def answer(self, _body: bytes) -> Answer:
        self._silence()
        return Answer(503, "")

    def _silence(self) -> bytes:
        self.asked.set()
        assert self.let_go.wait(60)
        raise ConnectionError("nobody is there")


@contextmanager
def scheduler(application: Application) -> Iterator[None]:
    """The loops of the ledger, as the scheduler runs them."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=schedule.run_loop, args=(name, seconds, once, stop))
        for name, seconds, once in schedule.loops(application)
        if name in {"sequence", "stamp"} or name.startswith("witness ")
    ]
    assert len(threads) == 4
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _is_published(context: Context, evidence_id: uuid.UUID) -> bool:
    with context.database.session() as session:
        return evidence_id in evidence_proof.published(session, [evidence_id])


def test_one_round_is_enough_and_rounds_are_close(pipeline: Pipeline) -> None:
    """What one round does is in ``test_ledger_sequencer``: all that is committed is placed, signed and published."""
    seconds = {name: pause for name, pause, _ in schedule.loops(pipeline.application)}
    assert seconds["sequence"] <= PROMISE / 4


def test_authority_and_witness_that_say_nothing_hold_up_no_leaf(pipeline: Pipeline, tmp_path: Path) -> None:
    authority, first, second = Silent(), Silent(), Silent()
    others = [made(tmp_path / name, f"{name}.example/w") for name in ("one", "two")]
    with answering(first.answer) as one, answering(second.answer) as two:
        witnesses = tuple(known(url, each) for url, each in zip((one, two), others, strict=True))
        context = dataclasses.replace(pipeline.context, witnesses=witnesses)
        application = dataclasses.replace(pipeline.application, context=context, tsa=authority)  # type: ignore[arg-type]
        with scheduler(application):
            try:
                for number in range(3):
                    evidence_id = uuid.uuid4()
                    with context.database.transaction() as session:
                        sequencer.append(session, [(evidence_id, leaves(1, of=str(number))[0])])
                    until(partial(_is_published, context, evidence_id), "the leaf to be published")
                    for silent in (authority, first, second):
                        assert silent.asked.wait(60)
            finally:
                for silent in (authority, first, second):
                    silent.let_go.set()
        with context.database.session() as session:
            note = evidence_proof.newest_note(session)
    assert note is not None
    assert "example/w" not in note
