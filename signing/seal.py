"""Sealing PDFs: PAdES B-T, invisible, as an incremental update, each result checked before it leaves."""

from binascii import hexlify
from datetime import datetime
from types import TracebackType
from typing import Self

from signing.algorithms import digest, signature_holds
from signing.cms import SealTemplate, SignedAttributes
from signing.errors import KeyUnusable, SealCheckFailed
from signing.keys import SealKey
from signing.revision import Hole, SignatureWriter, byte_range_in
from signing.timestamps import TimeStampAuthority
from signing.trust import valid_at

LARGEST_STAMP = 12 * 1024
"""Bytes kept free for a token. Tokens of qualified authorities with their chain have five to nine thousand."""


class Sealer:
    """Seals documents with one key.

    Made once per key and kept: what is the same for every document is built here. Safe to share between threads as
    long as key and authority are. Nothing is written anywhere; calling again after a failure is harmless.
    """

    def __init__(
        self,
        key: SealKey,
        tsa: TimeStampAuthority | None,
        *,
        field_prefix: str = "Seal",
        stamp_size: int = LARGEST_STAMP,
    ) -> None:
        """Take a key into use.

        Args:
            key: signs.
            tsa: makes the signature time-stamp (level B-T); None leaves it out (B-B).
            field_prefix: signature fields are named by this and a number that is free in the document.
            stamp_size: bytes kept free for a token.
        """
        self._key = key
        self._tsa = tsa
        self._template = SealTemplate(key.certificate, key.chain, key.mechanism)
        self._public_key = key.certificate.public_key()
        self._writer = SignatureWriter(
            key.mechanism,
            reserved=self._template.largest(stamp_size if tsa else 0),
            field_prefix=field_prefix,
        )

    def seal(self, pdf: bytes, *, at: datetime) -> bytes:
        """The document with our seal behind everything that was there.

        Signatures already in it stay valid. The result begins with ``pdf`` byte for byte.

        Args:
            pdf: the document.
            at: our time (aware); written as the claimed time of signing.

        Raises:
            Unsealable: the document can't be sealed as it is.
            KeyUnusable: the key's certificate isn't valid at ``at``, or the key didn't sign.
            TimeStampUnavailable, TimeStampInvalid, TimeStampRefused: no token.
            SealCheckFailed: the result did not pass its check.
        """
        if not valid_at(self._key.certificate, at):
            raise KeyUnusable("The seal's certificate is not valid now.")
        hole = self._writer.prepare(pdf, at=at)
        attributes = self._template.attributes(hole.digest)
        signature = self._key.sign(attributes.digest)
        self._check_signature(attributes, signature)
        token = self._tsa.token(digest("sha256", signature)) if self._tsa else None
        sealed = _fill(hole, self._template.fill(attributes, signature, token))
        self._check_document(pdf, sealed, hole)
        return sealed

    def _check_signature(self, attributes: SignedAttributes, signature: bytes) -> None:
        """Verify with the certificate's key: a faulty device or memory must not put out a seal that fails later."""
        mechanism = self._key.mechanism
        if not signature_holds(self._public_key, mechanism.encoded, mechanism.digest, signature, attributes.digest):
            raise SealCheckFailed("The key made a signature that its certificate doesn't verify.")

    def _check_document(self, pdf: bytes, sealed: bytes, hole: Hole) -> None:
        """The file as it will leave: old bytes untouched, byte range right and complete, digest the one signed."""
        view = memoryview(sealed)
        expected = (0, hole.start, hole.end, len(sealed) - hole.end)
        if (
            not sealed.startswith(pdf)
            or byte_range_in(view[len(pdf) :]) != expected
            or digest(self._key.mechanism.digest, view[: hole.start], view[hole.end :]) != hole.digest
        ):
            raise SealCheckFailed("The sealed file is not what was signed.")

    def close(self) -> None:
        """Let go of what was handed in, where it can be closed."""
        for part in (self._tsa, self._key):
            if close := getattr(part, "close", None):
                close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _fill(hole: Hole, cms: bytes) -> bytes:
    """The finished file: ``cms`` in hexadecimal in the hole, the rest of the hole stays zeros."""
    written = hexlify(cms)
    if len(written) > hole.end - hole.start - 2:
        raise SealCheckFailed("The seal is larger than the space kept for it.", context={"size": str(len(cms))})
    hole.stream.seek(hole.start + 1)
    hole.stream.write(written)
    return hole.stream.getvalue()
