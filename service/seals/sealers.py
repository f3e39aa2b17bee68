"""The sealers of all profiles: made when they are first needed, made anew when a profile's files or its key change."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509

from service.db.models import Organisation
from service.seals.errors import CertificateEnding, ProfileRefused
from service.seals.opening import open_key
from service.seals.profile import KeyPlace, SealProfile, profile_file, read_profile
from service.seals.refused import RefusedPins
from signing.algorithms import Mechanism
from signing.errors import KeyUnavailable, KeyUnusable, SigningError
from signing.keys import BatchSealKey, SealKey
from signing.seal import Sealer

log = structlog.get_logger()

LOOKED_AT_EVERY: Final = 1.0
"""Seconds between two looks at a profile's files, and between two tries to open a key that can't be used."""

REST: Final = 5.0
"""Seconds for which a key that could not be reached is not tried: each try may last, and many documents wait."""

Make = Callable[[SealKey, SealProfile], Sealer]
_Stamp = tuple[tuple[int, int, int] | None, ...]


class FileKeysRefused(ProfileRefused):
    """Production seals with keys that can't be copied away."""

    code = "seal_key_in_file"

    def __init__(self) -> None:
        super().__init__(
            "This seal key lies in a file, which is for demonstrations and tests: production seals with a key in a "
            "device (pkcs11) or a signing service (csc)."
        )


@dataclass(slots=True)
class _Held:
    """A key that is open, or why it is not."""

    place: KeyPlace
    key: SealKey | None = None
    sealer: Sealer | None = None
    error: SigningError | None = None
    until: float = float("-inf")

    def refuse(self) -> None:
        """Raise what was wrong a moment ago."""
        if self.error is not None and time.monotonic() < self.until:
            raise self.error.with_traceback(None)

    def failed(self, error: SigningError) -> None:
        """Remember what is wrong for a while."""
        rest = REST if isinstance(error, KeyUnavailable) else LOOKED_AT_EVERY
        self.error, self.until = error, time.monotonic() + rest

    def let_go(self) -> None:
        """Close the key. Whoever is just sealing with it opens it again by itself: the certificate stays the same."""
        if close := getattr(self.key, "close", None):
            close()
        self.key = self.sealer = None


@dataclass(slots=True)
class _Kept:
    """What is known of a profile, until its files change; ``lock`` is held while one of its keys is opened."""

    stamp: _Stamp
    looked: float
    profile: SealProfile
    keys: list[_Held]
    lock: threading.RLock = field(default_factory=threading.RLock)


class _Watched:
    """A key that rests when it can't be reached, and is opened anew after it could not be used.

    A remote certificate may have been exchanged, say.
    """

    def __init__(self, key: SealKey, held: _Held) -> None:
        self._key, self._held = key, held

    @property
    def certificate(self) -> x509.Certificate:
        return self._key.certificate

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        return self._key.chain

    @property
    def mechanism(self) -> Mechanism:
        return self._key.mechanism

    def sign(self, digest: bytes) -> bytes:
        with self._guard():
            return self._key.sign(digest)

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        self._held.refuse()
        try:
            yield
        except KeyUnavailable as error:
            self._held.failed(error)
            raise
        except KeyUnusable:
            self._held.let_go()
            raise


class _WatchedBatch(_Watched):
    """The same of a key that signs several digests at once."""

    def __init__(self, key: BatchSealKey, held: _Held) -> None:
        super().__init__(key, held)
        self._batch = key

    @property
    def together(self) -> int:
        return self._batch.together

    def sign_many(self, digests: Sequence[bytes]) -> list[bytes]:
        with self._guard():
            return self._batch.sign_many(digests)


class Sealers:
    """Gives the sealer of an organisation; raises where nothing may be sealed with its profile now.

    Safe to share between threads. A profile's files are looked at again at most every second; a key whose files did not
    change stays open.
    """

    def __init__(
        self,
        folder: Path,
        make: Make,
        *,
        clock: Callable[[], datetime],
        margin: timedelta,
        files_allowed: bool,
        refused_pins: RefusedPins | None = None,
    ) -> None:
        """Nothing is opened before it is needed.

        Args:
            folder: where profiles are.
            make: makes a sealer of a key by the profile's level.
            clock: our time, aware.
            margin: how long before its end a certificate seals nothing more, where the profile doesn't say.
            files_allowed: whether keys may lie in files.
            refused_pins: remembers PINs that were refused; None: for this process.
        """
        self._folder, self._make, self._clock = folder, make, clock
        self._margin, self._files_allowed, self._refused_pins = margin, files_allowed, refused_pins or RefusedPins()
        self._lock = threading.RLock()
        self._kept: dict[str, _Kept] = {}

    def __call__(self, organisation: Organisation) -> Sealer:
        """The sealer of the organisation's profile.

        Raises:
            SigningError: retryable; nothing may be sealed with it now, and why.
        """
        return self.of(organisation.seal_profile)

    def of(self, name: str) -> Sealer:
        """The sealer of a profile; see :meth:`__call__`."""
        now = self._clock()
        kept = self._look(name)
        with kept.lock:
            held = kept.keys[_active(kept.profile, now)]
            key = self._opened(held)
            refuse_ending(key, kept.profile.margin(self._margin), now)
            if held.sealer is None:
                try:
                    watched = _WatchedBatch(key, held) if isinstance(key, BatchSealKey) else _Watched(key, held)
                    held.sealer = self._make(watched, kept.profile)
                except ValueError as error:
                    raise ProfileRefused(f"The seal profile can't be used: {error}.") from error
            return held.sealer

    def left(self, name: str) -> timedelta:
        """How long the profile goes on sealing if nobody does anything.

        Raises:
            SigningError: it does not seal now.
        """
        now = self._clock()
        kept = self._look(name)
        with kept.lock:
            margin = kept.profile.margin(self._margin)
            active = _active(kept.profile, now)
            key = self._opened(kept.keys[active])
            if key.certificate.not_valid_before_utc > now:
                raise KeyUnusable("The seal's certificate is not valid yet.")
            ends = key.certificate.not_valid_after_utc - margin
            if kept.profile.next is not None and not active and kept.profile.next.start <= ends:
                try:
                    coming = self._opened(kept.keys[1])
                except SigningError as error:
                    log.warning("next_seal_key_unusable", profile=name, code=error.code)
                else:
                    ends = max(ends, coming.certificate.not_valid_after_utc - margin)
            return ends - now

    def close(self) -> None:
        """Close the keys."""
        with self._lock:
            for kept in self._kept.values():
                for held in kept.keys:
                    held.let_go()
            self._kept.clear()

    def _look(self, name: str) -> _Kept:
        with self._lock:
            known, now = self._kept.get(name), time.monotonic()
            if known is not None and now - known.looked < LOOKED_AT_EVERY:
                return known
            profile = read_profile(self._folder, name)
            stamp = _stamp(self._folder, name, profile)
            if known is not None and known.stamp == stamp:
                known.looked = now
                return known
            if known is not None:
                log.info("seal_profile_changed", profile=name)
                for held in known.keys:
                    held.let_go()
            self._kept[name] = _Kept(stamp, now, profile, [_Held(place) for place in profile.keys])
            return self._kept[name]

    def _opened(self, held: _Held) -> SealKey:
        if held.key is not None:
            return held.key
        held.refuse()
        try:
            if held.place.in_files and not self._files_allowed:
                raise FileKeysRefused
            held.key = open_key(held.place, self._folder, self._refused_pins)
        except SigningError as error:
            held.failed(error)
            raise
        log.info("seal_key_opened", provider=held.place.provider, mechanism=held.key.mechanism.value)
        return held.key


def refuse_ending(key: SealKey, margin: timedelta, now: datetime) -> None:
    """Refuse a certificate that is not valid, or not for long enough.

    Raises:
        KeyUnusable: it is not valid yet.
        CertificateEnding: it ended, or ends within the margin.
    """
    certificate = key.certificate
    if now < certificate.not_valid_before_utc:
        raise KeyUnusable("The seal's certificate is not valid yet.")
    if now >= certificate.not_valid_after_utc - margin:
        raise CertificateEnding("The seal's certificate has ended, or ends too soon to seal with it.")


def names_in(folder: Path) -> list[str]:
    """The profiles that are there, by name."""
    written = {file.name.removesuffix(".toml") for file in folder.glob("*.toml")}
    return sorted(written | {file.name.removesuffix(".key.pem") for file in folder.glob("*.key.pem")})


def in_files(folder: Path) -> list[str]:
    """The profiles whose key (or next key) lies in a file; what can't be read is somebody else's finding."""
    found = []
    for name in names_in(folder):
        try:
            profile = read_profile(folder, name)
        except ProfileRefused:
            continue
        if any(place.in_files for place in profile.keys):
            found.append(name)
    return found


def _active(profile: SealProfile, now: datetime) -> int:
    return int(profile.next is not None and now >= profile.next.start)


def _stamp(folder: Path, name: str, profile: SealProfile) -> _Stamp:
    files = [profile_file(folder, name)]
    if profile.appearance is not None and profile.appearance.logo:
        files.append(folder / profile.appearance.logo)
    for place in profile.keys:
        files += [folder / file for file in place.files]
        files += [folder / secret.file for secret in place.secrets if secret.file]
    return tuple(_identity(file) for file in files)


def _identity(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
