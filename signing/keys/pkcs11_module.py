"""PKCS#11 modules of this process: loaded once, started again after a fork or when a token is lost for good.

A module is one library with one state per process: sessions of all keys in it share a log-in, and starting it again
ends them all. So what concerns the module as a whole is kept here, once per library, whoever uses it.

Calls into one module are made one after the other. The binding starts modules without telling them of threads, and
then they need not bear two at once (PKCS#11, 5.4: C_Initialize without arguments); processes run side by side.
"""

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import pkcs11
from pkcs11 import exceptions as faults
from pkcs11.constants import TokenFlag

from signing.errors import KeyUnavailable, KeyUnusable

RESTARTS: Final = 3
RESTARTS_SECONDS: Final = 10.0
"""A module is started again at most so often in this time: each start ends the sessions of every key in it."""

_PAUSE: Final = 0.05
"""Seconds before a start: a token that another process is just writing to is missing for moments (seen in SoftHSM)."""

_WARNED = TokenFlag.USER_PIN_COUNT_LOW | TokenFlag.USER_PIN_FINAL_TRY
_REFUSED = (faults.PinIncorrect, faults.PinInvalid, faults.PinLenRange)


@dataclass(frozen=True, slots=True)
class TokenAddress:
    """Where a token is: the module (path of its library) and its label, its serial number, or both."""

    module: str
    label: str | None = None
    serial: str | None = None


class Pkcs11Module:
    """One loaded module; made by :func:`module_at` only."""

    def __init__(self, path: str) -> None:
        try:
            self._library: Any = pkcs11.lib(path)
        except faults.PKCS11Error as error:
            raise KeyUnavailable("The PKCS#11 module can't be loaded or started.", context=_named(error)) from error
        self._lock = threading.RLock()
        self._stale = False
        self._starts: deque[float] = deque(maxlen=RESTARTS)
        self._sessions: dict[bytes, Any] = {}
        self._refused: dict[bytes, tuple[bytes, bool]] = {}
        self._good: dict[bytes, bytes] = {}
        self.generation = 0

    @contextlib.contextmanager
    def use(self) -> Iterator[int]:
        """Within the block calls may be made; gives the generation that the handles of now belong to."""
        with self._lock:
            if self._stale:
                self._start()
            yield self.generation

    def restart(self, seen: int) -> bool:
        """Start the module again, unless that happened since generation ``seen``, or too often; whether it is new.

        To be called within :meth:`use`.
        """
        now = time.monotonic()
        often = len(self._starts) == RESTARTS and now - self._starts[0] < RESTARTS_SECONDS
        if self.generation == seen and not often:
            self._starts.append(now)
            time.sleep(_PAUSE)
            self._start()
        return self.generation != seen

    def _start(self) -> None:
        # What was there before can be gone already: the start that follows says whether the module works.
        with contextlib.suppress(faults.PKCS11Error):
            self._library.finalize()
        self._sessions.clear()
        self.generation += 1
        try:
            self._library.initialize()
        except faults.PKCS11Error as error:
            raise KeyUnavailable("The PKCS#11 module can't be started.", context=_named(error)) from error
        self._stale = False

    def forked(self) -> None:
        """In a child: nothing of the parent's state may be used (PKCS#11, 5.4), and no thread lets go of its locks."""
        self._lock = threading.RLock()
        self._stale = True

    def open(
        self, address: TokenAddress, pin: Callable[[], str], alone: Callable[[], AbstractContextManager[object]]
    ) -> Any:
        """A session in which the user is logged in; to be called within :meth:`use`.

        Raises:
            KeyUnavailable: the token is not there now.
            KeyUnusable: it refuses the PIN, or did, or warns of it.
        """
        token = self._token(address)
        if token.serial not in self._sessions:
            with alone():
                # Read anew: another process may have been refused while we waited for it.
                self._log_in(self._token(address), pin())
        # Without a PIN: closing a session that logged in would log out all others.
        return token.open()

    def forget(self, address: TokenAddress) -> None:
        """What is known of a token's log-in does not hold any more; to be called within :meth:`use`."""
        # Where the token itself is gone there is nothing to forget: the next start forgets all.
        with contextlib.suppress(KeyUnavailable, KeyUnusable, faults.PKCS11Error):
            self._sessions.pop(self._token(address).serial, None)

    def _token(self, address: TokenAddress) -> Any:
        found = []
        for slot in self._library.get_slots():
            # A slot whose token was torn out may answer with any error, and is no reason to miss another.
            with contextlib.suppress(faults.PKCS11Error):
                token = slot.get_token()
                if address.label in {None, token.label} and address.serial in {None, token.serial.decode()}:
                    found.append(token)
        if not found:
            raise KeyUnavailable("The token is not there.")
        if len(found) > 1:
            raise KeyUnusable("Several tokens bear this label: name the serial number too.")
        return found[0]

    def _log_in(self, token: Any, pin: str) -> None:
        """Log in once for all sessions. A PIN that a token refused is never shown to it again: that would lock it."""
        shown = sha256(pin.encode()).digest()
        self._check_pin(token, shown)
        try:
            self._sessions[token.serial] = token.open(user_pin=pin)
        except faults.UserAlreadyLoggedIn:
            self._sessions[token.serial] = None
        except _REFUSED as error:
            self._good.pop(token.serial, None)
            warns = bool(token.slot.get_token().flags & _WARNED)
            self._refused[token.serial] = (shown, warns)
            raise KeyUnusable(
                "The token refuses the PIN. It is not tried again: a token locks itself after a few wrong ones."
            ) from error
        except faults.PinLocked as error:
            raise KeyUnusable("The token is locked: its security officer must set a new PIN.") from error
        except (faults.PinExpired, faults.UserPinNotInitialized) as error:
            raise KeyUnusable("The token's PIN was never set, or has expired.", context=_named(error)) from error
        self._good[token.serial] = shown

    def _check_pin(self, token: Any, shown: bytes) -> None:
        if token.flags & TokenFlag.USER_PIN_LOCKED:
            raise KeyUnusable("The token is locked: its security officer must set a new PIN.")
        refused, warned = self._refused.get(token.serial, (b"", False))
        warns = bool(token.flags & _WARNED)
        if refused == shown and (warns or not warned):
            raise KeyUnusable("The token refused this PIN. Set the right one; it is not tried again.")
        # Any process of any machine may have been refused. A PIN that was good here before may try all the same,
        # unless it is the last try.
        final = token.flags & TokenFlag.USER_PIN_FINAL_TRY
        if warns and (final or self._good.get(token.serial) != shown):
            raise KeyUnusable(
                "The token was shown a wrong PIN since the last log-in, so none is tried: log in to it once by hand "
                "with the right one, which clears the warning."
            )


def _named(error: Exception) -> dict[str, str]:
    return {"fault": type(error).__name__}


_modules: dict[str, Pkcs11Module] = {}
_loading = threading.Lock()


def module_at(path: str) -> Pkcs11Module:
    """The module whose library is at ``path``, loaded at the first call.

    Raises:
        KeyUnavailable: it can't be loaded or started.
    """
    with _loading:
        if path not in _modules:
            _modules[path] = Pkcs11Module(path)
        return _modules[path]


def _forked() -> None:
    global _loading  # noqa: PLW0603 - a lock of the parent's can't be let go here
    _loading = threading.Lock()
    for module in _modules.values():
        module.forked()


os.register_at_fork(after_in_child=_forked)
