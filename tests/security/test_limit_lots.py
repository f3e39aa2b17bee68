"""Tokens taken from Valkey in lots: fewer questions, and never one request more than the bucket allows."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable

from service.embedded.stack import Stack
from service.web.limits import Buckets, Rate

# So slow that nothing comes back while a test runs.
WIDE = Rate("wide", per_second=0.001, burst=1000)
NARROW = Rate("narrow", per_second=0.001, burst=30)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Counted(Buckets):
    """Counts how often Valkey was asked."""

    asked = 0

    async def _take_shared(self, rate: Rate, name: str, cost: int, *, store: bool):  # type: ignore[no-untyped-def]
        self.asked += 1
        return await super()._take_shared(rate, name, cost, store=store)


def processes(stack: Stack, work: Callable[..., Awaitable[None]], count: int = 1) -> None:
    """Run ``work`` with the buckets of several processes on one broker, and a key that nobody used."""

    async def run() -> None:
        clock = Clock()
        made = [Counted(stack.environment["REDIS_URL"], clock=clock) for _ in range(count)]
        try:
            await work(clock, uuid.uuid4().hex, *made)
        finally:
            for each in made:
                await each.close()

    asyncio.run(run())


def test_a_caller_at_full_speed_costs_a_tenth_of_the_questions(stack: Stack) -> None:
    async def work(_: Clock, key: str, buckets: Counted) -> None:
        lefts = [(await buckets.take(WIDE, key)).left for _ in range(101)]
        assert lefts == list(range(999, 898, -1)), "what is told is what is left, whoever holds it"
        assert buckets.asked == 11

    processes(stack, work)


def test_several_processes_together_allow_no_more_than_one_would(stack: Stack) -> None:
    async def work(_: Clock, key: str, *made: Counted) -> None:
        async def caller(buckets: Counted) -> int:
            return sum([(await buckets.take(WIDE, key)).allowed for _ in range(90)])

        passed = sum(await asyncio.gather(*(caller(each) for each in made for _ in range(6))))
        assert 900 < passed <= 1000, "what nobody got is in the lot of the other process"
        further = [(await each.take(WIDE, key)).allowed for each in made for _ in range(100)]
        assert passed + sum(further) == 1000, "nothing is lost while it is asked for, and nothing is added"

    processes(stack, work, 2)


def test_whoever_asks_now_and_then_holds_nothing_in_advance(stack: Stack) -> None:
    async def work(clock: Clock, key: str, one: Counted, two: Counted) -> None:
        for _ in range(5):
            assert (await one.take(WIDE, key)).allowed
            clock.now += 1.0
        assert (await two.take(WIDE, key)).left == 1000 - 5 - 1

    processes(stack, work, 2)


def test_a_lot_that_was_not_used_in_time_is_used_no_more(stack: Stack) -> None:
    async def work(clock: Clock, key: str, buckets: Counted) -> None:
        for _ in range(2):
            await buckets.take(WIDE, key)
        clock.now += 0.6
        assert (await buckets.take(WIDE, key)).left == 1000 - 11 - 1
        assert buckets.asked == 3

    processes(stack, work)


def test_small_limits_are_counted_one_by_one_to_the_last_token(stack: Stack) -> None:
    async def work(_: Clock, key: str, one: Counted, two: Counted) -> None:
        allowed = [(await each.take(NARROW, key)).allowed for each in (one, two) * 16]
        assert allowed == [True] * 30 + [False] * 2
        assert one.asked + two.asked == 32

    processes(stack, work, 2)


def test_the_last_tokens_of_a_bucket_are_given_singly(stack: Stack) -> None:
    async def work(_: Clock, key: str, buckets: Counted) -> None:
        await buckets.take(WIDE, key, cost=995)
        allowed = [(await buckets.take(WIDE, key)).allowed for _ in range(7)]
        assert allowed == [True] * 5 + [False] * 2

    processes(stack, work)
