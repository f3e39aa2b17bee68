"""What can happen to a token while a service seals with a key in it."""

import contextlib
import ctypes
import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from cryptography import x509
from pkcs11.constants import TokenFlag

from service.embedded.pki import ensure_seal
from signing.algorithms import digest, signature_holds
from signing.errors import KeyUnavailable, KeyUnusable
from signing.keys import SealKey
from signing.keys import pkcs11_module as modules
from signing.keys.pkcs11 import KeyAddress, Pkcs11SealKey
from signing.keys.pkcs11_module import TokenAddress, module_at
from tests.signing_support import pki, seal_key
from tests.softhsm_support import MODULE, PIN, hsm_key, new_token, put_key, remove_token, shared_token

HASHED = digest("sha256", b"a document")


@pytest.fixture
def own() -> Iterator[TokenAddress]:
    """A token that the test may do anything with."""
    address = new_token("own")
    put_key("own", "p-256")
    module_at(MODULE)._starts.clear()  # each test may start the module again at once
    yield address
    with contextlib.suppress(AssertionError):
        remove_token("own")


def opened(address: TokenAddress, pin: str = PIN, **named: Any) -> Pkcs11SealKey:
    known = seal_key("p-256")
    return Pkcs11SealKey(
        address, lambda: pin, KeyAddress(label="p-256"), certificate=known.certificate, chain=known.chain, **named
    )


def signs(key: SealKey, digested: bytes = HASHED) -> bool:
    return signature_holds(
        key.certificate.public_key(), key.mechanism.encoded, key.mechanism.digest, key.sign(digested), digested
    )


def raw_token(label: str) -> Any:
    return module_at(MODULE)._token(TokenAddress(MODULE, label))


def close_all_sessions(label: str) -> None:
    """What another part of the process, or the device, does to every session of a token (C_CloseAllSessions)."""
    with module_at(MODULE).use():
        assert ctypes.CDLL(MODULE).C_CloseAllSessions(ctypes.c_ulong(raw_token(label).slot.slot_id)) == 0


def warned(label: str) -> bool:
    return bool(raw_token(label).flags & TokenFlag.USER_PIN_COUNT_LOW)


def test_a_lost_session_is_opened_again() -> None:
    keys = [hsm_key("p-256"), hsm_key("rsa-3072")]
    assert all(signs(key) for key in keys)
    close_all_sessions("shared")
    assert all(signs(key) for key in keys)


def test_a_token_that_comes_back_is_used_again(own: TokenAddress) -> None:
    key = opened(own)
    assert signs(key)
    remove_token("own")
    with pytest.raises(KeyUnavailable) as caught:
        key.sign(HASHED)
    assert caught.value.code == "key_unavailable"
    assert caught.value.retryable
    new_token("own")
    put_key("own", "p-256")
    module_at(MODULE)._starts.clear()
    assert signs(key)
    assert signs(hsm_key()), "a key in another token of the module goes on"


def test_a_token_that_is_away_is_not_looked_for_at_the_cost_of_others(own: TokenAddress) -> None:
    away, other = opened(own), hsm_key()
    remove_token("own")
    with pytest.raises(KeyUnavailable):
        away.sign(HASHED)
    before = module_at(MODULE).generation
    assert signs(other)
    for _ in range(3):
        with pytest.raises(KeyUnavailable):
            away.sign(HASHED)
    assert module_at(MODULE).generation == before


def test_a_wrong_pin_is_shown_once(own: TokenAddress) -> None:
    with pytest.raises(KeyUnusable, match="refuses the PIN") as caught:
        opened(own, "wrong")
    assert "wrong" not in caught.value.detail.replace("wrong ones", "")
    assert warned("own")
    for _ in range(3):
        with pytest.raises(KeyUnusable, match="not tried again"):
            opened(own, "wrong")
    # The right one clears the warning only by hand: nobody knows here that it is the right one.
    with pytest.raises(KeyUnusable, match="by hand"):
        opened(own)
    with raw_token("own").open(user_pin=PIN):
        pass
    assert signs(opened(own))


def _shown(number: int, address: TokenAddress, errors: Any) -> None:
    try:
        opened(address, f"wrong-{number}")
    except KeyUnusable as error:
        errors.put(error.detail)


def test_other_processes_do_not_show_another_wrong_pin(own: TokenAddress) -> None:
    context = multiprocessing.get_context("fork")
    errors = context.Queue()
    for number in range(2):
        process = context.Process(target=_shown, args=(number, own, errors))
        process.start()
        process.join(30)
        assert process.exitcode == 0
    assert "refuses the PIN" in errors.get(timeout=30)
    assert "none is tried" in errors.get(timeout=30)


def test_a_pin_that_was_good_is_tried_though_somebody_else_mistyped(own: TokenAddress) -> None:
    key = opened(own)
    with contextlib.suppress(pkcs11.PinIncorrect):
        close_all_sessions("own")
        raw_token("own").open(user_pin="mistyped")
    assert warned("own")
    assert signs(key)


def test_logging_in_is_done_alone(own: TokenAddress) -> None:
    held: list[str] = []

    @contextlib.contextmanager
    def alone() -> Iterator[None]:
        held.append("taken")
        yield
        held.append("let go")

    key = opened(own, alone=alone)
    assert signs(key)
    assert held == ["taken", "let go"]


def _sign_in_child(key: SealKey, answers: Any) -> None:
    answers.put(signs(key))


def test_a_forked_process_signs_and_so_does_its_parent() -> None:
    keys = [hsm_key("p-256"), hsm_key("rsa-3072")]
    assert all(signs(key) for key in keys)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    for key in keys:
        # One after the other: where several log in at once, SoftHSM loses sight of a token for moments.
        child = context.Process(target=_sign_in_child, args=(key, answers))
        child.start()
        assert all(signs(each) for each in keys)
        assert answers.get(timeout=20)
        child.join(20)
        assert child.exitcode == 0
    assert all(signs(key) for key in keys)


def test_a_fork_while_another_thread_signs_does_not_hang_the_child() -> None:
    key = hsm_key("rsa-3072")
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            key.sign(HASHED)

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(busy) for _ in range(2)]
        try:
            for _ in range(5):
                if (child := os.fork()) == 0:
                    # A lock of the module's own that a thread held stays held: what is ours must not be.
                    module = module_at(MODULE)
                    fine = module._stale and module._lock.acquire(blocking=False)
                    os._exit(0 if fine else 1)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        finally:
            stop.set()
        for each in running:
            each.result()


def test_threads_sign_while_sessions_are_lost() -> None:
    key = hsm_key("p-256")
    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(signs, key, digest("sha256", bytes([number]))) for number in range(200)]
        for _ in range(5):
            close_all_sessions("shared")
        outcomes = []
        for each in results:
            try:
                outcomes.append(each.result())
            except KeyUnavailable:
                outcomes.append(None)  # twice in one call: a retryable error is right
    assert False not in outcomes
    assert outcomes.count(True) > 150
    assert signs(key)


def test_the_key_is_found_by_its_id_too() -> None:
    key = Pkcs11SealKey(shared_token(), lambda: PIN, KeyAddress(id=b"p-384"))
    assert key.certificate == seal_key("p-384").certificate
    assert key.chain == seal_key("p-384").chain


def test_the_token_is_found_by_its_serial_number() -> None:
    serial = raw_token(shared_token().label or "").serial.decode()
    assert signs(Pkcs11SealKey(TokenAddress(MODULE, serial=serial), lambda: PIN, KeyAddress(label="p-256")))


def test_a_key_that_is_not_there_is_a_coded_error() -> None:
    with pytest.raises(KeyUnusable, match="no such key"):
        Pkcs11SealKey(shared_token(), lambda: PIN, KeyAddress(label="none"))


def test_a_certificate_of_another_key_is_refused() -> None:
    with pytest.raises(KeyUnusable, match="another key"):
        Pkcs11SealKey(shared_token(), lambda: PIN, KeyAddress(label="rsa-3072"), certificate=_another_rsa_certificate())


def _another_rsa_certificate() -> Any:
    made = ensure_seal(pki().folder, "Een ander", "ander-rsa", algorithm="rsa-3072")
    return x509.load_pem_x509_certificate(made.certificate.read_bytes())


def test_a_token_without_the_certificate_says_so(own: TokenAddress) -> None:
    with pytest.raises(KeyUnusable, match="name a file"):
        Pkcs11SealKey(own, lambda: PIN, KeyAddress(label="p-256"))


def test_a_module_that_is_none_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(KeyUnavailable, match="module"):
        opened(TokenAddress(str(tmp_path / "none.so"), "own"))


def test_the_pin_does_not_show(own: TokenAddress) -> None:
    key = opened(own)
    assert PIN not in repr(key)
    assert PIN not in repr(vars(modules.module_at(MODULE)))


def test_closing_ends_the_sessions_and_the_key_still_works(own: TokenAddress) -> None:
    key = opened(own)
    key.close()
    assert key._opened is None
    assert signs(key)
