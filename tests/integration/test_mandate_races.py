"""Two who come at the same moment: a mandate is accepted once, and revoked before an act or after it, never during."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

from service.db.ids import MANDATE, parse_id
from service.domain.errors import Forbidden
from service.usecases import acting as by_mandate
from service.usecases import deliveries, mailbox, mandates
from tests.engine_support import execute
from tests.mandate_support import accepted, acting, give
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender, activate, deliver, events, reader, status, with_post

PATIENCE = 120.0
ROUNDS = 12


def both(first: Callable[[], object], second: Callable[[], object]) -> tuple[bool, bool]:
    """Which of two that start at the same moment succeeded."""
    start = threading.Barrier(2)

    def attempt(act: Callable[[], object]) -> bool:
        start.wait(PATIENCE)
        try:
            act()
        except (Forbidden, mandates.CodeWrong):
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(attempt, act) for act in (first, second)]
        return running[0].result(PATIENCE), running[1].result(PATIENCE)


def test_an_act_is_whole_or_was_too_late_when_the_mandate_is_revoked_meanwhile(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    with_post(pipeline)
    sender, an = organisation(), activate(pipeline, "an")
    won = []
    for _ in range(ROUNDS):
        delivery, mandate = deliver(pipeline, sender, "an"), accepted(pipeline)
        holder = acting(pipeline, mandate)
        opened, revoked = both(
            lambda who=holder, what=delivery: mailbox.open_message(pipeline.context, who, what),
            lambda what=mandate: mandates.revoke(pipeline.context, an, what),
        )
        won.append(opened)
        assert revoked
        assert status(pipeline, sender, delivery) == ("opened" if opened else "available")
        assert events(pipeline, sender, delivery).count("ContentAccessTracking") == int(opened)
        kept = execute(
            database, "SELECT act FROM mandate_act WHERE mandate_id = %s ORDER BY at", parse_id(MANDATE, mandate)
        )
        assert [act for (act,) in kept][2:] == (["opened", "revoked"] if opened else ["revoked"])
        assert len({each.id for each in deliveries.evidence_list(pipeline.context, sender, delivery)}) == (
            4 if opened else 3
        )
    assert len(won) == ROUNDS


def test_an_act_that_holds_the_mandate_is_waited_for(pipeline: Pipeline, organisation: Sender) -> None:
    """Not by luck: whoever revokes stands still until the act is committed."""
    with_post(pipeline)
    sender, an = organisation(), activate(pipeline, "an")
    delivery, mandate = deliver(pipeline, sender, "an"), accepted(pipeline)
    inside, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        holder = acting(pipeline, mandate)
        with pipeline.context.database.transaction(recipients=holder.hashes) as session:
            by_mandate.enter(session, pipeline.context, holder.hashes, holder.acting_for, act=True)
            inside.set()
            assert go_on.wait(PATIENCE)

    with ThreadPoolExecutor(2) as pool:
        act = pool.submit(slow)
        assert inside.wait(PATIENCE)
        revoking = pool.submit(mandates.revoke, pipeline.context, an, mandate)
        assert wait([revoking], timeout=0.5).done == set()
        go_on.set()
        act.result(PATIENCE)
        assert revoking.result(PATIENCE).state == "revoked"
    assert status(pipeline, sender, delivery) == "available"


def test_of_two_who_enter_the_same_code_one_accepts(pipeline: Pipeline, database: TestDatabase) -> None:
    cem = reader(pipeline, "cem")
    for _ in range(ROUNDS):
        made = give(pipeline)
        assert sorted(
            both(
                lambda code=made.code: mandates.accept(pipeline.context, cem, code),
                lambda code=made.code: mandates.accept(pipeline.context, cem, code),
            )
        ) == [False, True]
        (accepts,) = execute(
            database,
            "SELECT count(*) FROM mandate_act WHERE act = 'accepted' AND mandate_id = %s",
            parse_id(MANDATE, made.mandate.id),
        )
        assert accepts == (1,)


def test_a_mandate_that_is_taken_back_while_it_is_accepted_ends_either_way(pipeline: Pipeline) -> None:
    an, cem = reader(pipeline, "an"), reader(pipeline, "cem")
    for _ in range(ROUNDS):
        made = give(pipeline)
        taken, revoked = both(
            lambda code=made.code: mandates.accept(pipeline.context, cem, code),
            lambda what=made.mandate.id: mandates.revoke(pipeline.context, an, what),
        )
        found = mandates.get(pipeline.context, an, made.mandate.id)
        assert revoked
        assert (found.state, found.accepted_at is not None) == ("revoked", taken)
