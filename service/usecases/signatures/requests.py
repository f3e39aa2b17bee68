"""The JSON of a signature request: read strictly, every problem at once with its pointer."""

import unicodedata
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from service.domain.errors import FieldError, Invalid
from service.domain.identifiers import NumberInvalid, RecipientId, RecipientKind
from service.domain.signing_folder import LONGEST_DAYS, MOST_SIGNERS
from service.notifications.base import checked_address
from service.usecases import requests as deliveries
from service.usecases.policies import Policies
from service.usecases.requests import REFERENCE_LENGTH, SUBJECT_LENGTH, DeliveryRequest
from signing.signers import SignatureLevel

Short = Annotated[str, msgspec.Meta(max_length=2000)]


class SignerPart(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Who is to sign: a citizen by card (``web-eid``) or remote service (``csc``), or the organisation (``seal``).

    ``email`` is where a citizen without a mailbox is told that something waits.
    """

    type: Literal["citizen", "organisation"]
    id: Short | None = None
    name: Short | None = None
    email: Short | None = None
    way: Literal["web-eid", "csc", "seal"] = "web-eid"
    level: Literal["advanced", "qualified"] | None = None

    @property
    def wanted(self) -> SignatureLevel:
        """The level wanted: of people qualified, where nothing else is said."""
        if self.level is None:
            return SignatureLevel.ADVANCED if self.way == "seal" else SignatureLevel.QUALIFIED
        return SignatureLevel(self.level)


class SignatureRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The part ``request`` of a signature request.

    ``deliver`` is a hand-in as ``POST /v1/deliveries`` takes it: made of the result once all have signed, with the
    report as attachment.
    """

    reference: Short
    subject: Short
    language: Literal["nl", "fr", "de", "en"]
    signers: Annotated[list[SignerPart], msgspec.Meta(min_length=1, max_length=MOST_SIGNERS)]
    order: Literal["sequence", "parallel"] = "sequence"
    days: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_DAYS)] = 30
    remind_after_days: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_DAYS)] | None = 7
    deliver: DeliveryRequest | None = None


def read(raw: bytes) -> SignatureRequest:
    """Decode the JSON of a signature request.

    Raises:
        Invalid: ``signature_request_malformed``, with where it went wrong; the text never repeats a value.
    """
    code = "signature_request_malformed"
    try:
        return msgspec.json.decode(raw, type=SignatureRequest)
    except msgspec.ValidationError as error:
        pointer, detail = deliveries.pointed(str(error))
        raise Invalid(
            "The request's JSON has a part that can't be accepted.",
            code=code,
            errors=[FieldError(pointer, "malformed", detail)],
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid("The part request is not JSON in UTF-8.", code=code) from None


def check(request: SignatureRequest, policies: Policies, *, now: datetime) -> None:
    """Hold the request against the rules, and its delivery against what the organisation sends under.

    Raises:
        Invalid: ``signature_request_invalid``, with every problem and its pointer.
    """
    found: list[FieldError] = []
    for pointer, text, limit in (
        ("/reference", request.reference, REFERENCE_LENGTH),
        ("/subject", request.subject, SUBJECT_LENGTH),
    ):
        _text(pointer, text, limit, found)
    seen: set[str] = set()
    for place, signer in enumerate(request.signers):
        _signer(f"/signers/{place}", signer, seen, found)
    if request.deliver is not None:
        try:
            deliveries.checked(request.deliver, policies, now=now)
        except Invalid as error:
            found += [FieldError(f"/deliver{each.pointer or ''}", each.code, each.detail) for each in error.errors]
        if request.deliver.digests:
            detail = "The result is not there yet, so its digest can't be known."
            found.append(FieldError("/deliver/digests", "digest_not_expected", detail))
    if found:
        raise Invalid(code="signature_request_invalid", errors=found)


def plain(text: str) -> str:
    """A text in its normal form: composed, one space between words."""
    return unicodedata.normalize("NFC", " ".join(text.split()))


def _text(pointer: str, text: str, limit: int, found: list[FieldError]) -> None:
    if not text.strip():
        found.append(FieldError(pointer, "empty", "This must not be empty."))
    elif len(text) > limit:
        found.append(FieldError(pointer, "too_long", f"This is longer than {limit} characters."))
    elif any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        found.append(FieldError(pointer, "control_character", "This has a control character or a line break."))


def _signer(pointer: str, signer: SignerPart, seen: set[str], found: list[FieldError]) -> None:
    if (signer.type == "organisation") != (signer.way == "seal"):
        detail = "Citizens sign with their card or at a remote service, organisations by their seal."
        found.append(FieldError(f"{pointer}/way", "way_not_possible", detail))
    if signer.type == "organisation":
        if (signer.id, signer.name, signer.email) != (None, None, None):
            detail = "The seal is always the sender's own: leave id, name and email out."
            found.append(FieldError(f"{pointer}/id", "number_not_expected", detail))
        if signer.level == "qualified":
            detail = "Whether a seal is qualified depends on its certificate: ask for advanced."
            found.append(FieldError(f"{pointer}/level", "level_not_possible", detail))
        return
    _number(f"{pointer}/id", signer.id, seen, found)
    _text(f"{pointer}/name", signer.name or "", SUBJECT_LENGTH, found)
    if signer.email is not None:
        try:
            checked_address(signer.email)
        except Invalid as error:
            found.append(FieldError(f"{pointer}/email", error.code, error.detail))


def _number(pointer: str, text: str | None, seen: set[str], found: list[FieldError]) -> None:
    if not text:
        found.append(FieldError(pointer, "number_missing", "The signer's number is missing."))
        return
    try:
        number = RecipientId.parse(RecipientKind.CITIZEN, text).value
    except NumberInvalid as error:
        found.append(FieldError(pointer, error.code, error.detail))
        return
    if number in seen:
        found.append(FieldError(pointer, "signer_repeated", "Somebody can sign only once."))
    seen.add(number)
