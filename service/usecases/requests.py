"""The JSON of a hand-in: read strictly, checked against the rules, every problem at once with its pointer."""

import re
import unicodedata
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

from service.domain import addresses, policy
from service.domain.addresses import PostalAddress
from service.domain.errors import FieldError, Invalid
from service.domain.identifiers import NumberInvalid, RecipientId, RecipientKind, parse_iban, parse_ogm
from service.usecases.personal import Payment, Personal

SUBJECT_LENGTH = 255
REFERENCE_LENGTH = 100
_TYPE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FIELD = re.compile(r"`[a-z_]{1,40}`$")
_AMOUNT = re.compile(r"\d{1,12}\.\d{2}", re.ASCII)

Short = Annotated[str, msgspec.Meta(max_length=2000)]


class RecipientPart(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Who a delivery is for."""

    type: Literal["citizen", "enterprise", "administration", "postal"]
    name: Short
    id: Short | None = None


class AddressPart(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where a letter goes if it goes on paper."""

    name: Short
    street: Short
    postcode: Short
    municipality: Short
    number: Short = ""
    box: Short | None = None
    country: Short = "BE"


class PrintPart(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How a letter is printed and posted."""

    duplex: bool = True
    colour: bool = False
    priority: bool = False
    return_receipt: bool = False


class PaymentPart(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is to be paid."""

    amount: Short
    iban: Short
    currency: Literal["EUR"] = "EUR"
    reference: Short | None = None
    due_date: date | None = None


class PolicyPart(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Wishes about registered delivery; kept for the release that offers it in mailboxes."""

    registered_mode: Literal["consent", "direct"] | None = None
    acceptance_days: Annotated[int, msgspec.Meta(ge=1, le=365)] | None = None
    fallback: list[Literal["no_mailbox", "notice_failed", "expired", "refused", "unread"]] = []


class DeliveryRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The part ``delivery`` of a hand-in."""

    reference: Short
    recipient: RecipientPart
    subject: Short
    document_type: Short
    language: Literal["nl", "fr", "de", "en"]
    postal_address: AddressPart | None = None
    registered: bool = False
    policy: PolicyPart | None = None
    attention_of: Short | None = None
    digests: dict[str, str] = {}
    print: PrintPart = PrintPart()
    payment: PaymentPart | None = None
    deadline: date | None = None
    send_at: datetime | None = None


def read(raw: bytes) -> DeliveryRequest:
    """Decode the JSON.

    Raises:
        Invalid: ``delivery_malformed``, with where it went wrong; the text never repeats a value.
    """
    try:
        return msgspec.json.decode(raw, type=DeliveryRequest)
    except msgspec.ValidationError as error:
        pointer, detail = _pointed(str(error))
        raise Invalid(
            "The delivery's JSON has a part that can't be accepted.",
            code="delivery_malformed",
            errors=[FieldError(pointer, "malformed", detail)],
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Invalid("The part delivery is not JSON in UTF-8.", code="delivery_malformed") from None


def checked(request: DeliveryRequest) -> Personal:
    """Hold the request against the rules; the personal part in its normal form.

    Raises:
        Invalid: ``delivery_invalid``, with every problem and its pointer.
    """
    found: list[FieldError] = []
    kind = RecipientKind(request.recipient.type)
    number = _number(kind, request.recipient.id, found)
    address = _address(request, kind, found)
    _texts(request, found)
    payment = _payment(request.payment, found)
    if request.send_at is not None:
        found.append(
            FieldError("/send_at", "not_offered", "Sending at a later time is not offered yet; leave send_at out.")
        )
    if found:
        raise Invalid(code="delivery_invalid", errors=found)
    return Personal(
        kind=kind,
        number=number,
        name=_plain(request.recipient.name),
        subject=_plain(request.subject),
        address=address,
        attention_of=None if request.attention_of is None else _plain(request.attention_of),
        payment=payment,
        deadline=None if request.deadline is None else request.deadline.isoformat(),
    )


def _number(kind: RecipientKind, text: str | None, found: list[FieldError]) -> str | None:
    if kind is RecipientKind.POSTAL:
        if text is not None:
            found.append(
                FieldError("/recipient/id", "number_not_expected", "A postal recipient has no number; leave it out.")
            )
        return None
    if not text:
        found.append(FieldError("/recipient/id", "number_missing", "The recipient's number is missing."))
        return None
    try:
        return RecipientId.parse(kind, text).value
    except NumberInvalid as error:
        found.append(FieldError("/recipient/id", error.code, error.detail))
        return None


def _address(request: DeliveryRequest, kind: RecipientKind, found: list[FieldError]) -> PostalAddress | None:
    part = request.postal_address
    if part is None:
        if policy.address_required(registered=request.registered, recipient_kind=kind):
            found.append(
                FieldError("/postal_address", "address_missing", "An address is needed: this may have to go on paper.")
            )
        return None
    address = PostalAddress(
        name=part.name,
        street=part.street,
        number=part.number,
        box=part.box,
        postcode=part.postcode,
        municipality=part.municipality,
        country=part.country,
        attention_of=request.attention_of,
    )
    found += addresses.check(address)
    return address


def _texts(request: DeliveryRequest, found: list[FieldError]) -> None:
    for pointer, text, limit in (
        ("/subject", request.subject, SUBJECT_LENGTH),
        ("/reference", request.reference, REFERENCE_LENGTH),
        ("/recipient/name", request.recipient.name, SUBJECT_LENGTH),
    ):
        if not text.strip():
            found.append(FieldError(pointer, "empty", "This must not be empty."))
        elif len(text) > limit:
            found.append(FieldError(pointer, "too_long", f"This is longer than {limit} characters."))
        elif any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
            found.append(FieldError(pointer, "control_character", "This has a control character or a line break."))
    if not _TYPE.fullmatch(request.document_type):
        detail = "A document type is up to 64 small letters, digits, dots and dashes."
        found.append(FieldError("/document_type", "malformed", detail))
    if not request.digests.keys() <= {"document"}:
        # One that nobody compares would promise more than it holds.
        found.append(FieldError("/digests", "digest_unknown", "Only the digest of the part document is compared."))
    if not _SHA256.fullmatch(request.digests.get("document", "0" * 64)):
        found.append(FieldError("/digests/document", "malformed", "A digest is a SHA-256 in lower-case hex."))


def _payment(part: PaymentPart | None, found: list[FieldError]) -> Payment | None:
    if part is None:
        return None
    if _AMOUNT.fullmatch(part.amount) is None or Decimal(part.amount) == 0:
        detail = "An amount is decimal text with two decimals, for example 412.50."
        found.append(FieldError("/payment/amount", "amount_invalid", detail))
    iban, reference = part.iban, part.reference
    try:
        iban = parse_iban(part.iban)
    except NumberInvalid as error:
        found.append(FieldError("/payment/iban", error.code, error.detail))
    if part.reference is not None:
        try:
            reference = parse_ogm(part.reference)
        except NumberInvalid as error:
            found.append(FieldError("/payment/reference", error.code, error.detail))
    due = None if part.due_date is None else part.due_date.isoformat()
    return Payment(amount=part.amount, currency=part.currency, iban=iban, reference=reference, due_date=due)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split()))


def _pointed(message: str) -> tuple[str, str]:
    """A JSON pointer and a sentence from msgspec's message, which names places and types, never values."""
    text, _, place = message.partition(" - at `")
    path = place.rstrip("`").removeprefix("$")
    # A value of a map is told without its name: the pointer is the map's.
    pointer = re.sub(r"\[(\d+)\]", r"/\1", path.replace("[...]", "")).replace(".", "/")
    if text.startswith("Invalid enum value"):
        text = "This is not one of the values that are possible here"
    if text.startswith("Object contains unknown field") and not _FIELD.search(text):
        # What stands in the place of a name may be anything, a number of a person too.
        text = "Object contains an unknown field"
    return pointer or "", text + "."


def options(request: DeliveryRequest) -> dict[str, Any]:
    """The print options as they are kept."""
    return {
        "duplex": request.print.duplex,
        "colour": request.print.colour,
        "priority": request.print.priority,
        "return_receipt": request.print.return_receipt,
    }
