"""Keeping seals good for decades: a document time-stamp is renewed before its certificate or algorithm ends.

Each new one covers everything before it with what proves the one before (ETSI EN 319 142-1, 5.5; EN 319 102-1, 5.6.3).
A document below level B-LTA is raised to it the same way.
"""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its methods without.

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from io import BytesIO
from typing import IO, Any

from asn1crypto import cms
from cryptography import x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import enumerate_sig_fields

from signing.archive import Archive, Kept, holds_until
from signing.errors import CertificateRevoked, KeyUnusable, PdfUnreadable, SigningError, Unsealable
from signing.filling import Check
from signing.revision import READING_FAULTS
from signing.revocation import RevocationSource, ValidationData
from signing.timestamps import TimeStampAuthority
from signing.tokens import certificates_of


class NothingToKeep(Unsealable):
    """There is no signature in the document that could be kept good."""

    code = "no_signature"


class RenewalTooLate(SigningError):
    """The newest time-stamp's certificate has ended or is no longer good: a new one would prove nothing of before."""

    code = "renewal_too_late"


class Renewer:
    """Adds a document time-stamp, and what proves everything before it. Safe to share between threads."""

    def __init__(
        self,
        tsa: TimeStampAuthority,
        revocation: RevocationSource,
        *,
        stamp_size: int,
        ends: Mapping[str, datetime] | None = None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            tsa: makes the time-stamps.
            revocation: proves that certificates are good.
            stamp_size: bytes kept free for a token.
            ends: as in :func:`signing.archive.holds_until`.
        """
        self._revocation, self._ends = revocation, ends
        self._archive = Archive(tsa, revocation, stamp_size=stamp_size)

    def renew(self, pdf: bytes, *, at: datetime) -> Kept:
        """The document with a newer time-stamp behind everything that was there.

        What the newest time-stamp covers needs no new proof; what came after it, or all where there is none, does.
        Signatures of strangers, whose certificates lead to no root that is believed, are covered and not proven; so are
        those whose certificates were revoked after they signed, which their time-stamps go on saying.

        Args:
            pdf: the document.
            at: our time (aware).

        Raises:
            NothingToKeep: it has no signature.
            RenewalTooLate: it can't be kept any more.
            SigningError: as in sealing; what is retryable succeeds later.
        """
        stream = BytesIO(pdf)
        token = self._archive.stamp(stream, self._proof(stream, at), Check.of_bytes(pdf), at=at)
        return Kept(stream.getvalue(), holds_until(token, self._ends))

    def _proof(self, stream: IO[bytes], at: datetime) -> ValidationData:
        signatures = list(_signatures(stream))
        stamps = [position for position, (kind, _) in enumerate(signatures) if kind == "/DocTimeStamp"]
        if not signatures:
            raise NothingToKeep("There is no signature in the document.")
        needed = stamps[-1] if stamps else 0
        found: ValidationData | None = None
        for position, (_, signed) in enumerate(signatures[needed:], needed):
            for certificate, others in _signers(signed):
                try:
                    data = self._revocation.data(certificate, others, at=at)
                except CertificateRevoked:
                    if position in stamps:
                        raise
                    # Revoked since: its time-stamp says that the signature was there before, and goes on saying so.
                    continue
                except KeyUnusable as error:
                    if position in stamps:
                        raise RenewalTooLate(
                            "The newest time-stamp of the document can't be believed any more."
                        ) from error
                    continue
                found = data if found is None else found.with_(data)
        if found is None:
            raise NothingToKeep("No signature of the document leads to somebody who is believed here.")
        return found


def _signatures(stream: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """Kind and CMS of each signature and document time-stamp, oldest first.

    Raises:
        PdfUnreadable: the structure of the PDF can't be read.
    """
    try:
        reader = PdfFileReader(stream, strict=False)
        found = []
        for _, value, _ in enumerate_sig_fields(reader, filled_status=True):
            signature: Any = value.get_object()
            extent = int(signature["/ByteRange"][2]) + int(signature["/ByteRange"][3])
            kind = str(signature.get("/Type", "/Sig"))
            found.append((extent, kind, bytes(signature.raw_get("/Contents"))))
    except READING_FAULTS as error:
        raise PdfUnreadable(
            "The structure of the PDF can't be read.", context={"fault": type(error).__name__}
        ) from error
    yield from ((kind, content) for _, kind, content in sorted(found))


def _signers(signed: bytes) -> Iterable[tuple[x509.Certificate, tuple[x509.Certificate, ...]]]:
    """The signer of a CMS and those of its time-stamps, each with the certificates that came along."""
    try:
        content = cms.ContentInfo.load(signed)["content"]
        sent = tuple(x509.load_der_x509_certificate(each.dump()) for each in content["certificates"])
        info = content["signer_infos"][0]
        serial = info["sid"].chosen["serial_number"].native
        mine = [each for each in sent if each.serial_number == serial]
        attributes = info["unsigned_attrs"]
        named = [each for each in attributes if each["type"].native == "signature_time_stamp_token"]
        tokens = [value.dump() for attribute in named for value in attribute["values"]]
        stamped = [certificates_of(token) for token in tokens]
    except (ValueError, TypeError, KeyError, IndexError, SigningError):
        return []  # a stranger's odd signature: it is covered, and nothing can be said for it
    return [*((each, sent) for each in mine), *stamped]
