"""Who judges signatures in this process, and what settings say is believed."""

import contextlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from service.inspection.limits import InspectionLimits
from service.inspection.validating import Believed, Trust
from service.inspection.validator import Validator
from service.seals.errors import ProfileRefused
from service.seals.profile import read_profile
from service.settings import Settings, SettingsRefused
from signing.trust import load_certificates
from signing.trusted_lists import TrustedListRefused

log = structlog.get_logger()


def validator(
    settings: Settings, seals: Path, limits: InspectionLimits, closing: contextlib.ExitStack
) -> Callable[[], Validator]:
    """The validator of a process, made with the first document; what is to be believed is looked at before.

    Args:
        settings: checked settings.
        seals: folder of the seal profiles: behind these seals nothing but time-stamps and validation data is borne.
        limits: of each check.
        closing: ends the helper with the process.

    Raises:
        SettingsRefused: a file that is to be believed can't be.
    """
    believed = _believed(settings, seals)
    lock = threading.Lock()

    @lru_cache(maxsize=1)
    def opened() -> Validator:
        return closing.enter_context(Validator(limits, believed))

    def one() -> Validator:
        with lock:
            return opened()

    return one


def _believed(settings: Settings, seals: Path) -> Believed:
    believed = Believed(
        anchors=tuple(settings.validation_roots.split()) or (str(settings.trust_anchor),),
        lists=tuple(settings.trusted_lists.split()),
        operators=tuple(settings.trusted_list_operators.split()),
        own_seals=tuple(seal.fingerprint(SHA256()).hex() for seal in _own_seals(settings, seals)),
    )
    if settings.validation_roots or settings.trusted_lists:
        _look_at(believed)
    return believed


def _own_seals(settings: Settings, seals: Path) -> list[x509.Certificate]:
    """The certificates of our own seals that lie in files: former ones too, for as long as they lie there.

    Raises:
        SettingsRefused: one that is named can't be read.
    """
    found = set(seals.glob("*.cert.pem"))
    for file in seals.glob("*.toml"):
        try:
            places = read_profile(seals, file.stem).keys
        except ProfileRefused as refused:
            # It seals nothing as it is; who seals says so where it is seen.
            log.warning("seal_profile_not_read", profile=file.stem, code=refused.code)
            continue
        for place in places:
            if certificate := getattr(place, "certificate", None):
                found.add(seals / certificate)
    try:
        named = [each for file in settings.own_seals.split() for each in load_certificates(Path(file))]
    except (OSError, ValueError):
        raise SettingsRefused("ZENDING_OWN_SEALS names a file that holds no certificates.") from None
    there = [file for file in sorted(found) if file.is_file()]
    return [*(each for file in there for each in load_certificates(file)), *named]


def _look_at(believed: Believed) -> None:
    try:
        Trust(believed, datetime.now(UTC))
    except (OSError, ValueError):
        raise SettingsRefused(
            "ZENDING_VALIDATION_ROOTS, ZENDING_TRUSTED_LISTS or ZENDING_TRUSTED_LIST_OPERATORS names a file that can't "
            "be read."
        ) from None
    except TrustedListRefused as error:
        raise SettingsRefused(f"ZENDING_TRUSTED_LISTS: {error.detail} ({error.reason})") from None
