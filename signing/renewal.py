"""Keeping seals good for decades: a document time-stamp is renewed before its certificate or algorithm ends.

Each new one covers everything before it with what proves the one before (ETSI EN 319 142-1, 5.5; EN 319 102-1, 5.6.3).
A document below level B-LTA is raised to it the same way.
"""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its methods without.

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import IO, Any, Final

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

_STAMP: Final = "/DocTimeStamp"


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
        stamps = [position for position, (kind, _) in enumerate(signatures) if kind == _STAMP]
        if not signatures:
            raise NothingToKeep("There is no signature in the document.")
        needed = _newest(signatures)
        found: ValidationData | None = None
        for position, (_, signed) in enumerate(signatures[needed:], needed):
            for certificate, others in _read(signed).signers:
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


def good_until(pdf: bytes, *, at: datetime, ends: Mapping[str, datetime] | None = None) -> datetime | None:
    """When the first of what the proof of a document's signatures rests on ends: people's, seals and time-stamps.

    What the newest archive time-stamp covers counts no more, nor does what has ended already.

    Args:
        pdf: the document.
        at: our time (aware).
        ends: as in :func:`signing.archive.holds_until`.

    Returns:
        The moment (aware); None where nothing is left that will end.

    Raises:
        PdfUnreadable: the structure of the PDF can't be read.
    """
    signatures = list(_signatures(BytesIO(pdf)))
    moments: list[datetime] = []
    for kind, signed in signatures[_newest(signatures) :]:
        read = _read(signed)
        if kind != _STAMP:
            moments += [certificate.not_valid_after_utc for certificate, _ in read.own]
        moments += [holds_until(token, ends) for token in (read.whole if kind == _STAMP else read.tokens)]
    return min((each for each in moments if each > at), default=None)


def _newest(signatures: Sequence[tuple[str, bytes]]) -> int:
    """The position of the newest archive time-stamp; the first signature's where there is none."""
    return max((position for position, (kind, _) in enumerate(signatures) if kind == _STAMP), default=0)


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


_Signer = tuple[x509.Certificate, tuple[x509.Certificate, ...]]


@dataclass(frozen=True, slots=True)
class _Read:
    """What a CMS says of itself.

    Attributes:
        own: its signer, with the certificates that came along; nobody where it is odd.
        tokens: its signature time-stamps, DER.
        stamped: who made them.
        whole: the CMS itself without what fills its place in the file, DER.
    """

    own: tuple[_Signer, ...] = ()
    tokens: tuple[bytes, ...] = ()
    stamped: tuple[_Signer, ...] = ()
    whole: tuple[bytes, ...] = ()

    @property
    def signers(self) -> tuple[_Signer, ...]:
        """Everybody whose certificate matters."""
        return self.own + self.stamped


def _read(signed: bytes) -> _Read:
    try:
        outer = cms.ContentInfo.load(signed)
        content = outer["content"]
        sent = tuple(x509.load_der_x509_certificate(each.dump()) for each in content["certificates"])
        info = content["signer_infos"][0]
        serial = info["sid"].chosen["serial_number"].native
        attributes = info["unsigned_attrs"]
        named = [each for each in attributes if each["type"].native == "signature_time_stamp_token"]
        tokens = tuple(value.dump() for attribute in named for value in attribute["values"])
        return _Read(
            own=tuple((each, sent) for each in sent if each.serial_number == serial),
            tokens=tokens,
            stamped=tuple(certificates_of(token) for token in tokens),
            whole=(outer.dump(),),
        )
    except (ValueError, TypeError, KeyError, IndexError, SigningError):
        return _Read()  # a stranger's odd signature: it is covered, and nothing can be said for it
