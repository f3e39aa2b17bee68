"""The JSON of a hand-in: read strictly, checked against the rules, every problem at once with its pointer."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from service.domain import addresses
from service.domain.addresses import PostalAddress
from service.domain.errors import FieldError, Invalid
from service.domain.identifiers import NumberInvalid, RecipientId, RecipientKind, parse_iban, parse_ogm
from service.domain.terms import Terms
from service.usecases.personal import Payment, Personal
from service.usecases.policies import Policies, address_required

SUBJECT_LENGTH = 255
REFERENCE_LENGTH = 100
MOST_RECIPIENTS = 100
"""Recipients of one hand-in; whoever has more sends a submission."""
LATEST = timedelta(days=366)
"""How far ahead a time to send may lie: later, addresses and mailboxes will have changed."""
CLOCKS_DIFFER = timedelta(minutes=5)
_TYPE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FIELD = re.compile(r"`[a-z_]{1,40}`$")
_AMOUNT = re.compile(r"\d{1,12}\.\d{2}", re.ASCII)

Read = TypeVar("Read")
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
    """How a letter is printed and posted.

    ``address``: on a page of its own in front (page), printed into the free window of the document's first page
    (stamp), or there already (adopt). ``undeliverable``: what happens to a letter that can't be delivered; left
    out, what the organisation has chosen for all of its letters, and it comes back where it has chosen nothing.
    ``share_envelope``: whether letters to the same addressee and address that are printed in the same run may share an
    envelope with this one (registered ones never do); left out, what the organisation has chosen.
    """

    duplex: bool = True
    colour: bool = False
    priority: bool = False
    return_receipt: bool = False
    address: Literal["page", "stamp", "adopt"] = "page"
    undeliverable: Literal["return", "destroy"] | None = None
    share_envelope: bool | None = None


class PaymentPart(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is to be paid."""

    amount: Short
    iban: Short
    currency: Literal["EUR"] = "EUR"
    reference: Short | None = None
    due_date: date | None = None


class _Kind(msgspec.Struct, frozen=True):
    """Which of the two shapes a hand-in has, and nothing else of it."""

    recipients: Any = None

    @property
    def is_many(self) -> bool:
        return self.recipients is not None


class PolicyPart(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What the sender chose of what the register's entry allows."""

    registered_mode: Literal["consent", "direct"] | None = None
    acceptance_days: Annotated[int, msgspec.Meta(ge=1, le=365)] | None = None
    fallback: list[Literal["no_mailbox", "notice_failed", "expired", "refused", "unread"]] = []


class _Common(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a hand-in says once, for however many recipients."""

    reference: Short
    subject: Short
    document_type: Short
    language: Literal["nl", "fr", "de", "en"]
    registered: bool = False
    policy: PolicyPart | None = None
    digests: dict[str, str] = {}
    print: PrintPart = PrintPart()
    payment: PaymentPart | None = None
    deadline: date | None = None
    send_at: datetime | None = None


class DeliveryRequest(_Common, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The part ``delivery`` of a hand-in for one recipient."""

    recipient: RecipientPart
    postal_address: AddressPart | None = None
    attention_of: Short | None = None


class AddresseePart(RecipientPart, forbid_unknown_fields=True, frozen=True):
    """One of several recipients, with what is said for each of them."""

    postal_address: AddressPart | None = None
    attention_of: Short | None = None


class ManyRequest(_Common, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The part ``delivery`` of a hand-in for several recipients: each gets a delivery of its own."""

    recipients: Annotated[list[AddresseePart], msgspec.Meta(min_length=1, max_length=MOST_RECIPIENTS)]


def read(raw: bytes) -> DeliveryRequest:
    """Decode the JSON of one delivery.

    Raises:
        Invalid: ``delivery_malformed``, with where it went wrong; the text never repeats a value.
    """
    return _decoded(raw, DeliveryRequest)


def read_hand_in(raw: bytes) -> tuple[list[DeliveryRequest], bool]:
    """Decode the JSON of a hand-in: a delivery for each recipient, and whether they were given as a list.

    Raises:
        Invalid: as of ``read``.
    """
    if not _decoded(raw, _Kind).is_many:
        return [read(raw)], False
    many = _decoded(raw, ManyRequest)
    shared = {name: getattr(many, name) for name in _Common.__struct_fields__}
    return [
        DeliveryRequest(
            **shared,
            recipient=RecipientPart(type=each.type, name=each.name, id=each.id),
            postal_address=each.postal_address,
            attention_of=each.attention_of,
        )
        for each in many.recipients
    ], True


def _decoded(raw: bytes, kind: type[Read]) -> Read:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        pointer, detail = pointed(str(error))
        raise Invalid(
            "The delivery's JSON has a part that can't be accepted.",
            code="delivery_malformed",
            errors=[FieldError(pointer, "malformed", detail)],
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid("The part delivery is not JSON in UTF-8.", code="delivery_malformed") from None


def checked_hand_in(
    requests: Sequence[DeliveryRequest], policies: Policies, *, many: bool, now: datetime | None
) -> list[Personal]:
    """Hold every delivery of a hand-in against the rules; see ``checked``. Pointers lead into the list if it was one.

    Raises:
        Invalid: ``delivery_invalid``, with every problem of every recipient; what they share is told once.
    """
    found: dict[FieldError, None] = {}
    personal = []
    for place, request in enumerate(requests):
        try:
            personal.append(checked(request, policies, now=now))
        except Invalid as error:
            found |= dict.fromkeys(_placed(each, place) if many else each for each in error.errors)
    if found:
        raise Invalid(code="delivery_invalid", errors=list(found))
    return personal


def _placed(error: FieldError, place: int) -> FieldError:
    pointer = error.pointer or ""
    own = pointer.startswith(("/recipient/", "/postal_address", "/attention_of"))
    return replace(error, pointer=f"/recipients/{place}{pointer.removeprefix('/recipient')}") if own else error


def checked(request: DeliveryRequest, policies: Policies, *, now: datetime | None = None) -> Personal:
    """Hold the request against the rules; the personal part in its normal form.

    Args:
        request: of one recipient.
        policies: what its organisation sends under.
        now: when it is handed in; None where the time to send may have come since, as in a submission that waited.

    Raises:
        Invalid: ``delivery_invalid``, with every problem and its pointer.
    """
    found: list[FieldError] = []
    kind = RecipientKind(request.recipient.type)
    number = _number(kind, request.recipient.id, found)
    sent_under, refused = terms_of(request, policies)
    found += refused
    address = _address(request, sent_under, kind, found)
    _texts(request, found)
    payment = _payment(request.payment, found)
    _send_at(request.send_at, now, found)
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


def terms_of(request: DeliveryRequest, policies: Policies) -> tuple[Terms, tuple[FieldError, ...]]:
    """What a delivery is sent under, and what of its wishes that does not allow."""
    wishes = request.policy or PolicyPart()
    return policies.terms(
        request.document_type,
        registered=request.registered,
        mode=wishes.registered_mode,
        acceptance_days=wishes.acceptance_days,
        fallback=tuple(wishes.fallback),
    )


def _address(
    request: DeliveryRequest, sent_under: Terms, kind: RecipientKind, found: list[FieldError]
) -> PostalAddress | None:
    part = request.postal_address
    if part is None:
        if address_required(sent_under, kind):
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


def _send_at(moment: datetime | None, now: datetime | None, found: list[FieldError]) -> None:
    if moment is None:
        return
    if moment.tzinfo is None:
        detail = "A moment needs its offset from UTC, such as 2027-01-31T08:00:00Z."
        found.append(FieldError("/send_at", "time_without_offset", detail))
    elif now is not None and moment < now - CLOCKS_DIFFER:
        found.append(FieldError("/send_at", "time_passed", "This moment has passed; leave send_at out to send now."))
    elif now is not None and moment > now + LATEST:
        found.append(FieldError("/send_at", "time_too_late", f"This is more than {LATEST.days} days away."))


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


def pointed(message: str) -> tuple[str, str]:
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


def options(request: DeliveryRequest, undeliverable: str | None, *, share_envelopes: bool) -> dict[str, Any]:
    """The print options as they are kept, with what the organisation has chosen where the request doesn't say."""
    share = request.print.share_envelope
    return {
        "duplex": request.print.duplex,
        "colour": request.print.colour,
        "priority": request.print.priority,
        "return_receipt": request.print.return_receipt,
        "address": request.print.address,
        "undeliverable": request.print.undeliverable or undeliverable or "return",
        "share_envelope": share_envelopes if share is None else share,
    }
