"""When a PIN is shown to a token, by what the token says of itself; with a token that says anything."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pkcs11
import pytest
from pkcs11.constants import TokenFlag

from signing.errors import KeyUnavailable, KeyUnusable
from signing.keys import pkcs11_module as modules
from signing.keys.pkcs11_module import Pkcs11Module, TokenAddress

ADDRESS = TokenAddress("any.so", "t")
NOTHING = TokenFlag(0)


class Token:
    """A token whose flags and answers are a test's; remembers the PINs that it was shown."""

    def __init__(self) -> None:
        self.label, self.serial, self.flags = "t", b"1", NOTHING
        self.slot = self
        self.shown: list[str] = []
        self.answer: Exception | None = None
        self.after = NOTHING

    def get_token(self) -> "Token":
        return self

    def open(self, user_pin: str | None = None) -> object:
        if user_pin is not None:
            self.shown.append(user_pin)
            if self.answer is not None:
                self.flags |= self.after
                raise self.answer
        return object()


class Library:
    def __init__(self, token: Token) -> None:
        self.slots: list[Any] = [token]
        self.starts = 0
        self.broken = False

    def get_slots(self) -> list[Any]:
        return self.slots

    def finalize(self) -> None:
        raise pkcs11.PKCS11Error

    def initialize(self) -> None:
        self.starts += 1
        if self.broken:
            raise pkcs11.DeviceError


@pytest.fixture
def token() -> Token:
    return Token()


@pytest.fixture
def library(token: Token, monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library(token)
    monkeypatch.setattr(pkcs11, "lib", lambda _: made)
    monkeypatch.setattr(modules, "_PAUSE", 0.0)
    return made


@pytest.fixture
def log_in(library: Library) -> Callable[[str], object]:
    module = Pkcs11Module("any.so")

    def logged_in(pin: str) -> object:
        with module.use():
            module.forget(ADDRESS)
            return module.open(ADDRESS, lambda: pin, nullcontext)

    return logged_in


@pytest.mark.parametrize("answer", [pkcs11.PinIncorrect(), pkcs11.PinInvalid(), pkcs11.PinLenRange()])
@pytest.mark.parametrize("after", [NOTHING, TokenFlag.USER_PIN_COUNT_LOW])
def test_a_refused_pin_is_shown_once_whether_the_token_warns_or_not(
    answer: Exception, after: TokenFlag, token: Token, log_in: Callable[[str], object]
) -> None:
    token.answer, token.after = answer, after
    for _ in range(3):
        with pytest.raises(KeyUnusable):
            log_in("wrong")
    assert token.shown == ["wrong"]


def test_another_pin_is_tried_where_the_token_does_not_warn(token: Token, log_in: Callable[[str], object]) -> None:
    token.answer = pkcs11.PinIncorrect()
    with pytest.raises(KeyUnusable):
        log_in("wrong")
    token.answer = None
    assert log_in("right")
    assert token.shown == ["wrong", "right"]


def test_a_refused_pin_is_tried_again_after_somebody_logged_in_by_hand(
    token: Token, log_in: Callable[[str], object]
) -> None:
    token.answer, token.after = pkcs11.PinIncorrect(), TokenFlag.USER_PIN_COUNT_LOW
    with pytest.raises(KeyUnusable):
        log_in("set right later")
    token.answer, token.flags = None, NOTHING  # a good log-in takes the warning away
    assert log_in("set right later")


@pytest.mark.parametrize("warning", [TokenFlag.USER_PIN_COUNT_LOW, TokenFlag.USER_PIN_FINAL_TRY])
def test_a_token_that_warns_is_shown_no_pin_that_is_not_known_to_be_good(
    warning: TokenFlag, token: Token, log_in: Callable[[str], object]
) -> None:
    token.flags = warning
    with pytest.raises(KeyUnusable, match="by hand"):
        log_in("perhaps")
    assert token.shown == []


def test_a_good_pin_is_shown_though_somebody_mistyped_but_never_as_the_last_try(
    token: Token, log_in: Callable[[str], object]
) -> None:
    assert log_in("good")
    token.flags = TokenFlag.USER_PIN_COUNT_LOW
    assert log_in("good")
    token.flags |= TokenFlag.USER_PIN_FINAL_TRY
    with pytest.raises(KeyUnusable, match="by hand"):
        log_in("good")
    assert token.shown == ["good", "good"]


def test_a_locked_token_is_shown_nothing(token: Token, log_in: Callable[[str], object]) -> None:
    token.flags = TokenFlag.USER_PIN_LOCKED
    with pytest.raises(KeyUnusable, match="security officer"):
        log_in("good")
    assert token.shown == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (pkcs11.PinLocked(), "security officer"),
        (pkcs11.PinExpired(), "never set, or has expired"),
        (pkcs11.UserPinNotInitialized(), "never set, or has expired"),
    ],
)
def test_a_token_that_lets_nobody_in_is_told(
    answer: Exception, said: str, token: Token, log_in: Callable[[str], object]
) -> None:
    token.answer = answer
    with pytest.raises(KeyUnusable, match=said):
        log_in("good")


def test_somebody_elses_log_in_of_the_process_is_used(token: Token, log_in: Callable[[str], object]) -> None:
    token.answer = pkcs11.UserAlreadyLoggedIn()
    assert log_in("good")


def test_a_slot_that_answers_with_an_error_hides_no_other(
    token: Token, library: Library, log_in: Callable[[str], object]
) -> None:
    class Torn:
        def get_token(self) -> Token:
            raise pkcs11.DeviceRemoved

    library.slots.insert(0, Torn())
    assert log_in("good")
    library.slots.append(token)
    with pytest.raises(KeyUnusable, match="serial number"):
        log_in("good")
    library.slots.clear()
    with pytest.raises(KeyUnavailable, match="not there"):
        log_in("good")


def test_a_module_is_started_again_at_most_three_times_in_ten_seconds(library: Library) -> None:
    module = Pkcs11Module("any.so")
    with module.use():
        assert [module.restart(module.generation) for _ in range(5)] == [True, True, True, False, False]
        assert module.restart(module.generation - 1), "somebody started it meanwhile"
    assert library.starts == 3


def test_a_module_that_does_not_start_after_a_fork_is_tried_again(library: Library) -> None:
    module = Pkcs11Module("any.so")
    module.forked()
    library.broken = True
    with pytest.raises(KeyUnavailable, match="can't be started"), module.use():
        pass
    library.broken = False
    with module.use() as generation:
        assert generation == 2
