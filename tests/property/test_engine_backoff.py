"""How long a job waits for its next attempt."""

from hypothesis import given
from hypothesis import strategies as st

from service.engine.steps import LONGEST_WAIT, wait


@given(st.integers(min_value=1, max_value=10**9))
def test_no_wait_is_longer_than_the_bound_or_shorter_than_half_of_what_is_meant(attempts: int) -> None:
    meant = min(LONGEST_WAIT, 2.0 ** min(attempts - 1, 30))
    assert meant / 2 <= wait(attempts) <= meant


@given(st.integers(min_value=1, max_value=8))
def test_waits_grow_until_they_reach_the_bound(attempts: int) -> None:
    assert max(wait(attempts) for _ in range(20)) <= 2 * min(wait(attempts + 1) for _ in range(20))
    assert sum(wait(attempts + 2) for _ in range(50)) > sum(wait(attempts) for _ in range(50))


@given(st.integers(min_value=1, max_value=50))
def test_jobs_that_failed_together_do_not_come_back_together(attempts: int) -> None:
    waits = sorted(wait(attempts) for _ in range(100))
    assert len(set(waits)) > 90
    assert waits[-1] - waits[0] > (waits[-1] / 5)
