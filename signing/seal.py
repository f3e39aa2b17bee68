"""Sealing PDFs: PAdES B-B to B-LTA, visible or not, as incremental updates, each result checked before it leaves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from types import TracebackType
from typing import IO, Self

from cryptography import x509
from pyhanko.sign.fields import MDPPerm

from signing.algorithms import digest, signature_holds
from signing.appearance import Appearance, Shown
from signing.archive import Archive, Kept, holds_until
from signing.cms import SealTemplate, SignedAttributes
from signing.errors import CertificateUntrusted, KeyUnusable, RevocationUnavailable, SealCheckFailed
from signing.filling import Check, fill
from signing.keys import BatchSealKey, SealKey
from signing.report import Level
from signing.revision import Hole, SignatureWriter, append_validation_data
from signing.revocation import RevocationSource, ValidationData
from signing.timestamps import LARGEST_STAMP, TimeStampAuthority
from signing.trust import valid_at


@dataclass(frozen=True, slots=True)
class Begun:
    """A document in memory that lacks its signature and what follows from it; see :meth:`Sealer.begin`.

    Attributes:
        stream: the whole file, its hole empty.
        check: what it was made from.
        hole: where the signature goes.
        attributes: what is signed.
        own: proof that the certificate is good, where there is one.
        at: the claimed time.
    """

    stream: IO[bytes]
    check: Check
    hole: Hole
    attributes: SignedAttributes
    own: ValidationData | None
    at: datetime

    def __len__(self) -> int:
        """Bytes of the file."""
        return self.check.size + self.hole.end - self.hole.start


class Sealer:
    """Seals documents with one key.

    Made once per key and kept: what is the same for every document is built here. Safe to share between threads as
    long as key, authority and revocation source are. Nothing is kept of a document; calling again after a failure is
    harmless.
    """

    def __init__(
        self,
        key: SealKey,
        tsa: TimeStampAuthority | None,
        *,
        level: Level | None = None,
        revocation: RevocationSource | None = None,
        field_prefix: str = "Seal",
        stamp_size: int = LARGEST_STAMP,
        appearance: Appearance | None = None,
        certify: MDPPerm | None = None,
        shown: Callable[[Shown], None] | None = None,
        sample: Callable[[bytes], None] | None = None,
        sample_every: int = 0,
    ) -> None:
        """Take a key into use.

        Args:
            key: signs.
            tsa: makes time-stamps; None allows level B-B only.
            level: what is made; None means B-T with ``tsa``, B-B without.
            revocation: proves that certificates are good. Levels B-LT and B-LTA need it. Below them it only stops a
                key that was revoked: who can't be asked holds nothing up.
            field_prefix: signature fields are named by this and a number that is free in the document.
            stamp_size: bytes kept free for a token.
            appearance: what can be seen of the seal; None: nothing.
            certify: what may still be changed after the seal, which certifies the document then; None: it doesn't.
            shown: is told of each document with an appearance where its seal can be seen, or why it can't.
            sample: judges a finished document, raising what it finds wrong; see ``sample_every``.
            sample_every: one document of this many goes to ``sample``, the first one always; 0 sends none.

        Raises:
            ValueError: the level needs an authority or a revocation source that isn't there.
        """
        self._level = level or (Level.B_T if tsa else Level.B_B)
        if self._level is not Level.B_B and tsa is None:
            raise ValueError(f"level {self._level} needs a time-stamp authority")
        if self._long_term and revocation is None:
            raise ValueError(f"level {self._level} needs a source of revocation data")
        self._key = key
        self._batch = key if isinstance(key, BatchSealKey) else None
        self._tsa = tsa if self._level is not Level.B_B else None
        self._revocation = revocation
        self._template = SealTemplate(key.certificate, key.chain, key.mechanism)
        self._public_key = key.certificate.public_key()
        self._writer = SignatureWriter(
            key.mechanism,
            reserved=self._template.largest(stamp_size if self._tsa else 0),
            field_prefix=field_prefix,
            appearance=appearance,
            certify=certify,
        )
        self._shown = shown
        self._archive = Archive(tsa, revocation, stamp_size=stamp_size) if tsa and revocation else None
        self._visible = appearance is not None
        self._sample, self._sample_every, self._made = sample, sample_every, 0

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate that seals are made with."""
        return self._key.certificate

    @property
    def level(self) -> Level:
        """The level of what is made."""
        return self._level

    @property
    def shows(self) -> bool:
        """Whether seals are meant to be seen, and codes with them."""
        return self._visible

    @property
    def _long_term(self) -> bool:
        return self._level in {Level.B_LT, Level.B_LTA}

    def seal(self, pdf: bytes, *, at: datetime, code: str | None = None, among_others: bool = False) -> bytes:
        """The document with our seal behind everything that was there.

        Signatures already in it stay valid. The result begins with ``pdf`` byte for byte.

        Args:
            pdf: the document.
            at: our time (aware); written as the claimed time of signing.
            code: verification code to be shown, where something is.
            among_others: people sign this document too: the seal doesn't certify it, whatever the profile says.

        Raises:
            Unsealable: the document can't be sealed as it is.
            KeyUnusable: the key's certificate isn't valid at ``at``, or the key didn't sign.
            CertificateRevoked, RevocationUnavailable: a certificate is no longer good, or nobody says that it is.
            TimeStampUnavailable, TimeStampInvalid, TimeStampRefused: no token.
            SealCheckFailed: the result did not pass its check.
        """
        return self.seal_to_keep(pdf, at=at, code=code, among_others=among_others).content

    def seal_to_keep(self, pdf: bytes, *, at: datetime, code: str | None = None, among_others: bool = False) -> Kept:
        """As :meth:`seal`, and until when the seal is good without being renewed.

        Without an archive time-stamp that is when the first of its certificates ends, with one when that one's do.
        """
        begun = self._begin(BytesIO(pdf), Check.of_bytes(pdf), at, code, among_others=among_others)
        return self.finish(begun, self._key.sign(begun.attributes.digest))

    def check(self, pdf: bytes, *, at: datetime) -> None:
        """Whether a document can be sealed among people's signatures, without sealing it.

        Raises:
            Unsealable: it never can be.
        """
        self._writer.prepare(BytesIO(pdf), at=at, among_others=True)

    @property
    def together(self) -> int:
        """How many documents the key signs at once: above 1, :meth:`sign_many` is worth it."""
        return self._batch.together if self._batch else 1

    def begin(self, pdf: bytes, *, at: datetime, code: str | None = None) -> Begun:
        """The first part of :meth:`seal`: everything up to the signature.

        Raises:
            SigningError: as :meth:`seal`.
        """
        return self._begin(BytesIO(pdf), Check.of_bytes(pdf), at, code)

    def sign_many(self, begun: Sequence[Begun]) -> list[bytes]:
        """The signatures of several documents, made together where the key can; none counts if this fails."""
        digests = [each.attributes.digest for each in begun]
        if self._batch is not None:
            return self._batch.sign_many(digests)
        return [self._key.sign(digest) for digest in digests]

    def finish(self, begun: Begun, signature: bytes) -> Kept:
        """The last part of :meth:`seal_to_keep`: the signature checked and put in, and what follows from it."""
        token = self._finish(begun, signature)
        assert isinstance(begun.stream, BytesIO)
        sealed = begun.stream.getvalue()
        if self._sample is not None and self._sample_every and self._made % self._sample_every == 0:
            self._sample(sealed)
        self._made += 1
        until = [] if self._level is Level.B_LTA else [self._key.certificate.not_valid_after_utc]
        if token is not None:
            until.append(holds_until(token))
        return Kept(sealed, min(until), begun.hole.shown)

    def seal_file(self, source: IO[bytes], target: IO[bytes], *, at: datetime, code: str | None = None) -> None:
        """Seal from one file into another, with memory that doesn't grow with the document.

        Args:
            source: the document, readable from where it stands.
            target: an empty file; readable, writable and seekable. After an error its content means nothing.
            at: our time (aware).
            code: as for :meth:`seal`.

        Raises:
            SigningError: as :meth:`seal`.
        """
        check = Check.copying(source, target)
        begun = self._begin(target, check, at, code)
        self._finish(begun, self._key.sign(begun.attributes.digest))
        target.seek(0, 2)

    def _begin(
        self, stream: IO[bytes], check: Check, at: datetime, code: str | None, *, among_others: bool = False
    ) -> Begun:
        own = self._standing(at)
        hole = self._writer.prepare(stream, at=at, code=code, among_others=among_others)
        return Begun(stream, check, hole, self._template.attributes(hole.digest), own, at)

    def _finish(self, begun: Begun, signature: bytes) -> bytes | None:
        """Complete the seal in the stream; returns the newest time-stamp, which the seal's life hangs on."""
        hole, algorithm = begun.hole, self._key.mechanism.digest
        self._check_signature(begun.attributes, signature)
        token = self._tsa.token(digest("sha256", signature)) if self._tsa else None
        fill(hole, self._template.fill(begun.attributes, signature, token))
        begun.check.last(hole, algorithm)
        if self._shown is not None and hole.shown is not None:
            self._shown(hole.shown)
        if not self._long_term:
            return token
        assert self._archive is not None
        assert token is not None
        assert begun.own is not None
        data = begun.own.with_(self._archive.proof_of(token, at=begun.at))
        if self._level is Level.B_LT:
            append_validation_data(begun.stream, data)
            begun.check.kept(hole, algorithm)
            return token
        return self._archive.stamp(begun.stream, data, begun.check, at=begun.at)

    def _standing(self, at: datetime) -> ValidationData | None:
        """That the key may seal at ``at``, with the proof of it where the level needs one."""
        if not valid_at(self._key.certificate, at):
            raise KeyUnusable("The seal's certificate is not valid now.")
        if self._revocation is None:
            return None
        try:
            return self._revocation.data(self._key.certificate, self._key.chain, at=at)
        except (RevocationUnavailable, CertificateUntrusted):
            if self._long_term:
                raise
            return None

    def _check_signature(self, attributes: SignedAttributes, signature: bytes) -> None:
        """Verify with the certificate's key: a faulty device or memory must not put out a seal that fails later."""
        mechanism = self._key.mechanism
        if not signature_holds(self._public_key, mechanism.encoded, mechanism.digest, signature, attributes.digest):
            raise SealCheckFailed("The key made a signature that its certificate doesn't verify.")

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
