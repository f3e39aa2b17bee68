"""The JSON of a hand-in: every refusal, where it points to, and that it repeats nothing of what was sent."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from service.domain.errors import Invalid
from service.usecases import requests
from service.usecases.hand_in import check
from tests.domain_support import USUAL

# Stands in every value that is wrong: no refusal may repeat it.
MARK = "85073003328"


def body(**changes: Any) -> dict[str, Any]:
    """A hand-in that is accepted, with parts replaced; None takes a part away."""
    whole: dict[str, Any] = {
        "reference": "2026-1",
        "recipient": {"type": "citizen", "id": "85.07.30-033.28", "name": "An Peeters"},
        "postal_address": {
            "name": "An Peeters",
            "street": "Kerkstraat",
            "number": "12",
            "postcode": "9000",
            "municipality": "Gent",
        },
        "subject": "Aanslagbiljet",
        "document_type": "tax-assessment",
        "language": "nl",
    }
    whole |= changes
    return {name: part for name, part in whole.items() if part is not None}


def recipient(**changes: Any) -> dict[str, Any]:
    return {name: part for name, part in (body()["recipient"] | changes).items() if part is not None}


def address(**changes: Any) -> dict[str, Any]:
    return dict(body()["postal_address"] | changes)


def payment(**changes: Any) -> dict[str, Any]:
    return {"amount": "412.50", "iban": "BE68539007547034", **changes}


def refused(value: object) -> tuple[str, list[tuple[str | None, str]]]:
    raw = json.dumps(value).encode()
    with pytest.raises(Invalid) as caught:
        requests.checked(requests.read(raw), USUAL)
    told = f"{caught.value} {caught.value.errors} {caught.value.context}"
    assert MARK not in told
    return caught.value.code, [(error.pointer, error.code) for error in caught.value.errors]


RULES = [
    ({"recipient": recipient(id=None)}, "/recipient/id", "number_missing"),
    ({"recipient": recipient(id="")}, "/recipient/id", "number_missing"),
    ({"recipient": recipient(id=MARK[:-1] + "9")}, "/recipient/id", "insz_invalid"),
    ({"recipient": recipient(type="enterprise", id="0431150351")}, "/recipient/id", "kbo_invalid"),
    ({"recipient": recipient(type="postal", id=MARK)}, "/recipient/id", "number_not_expected"),
    ({"recipient": recipient(name=" ")}, "/recipient/name", "empty"),
    ({"recipient": recipient(name=MARK * 24)}, "/recipient/name", "too_long"),
    ({"recipient": recipient(name=MARK + "\n")}, "/recipient/name", "control_character"),
    ({"postal_address": None}, "/postal_address", "address_missing"),
    ({"postal_address": address(postcode=MARK)}, "/postal_address/postcode", "ADDR_POSTCODE"),
    ({"postal_address": address(street=MARK + "#")}, "/postal_address/street", "ADDR_CHARS"),
    ({"postal_address": address(country="XX")}, "/postal_address/country", "ADDR_COUNTRY"),
    ({"attention_of": MARK * 5}, "/attention_of", "ADDR_LENGTH"),
    ({"subject": ""}, "/subject", "empty"),
    ({"subject": MARK * 24}, "/subject", "too_long"),
    ({"subject": MARK + "\x00"}, "/subject", "control_character"),
    ({"reference": "\t"}, "/reference", "empty"),
    ({"reference": MARK * 10}, "/reference", "too_long"),
    ({"reference": MARK + "\x7f"}, "/reference", "control_character"),
    ({"document_type": MARK + "!"}, "/document_type", "malformed"),
    ({"document_type": "Tax"}, "/document_type", "malformed"),
    ({"digests": {"document": MARK}}, "/digests/document", "malformed"),
    ({"digests": {"document": "A" * 64}}, "/digests/document", "malformed"),
    ({"digests": {MARK: "0" * 64}}, "/digests", "digest_unknown"),
    ({"payment": payment(amount=MARK)}, "/payment/amount", "amount_invalid"),
    ({"payment": payment(amount="0.00")}, "/payment/amount", "amount_invalid"),
    ({"payment": payment(amount="-1.00")}, "/payment/amount", "amount_invalid"),
    ({"payment": payment(amount="٤.٠٠")}, "/payment/amount", "amount_invalid"),
    ({"payment": payment(iban="BE" + MARK)}, "/payment/iban", "iban_invalid"),
    ({"payment": payment(reference=MARK)}, "/payment/reference", "ogm_invalid"),
    ({"send_at": "2027-01-01T00:00:00"}, "/send_at", "time_without_offset"),
]


@pytest.mark.parametrize(("changes", "pointer", "code"), RULES)
def test_each_broken_rule_is_told_once_by_its_place(changes: dict[str, Any], pointer: str, code: str) -> None:
    whole, told = refused(body(**changes))
    assert whole == "delivery_invalid"
    assert [each for each in told if each[0] == pointer] == [(pointer, code)]


def test_all_problems_are_told_at_once() -> None:
    _, told = refused(
        body(subject="", recipient=recipient(id="1"), postal_address=address(postcode="1"), payment=payment(iban="x"))
    )
    assert {pointer for pointer, _ in told} == {
        "/subject",
        "/recipient/id",
        "/postal_address/postcode",
        "/payment/iban",
    }


SHAPES = [
    (body(recipient=recipient(type=MARK)), "/recipient/type"),
    (body(language=MARK), "/language"),
    (body(subject=85073003328), "/subject"),
    (body(subject="x" * 2001), "/subject"),
    (body(registered=MARK), "/registered"),
    (body(payment=payment(currency=MARK)), "/payment/currency"),
    (body(payment=payment(due_date=MARK)), "/payment/due_date"),
    (body(deadline=MARK), "/deadline"),
    (body(policy={"acceptance_days": 0}), "/policy/acceptance_days"),
    (body(policy={"fallback": [MARK]}), "/policy/fallback/0"),
    (body(digests={"document": 1}), "/digests"),
    (body(**{MARK: 1}), ""),
    (body(recipient=recipient(**{MARK: MARK})), "/recipient"),
    (body(colour=True), ""),
    ({}, ""),
    ([], ""),
    (body(language=None), ""),
]


@pytest.mark.parametrize(("value", "pointer"), SHAPES)
def test_json_of_another_shape_is_refused_where_it_differs(value: object, pointer: str) -> None:
    assert refused(value) == ("delivery_malformed", [(pointer, "malformed")])


def test_a_field_that_is_merely_misspelt_is_named() -> None:
    with pytest.raises(Invalid) as caught:
        requests.read(json.dumps(body(colour=True)).encode())
    assert "`colour`" in caught.value.errors[0].detail


@pytest.mark.parametrize("raw", [b"", b"{", b'"\xff"', b"{} {}", b"[" * 100_000])
def test_what_is_not_json_is_refused_without_a_place(raw: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        requests.read(raw)
    assert caught.value.code == "delivery_malformed"


def test_what_is_accepted_comes_in_its_normal_form() -> None:
    given = body(
        recipient=recipient(name="  An \u00a0 Peeters "),
        subject="Cafe\u0301",
        attention_of=" Dienst  A ",
        payment=payment(iban="be68 5390 0754 7034", reference="123456789002", due_date="2027-01-31"),
        deadline="2027-02-28",
        digests={"document": "0" * 64},
    )
    personal = requests.checked(requests.read(json.dumps(given).encode()), USUAL)
    assert (personal.name, personal.subject, personal.attention_of) == ("An Peeters", "Café", "Dienst A")
    assert personal.number == "85073003328"
    assert personal.deadline == date(2027, 2, 28).isoformat()
    assert personal.payment is not None
    assert personal.payment.iban == "BE68539007547034"
    assert personal.payment.due_date == "2027-01-31"
    assert personal.address is not None
    assert personal.address.attention_of == " Dienst  A "
    assert "Peeters" not in repr(personal)
    assert "Gent" not in repr(personal)


def test_a_postal_recipient_needs_no_number() -> None:
    personal = requests.checked(
        requests.read(json.dumps(body(recipient=recipient(type="postal", id=None))).encode()), USUAL
    )
    assert personal.number is None
    assert personal.recipient is None


def test_print_options_are_kept_as_given() -> None:
    request = requests.read(json.dumps(body(print={"duplex": False, "colour": True, "priority": True})).encode())
    usual = requests.options(request, None, share_envelopes=False)
    assert usual == {
        "duplex": False,
        "colour": True,
        "priority": True,
        "return_receipt": False,
        "address": "page",
        "undeliverable": "return",
        "share_envelope": False,
    }
    chosen = requests.read(json.dumps(body(print={"address": "adopt", "undeliverable": "destroy"})).encode())
    assert requests.options(chosen, "return", share_envelopes=False) == usual | {
        "duplex": True,
        "colour": False,
        "priority": False,
        "address": "adopt",
        "undeliverable": "destroy",
    }
    assert requests.options(request, "destroy", share_envelopes=True) == usual | {
        "undeliverable": "destroy",
        "share_envelope": True,
    }
    alone = requests.read(json.dumps(body(print={"share_envelope": False})).encode())
    assert requests.options(alone, None, share_envelopes=True)["share_envelope"] is False
    with pytest.raises(Invalid):
        requests.read(json.dumps(body(print={"address": "window"})).encode())


def test_a_form_is_told_the_same_problems() -> None:
    assert check(json.dumps(body()).encode(), USUAL) == ()
    assert [error.pointer for error in check(json.dumps(body(subject="")).encode(), USUAL)] == ["/subject"]
    assert [error.code for error in check(b"{", USUAL)] == ["delivery_malformed"]


NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "code"),
    [
        ("2026-11-24T11:54:59Z", "time_passed"),
        ("2026-11-24T11:56:00Z", None),
        ("2026-11-24T13:30:00+01:00", None),
        ("2027-11-25T11:59:00Z", None),
        ("2027-11-25T12:01:00Z", "time_too_late"),
    ],
)
def test_a_time_to_send_lies_ahead_and_within_a_year(moment: str, code: str | None) -> None:
    request = requests.read(json.dumps(body(send_at=moment)).encode())
    if code is None:
        requests.checked(request, USUAL, now=NOW)
        return
    with pytest.raises(Invalid) as caught:
        requests.checked(request, USUAL, now=NOW)
    assert [(error.pointer, error.code) for error in caught.value.errors] == [("/send_at", code)]


def many(*recipients: dict[str, Any], **changes: Any) -> bytes:
    alone = ("recipient", "postal_address", "attention_of")
    shared = {name: value for name, value in body(**changes).items() if name not in alone}
    return json.dumps({**shared, "recipients": list(recipients)}).encode()


def test_each_of_several_recipients_gets_a_delivery_with_its_own_address() -> None:
    raw = many(
        {**recipient(), "postal_address": address(), "attention_of": "Dienst A"},
        {"type": "postal", "name": "Marie Curie", "postal_address": address(name="Marie Curie", street="Rue X")},
        subject="One subject",
    )
    asked, several = requests.read_hand_in(raw)
    personal = requests.checked_hand_in(asked, USUAL, many=several, now=NOW)
    assert several
    assert [each.name for each in personal] == [recipient()["name"], "Marie Curie"]
    assert [each.address.street if each.address else None for each in personal] == [address()["street"], "Rue X"]
    assert [each.attention_of for each in personal] == ["Dienst A", None]
    assert {each.subject for each in personal} == {"One subject"}


def test_what_is_wrong_with_one_of_several_is_told_by_its_place_and_what_they_share_once() -> None:
    raw = many(
        {**recipient(), "postal_address": address()},
        {**recipient(id=None), "postal_address": address(postcode="B-9000")},
        subject=" ",
    )
    asked, several = requests.read_hand_in(raw)
    with pytest.raises(Invalid) as caught:
        requests.checked_hand_in(asked, USUAL, many=several, now=NOW)
    assert {(error.pointer, error.code) for error in caught.value.errors} >= {
        ("/recipients/1/id", "number_missing"),
        ("/subject", "empty"),
    }
    pointers = [error.pointer or "" for error in caught.value.errors]
    assert any(pointer.startswith("/recipients/1/postal_address/postcode") for pointer in pointers)
    assert pointers.count("/subject") == 1
    assert not [pointer for pointer in pointers if pointer.startswith("/recipients/0")]


@pytest.mark.parametrize(
    "raw",
    [many(), many(*[recipient()] * 101), json.dumps({**body(), "recipients": [recipient()]}).encode()],
    ids=["none", "too many", "both shapes"],
)
def test_recipients_are_one_to_a_hundred_and_in_one_shape(raw: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        requests.read_hand_in(raw)
    assert caught.value.code == "delivery_malformed"
