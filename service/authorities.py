"""Who proves to us: the time-stamp authorities that are set, and the issuers of the certificates that we rely on."""

from pathlib import Path
from typing import Final

import structlog
from cryptography import x509

from service.ledger.cosigning import KnownWitness, parse_witnesses
from service.ledger.errors import NoteRefused
from service.settings import Settings, SettingsRefused
from signing.asking import Asking
from signing.errors import RevocationUnavailable, SigningError
from signing.keys.consent import ConsentService
from signing.keys.csc_service import CscAccess
from signing.revocation import OnlineRevocation
from signing.several import SeveralAuthorities
from signing.signers import SignerCheck
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


def witnesses(settings: Settings) -> tuple[KnownWitness, ...]:
    """Who cosigns the evidence log's checkpoints.

    Raises:
        SettingsRefused: what is set can't be read.
    """
    try:
        return parse_witnesses(settings.witnesses)
    except NoteRefused as error:
        raise SettingsRefused(f"ZENDING_WITNESSES can't be used: {error.detail}") from None


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


def signers(settings: Settings) -> SignerCheck | None:
    """Whose certificates people may sign with; None where no roots are set, and nobody can.

    Raises:
        SettingsRefused: a file that is named can't be read.
    """
    if settings.signer_anchors is None:
        return None
    anchors = _certificates("ANCHORS", settings.signer_anchors)
    revocation = None
    if settings.signer_revocation:
        asking = Asking(
            party="The certificate's issuer",
            fault=RevocationUnavailable,
            timeout=_SECONDS,
            proxy=settings.revocation_proxy,
        )
        # Time-stamps of people's signatures are proven with them.
        revocation = OnlineRevocation([*anchors, *load_certificates(settings.trust_anchor)], asking=asking)
    return SignerCheck(
        anchors,
        issuers=_certificates("ISSUERS", settings.signer_issuers),
        qualified=_certificates("QUALIFIED", settings.signer_qualified),
        revocation=revocation,
    )


def consent(settings: Settings) -> ConsentService | None:
    """The remote service where people sign by their consent; None where none is set.

    Raises:
        SettingsRefused: its address can't be asked.
    """
    url, secret = settings.remote_signing_url, settings.remote_signing_client_secret
    if url is None or secret is None:
        return None
    base = (settings.remote_signing_oauth_url or f"{url.rstrip('/')}/oauth2").rstrip("/")
    access = CscAccess(
        url,
        int(settings.remote_signing_api[0]),
        settings.remote_signing_client_id,
        secret.get_secret_value,
        token_url=f"{base}/token",
    )
    try:
        return ConsentService(access, name=settings.remote_signing_name, authorize_url=f"{base}/authorize")
    except ValueError as error:
        raise SettingsRefused(
            f"The settings of the remote signing service (ZENDING_REMOTE_SIGNING_…): {error}."
        ) from None


def _certificates(name: str, file: Path | None) -> tuple[x509.Certificate, ...]:
    try:
        return () if file is None else load_certificates(file)
    except (OSError, ValueError) as error:
        raise SettingsRefused(
            f"ZENDING_SIGNER_{name} names no readable file of certificates (PEM; {type(error).__name__})."
        ) from None
