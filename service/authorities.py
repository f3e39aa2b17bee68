"""Who proves to us: the time-stamp authorities that are set, and the issuers of the certificates that we rely on."""

from typing import Final

import structlog

from service.settings import Settings
from signing.asking import Asking
from signing.errors import RevocationUnavailable, SigningError
from signing.revocation import OnlineRevocation
from signing.several import SeveralAuthorities
from signing.timestamps import HttpTimeStampAuthority
from signing.trust import load_certificates

log = structlog.get_logger()

_SECONDS: Final = 10.0


def time_stamps(settings: Settings) -> SeveralAuthorities:
    """All authorities of ``ZENDING_TSA_URL`` as one, by that order."""
    roots = load_certificates(settings.trust_anchor)

    def failed(position: int, error: SigningError) -> None:
        log.warning("timestamp_authority_failed", position=position + 1, code=error.code, **error.context)

    urls = settings.tsa_url.split()
    return SeveralAuthorities([HttpTimeStampAuthority(url, roots, timeout=_SECONDS) for url in urls], failed=failed)


def revocation(settings: Settings) -> OnlineRevocation:
    """Asks those who issued the certificates of seals and time-stamps whether they are still good.

    A certificate is only asked about once it was traced to a root of ``ZENDING_TRUST_ANCHOR``, so the addresses are
    those of authorities that are trusted already.
    """
    asking = Asking(
        party="The certificate's issuer",
        fault=RevocationUnavailable,
        timeout=_SECONDS,
        proxy=settings.revocation_proxy,
    )
    return OnlineRevocation(load_certificates(settings.trust_anchor), asking=asking)
