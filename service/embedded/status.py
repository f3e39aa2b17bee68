"""Says whether certificates of the test PKI were revoked: lists (RFC 5280) and OCSP responses (RFC 6960)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import ocsp

from service.embedded.pki import AUTHORITIES, PrivateKey

REVOKED = "revoked.txt"
"""File in the PKI's folder: per line a revoked certificate's serial number in decimal and since when (RFC 3339)."""

_LIFE = timedelta(hours=12)
_BACK = timedelta(minutes=5)


def revoke(folder: Path, certificate: x509.Certificate, *, since: datetime) -> None:
    """Let every answer from now on say that ``certificate`` is revoked since then (aware)."""
    with (folder / REVOKED).open("a", encoding="ascii") as out:
        out.write(f"{certificate.serial_number} {since.astimezone(UTC).isoformat()}\n")


class StatusMaker:
    """Makes the answers: lists of both authorities, responses about what the issuing one certified.

    Who was revoked is read anew for each.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._folder, self._clock = folder, clock
        self._issuers = {name: _load(folder, name) for name in AUTHORITIES}
        self._responder = _load(folder, "ocsp")

    def revocation_list(self, name: str) -> bytes | None:
        """The list of the authority called ``name`` (``root``, ``issuing``), DER; None when there is none such."""
        if name not in self._issuers:
            return None
        key, issuer = self._issuers[name]
        now = self._clock()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.subject)
            .last_update(now - _BACK)
            .next_update(now + _LIFE)
            .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        )
        for serial, since in self._revoked().items():
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(key, SHA256()).public_bytes(Encoding.DER)

    def respond(self, request: bytes) -> bytes:
        """The answer to an OCSP request."""
        try:
            asked = ocsp.load_der_ocsp_request(request)
        except ValueError:
            return _refusal(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        if not _names(asked, self._issuers["issuing"][1]):
            return _refusal(ocsp.OCSPResponseStatus.UNAUTHORIZED)
        key, responder = self._responder
        now, since = self._clock(), self._revoked().get(asked.serial_number)
        return (
            ocsp.OCSPResponseBuilder()
            .add_response_by_hash(
                issuer_name_hash=asked.issuer_name_hash,
                issuer_key_hash=asked.issuer_key_hash,
                serial_number=asked.serial_number,
                algorithm=asked.hash_algorithm,
                cert_status=ocsp.OCSPCertStatus.GOOD if since is None else ocsp.OCSPCertStatus.REVOKED,
                this_update=now - _BACK,
                next_update=now + _LIFE,
                revocation_time=since,
                revocation_reason=None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, responder)
            .certificates([responder])
            .sign(key, SHA256())
            .public_bytes(Encoding.DER)
        )

    def _revoked(self) -> dict[int, datetime]:
        file = self._folder / REVOKED
        lines = file.read_text("ascii").splitlines() if file.exists() else []
        return {int(serial): datetime.fromisoformat(since) for serial, since in map(str.split, lines)}


def _names(asked: ocsp.OCSPRequest, issuer: x509.Certificate) -> bool:
    """Whether the request is about a certificate of ``issuer``."""
    own = asn1_x509.Certificate.load(issuer.public_bytes(Encoding.DER))
    return asked.issuer_name_hash in {own.subject.sha1, own.subject.sha256} and asked.issuer_key_hash in {
        own.public_key.sha1,
        own.public_key.sha256,
    }


def _refusal(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)


def _load(folder: Path, name: str) -> tuple[PrivateKey, x509.Certificate]:
    key = load_pem_private_key((folder / f"{name}.key.pem").read_bytes(), None)
    return key, x509.load_pem_x509_certificate((folder / f"{name}.cert.pem").read_bytes())  # type: ignore[return-value]
