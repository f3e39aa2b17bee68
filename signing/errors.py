"""What can go wrong while sealing or checking: one family with stable codes."""

from collections.abc import Mapping
from typing import ClassVar


class SigningError(Exception):
    """Something kept a seal, a token or a check from being made.

    Attributes:
        code: stable, machine-readable name of the fault.
        retryable: True when the same call can succeed later without anybody touching the document.
        detail: a sentence that is safe to show to users; never holds content or names.
        context: ids and numbers for logs only.
    """

    code: ClassVar[str] = "signing_failed"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, *, context: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.context = dict(context or {})


class Unsealable(SigningError):
    """The document itself can never be sealed as it is; no retry and no other setting will change that."""

    code = "unsealable"


class PdfUnreadable(Unsealable):
    """The bytes are not a PDF whose structure can be extended."""

    code = "pdf_unreadable"


class PdfEncrypted(Unsealable):
    """The document is encrypted: nothing can be added without its password."""

    code = "pdf_encrypted"


class ChangesForbidden(Unsealable):
    """A signature in the document forbids every later change (DocMDP level 1, ISO 32000-2, 12.8.2.2)."""

    code = "pdf_certified_no_changes"


class AlreadySigned(Unsealable):
    """The document bears a signature already: only the first one can certify it (ISO 32000-2, 12.8.2.2.1)."""

    code = "pdf_signed_before"


class FieldUnusable(Unsealable):
    """The signature field that was asked for isn't in the document, is taken, or lays conditions on who signs."""

    code = "pdf_field_unusable"


class KeyUnusable(SigningError):
    """The key or its certificate can't be used: wrong password, no match, too weak, outside its validity.

    Retryable because an operator repairs the key while the document waits unharmed.
    """

    code = "key_unusable"
    retryable = True


class Unavailable(SigningError):
    """Somebody else could not be reached, was too slow, or is out of order for now."""

    code = "outside_unavailable"
    retryable = True


class KeyUnavailable(Unavailable):
    """The device or service that keeps the key could not be reached, was too slow, or is out of order for now."""

    code = "key_unavailable"


class CertificateUntrusted(KeyUnusable):
    """The certificate leads to no root that is believed here, so nobody can be asked about it."""


class SealCheckFailed(SigningError):
    """The finished seal did not pass its own check and was thrown away."""

    code = "seal_check_failed"
    retryable = True


class TimeStampUnavailable(Unavailable):
    """The time-stamp authority could not be reached, was too slow or is out of order for now."""

    code = "timestamp_unavailable"


class RevocationUnavailable(Unavailable):
    """Nobody says in a way that can be believed whether a certificate is still good.

    Retryable: who issued it is asked again; nothing is sealed at levels that need the answer meanwhile.
    """

    code = "revocation_unavailable"


class CertificateRevoked(SigningError):
    """A certificate was revoked by who issued it. Retryable: another key can take its place while documents wait."""

    code = "certificate_revoked"
    retryable = True


class TimeStampRefused(SigningError):
    """The authority understood the request and will not serve it: settings must be changed, waiting won't help."""

    code = "timestamp_refused"


class TimeStampInvalid(SigningError):
    """What the authority sent is not an acceptable token for our request, so nothing of it was used."""

    code = "timestamp_invalid"
    retryable = True

    def __init__(self, reason: str, detail: str, *, context: Mapping[str, str] | None = None) -> None:
        super().__init__(detail, context={"reason": reason, **(context or {})})
        self.reason = reason


class SignerUnacceptable(SigningError):
    """Nobody may sign with this certificate here; ``code`` says why.

    Args:
        code: what is wrong with it, from the closed list in ``signing.signers``.
        detail: a sentence that is safe to show.
    """

    code = "signer_unacceptable"

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail, context={"reason": code})
        self.code = code  # type: ignore[misc]  # one class for a closed list of reasons


class SignatureRefused(SigningError):
    """What came back is not a signature by the signer's key of what was to be signed."""

    code = "signature_refused"


class PreparationStale(SigningError):
    """What was prepared can't be completed: it is over, or meant for something else. Signing begins anew.

    Args:
        reason: ``expired``, ``clock``, ``purpose``, ``document`` or ``malformed``.
    """

    code = "preparation_stale"

    def __init__(self, reason: str) -> None:
        super().__init__("This signature can't be completed any more. Begin again.", context={"reason": reason})
        self.reason = reason
