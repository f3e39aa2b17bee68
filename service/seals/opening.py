"""From a profile's words to a key that signs."""

import contextlib
import fcntl
import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from cryptography import x509

from service.seals.errors import ProfileRefused
from service.seals.profile import CscKey, KeyPlace, PemKey, Pkcs11Key, Pkcs12Key, Secret
from service.seals.refused import RefusedPins
from signing.keys import FileSealKey, SealKey
from signing.keys.csc import CscSealKey
from signing.keys.csc_service import CscAccess
from signing.keys.pkcs11 import KeyAddress, Pkcs11SealKey
from signing.keys.pkcs11_module import TokenAddress


def open_key(place: KeyPlace, folder: Path, refused_pins: RefusedPins) -> SealKey:
    """Open the key that is at ``place``; relative files are in ``folder``.

    Raises:
        SigningError: it can't be opened (now): ``key_unusable``, ``key_unavailable``, ``seal_profile_refused``.
    """
    match place:
        case PemKey():
            password = _password(place.password, folder)
            chain = folder / place.chain if place.chain else None
            return FileSealKey.from_pem(
                folder / place.key,
                folder / place.certificate,
                chain,
                password=password,
                mechanism=place.mechanism,
            )
        case Pkcs12Key():
            password = _password(place.password, folder)
            return FileSealKey.from_pkcs12(folder / place.file, password=password, mechanism=place.mechanism)
        case Pkcs11Key():
            return Pkcs11SealKey(
                TokenAddress(str(place.module), place.token, place.serial),
                partial(place.pin.read, folder),
                KeyAddress(place.label, bytes.fromhex(place.id) if place.id else None),
                certificate=_certificate(place.certificate, folder),
                chain=_certificates(place.chain, folder),
                mechanism=place.mechanism,
                alone=_alone(folder),
            )
        case CscKey():
            return _remote(place, folder, refused_pins)


def _remote(place: CscKey, folder: Path, refused_pins: RefusedPins) -> SealKey:
    access = CscAccess(
        url=place.url,
        version=1 if place.api == "1.0.4" else 2,
        client_id=place.client_id,
        secret=partial(place.secret.read, folder),
        token_url=place.token_url,
        scope=place.scope,
    )
    return CscSealKey(
        access,
        place.credential,
        pin=partial(place.pin.read, folder) if place.pin else None,
        certificate=_certificate(place.certificate, folder),
        mechanism=place.mechanism,
        refused_pins=refused_pins,
        timeout=place.timeout_seconds,
        tls=_trusting(place.authorities, folder),
    )


def _password(secret: Secret | None, folder: Path) -> bytes | None:
    return secret.read(folder).encode() if secret else None


def _certificates(file: Path | None, folder: Path) -> tuple[x509.Certificate, ...]:
    if file is None:
        return ()
    try:
        return tuple(x509.load_pem_x509_certificates((folder / file).read_bytes()))
    except (OSError, ValueError) as error:
        raise ProfileRefused(
            "A certificate that the seal profile names can't be read.", context={"fault": type(error).__name__}
        ) from error


def _certificate(file: Path | None, folder: Path) -> x509.Certificate | None:
    return _certificates(file, folder)[0] if file else None


def _trusting(file: Path | None, folder: Path) -> ssl.SSLContext | None:
    if file is None:
        return None
    try:
        return ssl.create_default_context(cafile=folder / file)
    except (OSError, ssl.SSLError) as error:
        raise ProfileRefused(
            "The authorities that the seal profile names can't be read.", context={"fault": type(error).__name__}
        ) from error


def _alone(folder: Path) -> Callable[[], AbstractContextManager[object]]:
    """Holds off every other process of this machine that seals with the same folder, while the block lasts."""

    @contextlib.contextmanager
    def held() -> Iterator[None]:
        # The folder itself, so that nothing has to be writable.
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            # Said expressly: a child forked meanwhile has the descriptor too.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    return held
