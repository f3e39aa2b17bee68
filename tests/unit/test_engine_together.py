"""Work done together: nobody waits alone, nobody is forgotten, nobody spoils it for another."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from service.engine.together import Together

PATIENCE = 60.0


class Gate:
    """Work that stands still in its first group until it is let go, and notes every group."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.entered = threading.Event()
        self.open = threading.Event()
        self.bad: set[int] = set()

    def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        self.groups.append(list(items))
        self.entered.set()
        assert self.open.wait(PATIENCE)
        if self.bad & set(items):
            raise LookupError(sorted(self.bad & set(items)))
        return [item * 10 for item in items]


def start(pool: ThreadPoolExecutor, together: "Together[int, int]", gate: Gate, others: int) -> list["Future[int]"]:
    """One caller at work, and the others waiting behind it."""
    found = [pool.submit(together.do, 0, gate)]
    assert gate.entered.wait(PATIENCE)
    for item in range(1, others + 1):
        found.append(pool.submit(together.do, item, gate))
        while len(together._waiting) < item:
            threading.Event().wait(0.001)
    return found


def test_a_lone_caller_is_served_at_once_and_alone() -> None:
    gate = Gate()
    gate.open.set()
    together: Together[int, int] = Together(most=4)
    assert [together.do(item, gate) for item in (1, 2, 3)] == [10, 20, 30]
    assert gate.groups == [[1], [2], [3]]


def test_those_who_come_meanwhile_are_served_together_up_to_the_bound() -> None:
    gate, together = Gate(), Together[int, int](most=4)
    with ThreadPoolExecutor(8) as pool:
        found = start(pool, together, gate, others=6)
        gate.open.set()
        assert [each.result(PATIENCE) for each in found] == [item * 10 for item in range(7)]
    assert gate.groups == [[0], [1, 2, 3, 4], [5, 6]]


def test_one_that_fails_fails_alone() -> None:
    gate, together = Gate(), Together[int, int](most=8)
    gate.bad = {2}
    with ThreadPoolExecutor(8) as pool:
        found = start(pool, together, gate, others=3)
        gate.open.set()
        with pytest.raises(LookupError):
            found[2].result(PATIENCE)
        assert [found[item].result(PATIENCE) for item in (0, 1, 3)] == [0, 10, 30]
    assert gate.groups == [[0], [1, 2, 3], [1], [2], [3]]


def test_a_hopeless_failure_is_everybodys_and_nothing_is_done_twice() -> None:
    gate = Gate()
    together: Together[int, int] = Together(most=8, hopeless=lambda error: isinstance(error, LookupError))
    gate.bad = {2}
    with ThreadPoolExecutor(8) as pool:
        found = start(pool, together, gate, others=3)
        gate.open.set()
        assert found[0].result(PATIENCE) == 0
        for each in found[1:]:
            with pytest.raises(LookupError):
                each.result(PATIENCE)
    assert gate.groups == [[0], [1, 2, 3]]


def test_an_error_given_for_one_member_is_raised_for_it_only() -> None:
    together: Together[int, int] = Together(most=8)
    with pytest.raises(LookupError):
        together.do(1, lambda items: [LookupError() for _ in items])
    assert together.do(2, lambda items: [20 for _ in items]) == 20


def test_a_leader_that_is_ended_leaves_nobody_waiting() -> None:
    class Ended(BaseException):
        pass

    gate, together = Gate(), Together[int, int](most=1)

    def end(items: Sequence[int]) -> list[int]:
        gate(items)
        raise Ended

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(together.do, 0, end)
        assert gate.entered.wait(PATIENCE)
        second = pool.submit(together.do, 1, lambda items: [item * 10 for item in items])
        while not together._waiting:
            threading.Event().wait(0.001)
        gate.open.set()
        with pytest.raises(Ended):
            first.result(PATIENCE)
        assert second.result(PATIENCE) == 10


def test_many_threads_each_get_their_own_result() -> None:
    together: Together[int, int] = Together(most=5)

    def work(items: Sequence[int]) -> list[int | Exception]:
        if any(item % 7 == 0 for item in items):
            raise LookupError
        return [item * 10 for item in items]

    def ask(item: int) -> int | None:
        try:
            return together.do(item, work)
        except LookupError:
            return None

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(ask, range(500)))
    assert found == [None if item % 7 == 0 else item * 10 for item in range(500)]
