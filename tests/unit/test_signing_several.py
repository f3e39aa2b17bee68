"""Several time-stamp authorities as one."""

import hashlib

import pytest

from signing.errors import SigningError, TimeStampInvalid, TimeStampRefused, TimeStampUnavailable
from signing.several import SeveralAuthorities

DIGEST = hashlib.sha256(b"x").digest()
AWAY, REFUSES, LIES = TimeStampUnavailable("away"), TimeStampRefused("no"), TimeStampInvalid("nonce", "lie")


class Told:
    """Does as it is told; counts how often it was asked."""

    def __init__(self, answer: bytes | SigningError) -> None:
        self.answer, self.asked, self.closed = answer, 0, False

    def token(self, digest: bytes) -> bytes:
        self.asked += 1
        if isinstance(self.answer, SigningError):
            raise self.answer
        return self.answer + digest[:1]

    def close(self) -> None:
        self.closed = True


def test_the_first_serves_as_long_as_it_works() -> None:
    first, second = Told(b"1"), Told(b"2")
    several = SeveralAuthorities([first, second])
    assert [several.token(DIGEST)[:1] for _ in range(3)] == [b"1"] * 3
    assert second.asked == 0


@pytest.mark.parametrize("fault", [AWAY, REFUSES, LIES])
def test_one_that_fails_steps_back_for_a_while_and_then_serves_again(fault: SigningError) -> None:
    time, told = [0.0], list[tuple[int, str]]()
    first, second = Told(fault), Told(b"2")
    several = SeveralAuthorities(
        [first, second], pause=30, clock=lambda: time[0], failed=lambda at, error: told.append((at, error.code))
    )
    for _ in range(3):
        assert several.token(DIGEST)[:1] == b"2"
    assert (first.asked, second.asked) == (1, 3)
    assert told == [(0, fault.code)]
    first.answer = b"1"
    time[0] = 31
    assert several.token(DIGEST)[:1] == b"1"


def test_one_that_stepped_back_is_still_asked_when_the_others_fail() -> None:
    first, second = Told(AWAY), Told(b"2")
    several = SeveralAuthorities([first, second])
    several.token(DIGEST)
    first.answer, second.answer = b"1", AWAY
    assert several.token(DIGEST)[:1] == b"1"


def test_when_nobody_works_the_error_is_one_that_may_pass() -> None:
    for answers in ((REFUSES, AWAY), (AWAY, REFUSES)):
        with pytest.raises(TimeStampUnavailable):
            SeveralAuthorities([Told(each) for each in answers]).token(DIGEST)
    with pytest.raises(TimeStampRefused):
        SeveralAuthorities([Told(REFUSES)]).token(DIGEST)


def test_an_error_of_ours_is_not_taken_for_a_failure_of_theirs() -> None:
    class Broken:
        def token(self, digest: bytes) -> bytes:
            raise AssertionError(digest)

    second = Told(b"2")
    with pytest.raises(AssertionError):
        SeveralAuthorities([Broken(), second]).token(DIGEST)
    assert second.asked == 0


def test_none_is_too_few_and_all_are_closed() -> None:
    with pytest.raises(ValueError, match="at least one"):
        SeveralAuthorities([])
    both = [Told(b"1"), Told(b"2")]
    with SeveralAuthorities(both):
        assert not any(each.closed for each in both)
    assert all(each.closed for each in both)
