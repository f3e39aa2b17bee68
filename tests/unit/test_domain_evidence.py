"""Evidence records: their fields, their closed lists, and keys that are the same each time."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from service.domain.evidence import (
    REASONS,
    AssuranceLevel,
    EvidenceEvent,
    External,
    Part,
    Party,
    RecordRefused,
    event_key,
    rfc3339,
)
from service.domain.evidence_record import (
    ActedFor,
    ActingBasis,
    Identification,
    LegalBasis,
    Letter,
    record,
)
from service.domain.states import Actor
from tests.domain_support import NOON

SENDER = Party("organisation", "0206731645", AssuranceLevel.SUBSTANTIAL, "Voorbeeldagentschap")
RECIPIENT = Party("citizen", "85073003328", AssuranceLevel.HIGH, "An Peeters")
MAIN = Part("main", "a" * 64, "b" * 64)
PRINTER = External("print:directory", "prt_1")
LOG_IN = Identification("https://aanmelden.test", AssuranceLevel.HIGH, NOON - timedelta(minutes=2))
PAPER = Letter("1" * 64, "2" * 64, "RX123456785BE", "3" * 64, "4" * 64)
RELAYS = {
    EvidenceEvent.RELAY_TO_NON_ERDS,
    EvidenceEvent.RELAY_TO_NON_ERDS_FAILURE,
    EvidenceEvent.RECEIVED_FROM_NON_ERDS,
}


def _record(event: EvidenceEvent, **changes: Any) -> dict[str, object]:
    fields: dict[str, Any] = {
        "evidence_id": "evd_1",
        "event_time": NOON,
        "issuer": "Zending",
        "sender": SENDER,
        "recipients": [RECIPIENT],
        "message_id": "dlv_1",
        "submission_time": NOON - timedelta(hours=1),
        "parts": [MAIN],
        "policy_id": "zending-routing-1",
        "actor": Actor.SERVICE,
        "reasons": sorted(REASONS.get(event, ()))[:1],
        "external": PRINTER if event in RELAYS else None,
    }
    return record(event=event, **(fields | changes))


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        assert all(isinstance(key, str) for key in value)
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def test_a_record_says_what_the_standard_asks_for() -> None:
    made = _record(EvidenceEvent.RELAY_TO_NON_ERDS, leg=2)
    assert made == {
        "version": 2,
        "evidence_id": "evd_1",
        "event_key": "dlv_1/2/RelayToNonERDS/1",
        "event": "RelayToNonERDS",
        "event_uri": "http://uri.etsi.org/19522/Event/RelayToNonERDS",
        "event_time": "2026-11-23T12:00:00.000000Z",
        "issuer": "Zending",
        "sender": {
            "kind": "organisation",
            "id": "0206731645",
            "name": "Voorbeeldagentschap",
            "assurance_level": "substantial",
        },
        "recipients": [
            {"kind": "citizen", "id": "85073003328", "name": "An Peeters", "assurance_level": "high"},
        ],
        "message_id": "dlv_1",
        "leg": 2,
        "attempt": 1,
        "submission_time": "2026-11-23T11:00:00.000000Z",
        "parts": [{"role": "main", "sha256": "a" * 64, "submitted_sha256": "b" * 64}],
        "policy_id": "zending-routing-1",
        "external": {"name": "print:directory", "reference": "prt_1", "report": None},
        "reasons": [],
        "actor": "service",
        "identification": None,
        "legal_basis": None,
        "letter": None,
    }


@pytest.mark.parametrize("event", EvidenceEvent)
def test_every_record_holds_plain_values_only(event: EvidenceEvent) -> None:
    made = _record(event)
    assert {type(leaf) for leaf in _leaves(made)} <= {str, int, bool, type(None)}
    assert json.loads(json.dumps(made)) == made


def test_exactly_the_failures_of_the_service_and_the_senders_withdrawal_require_a_reason() -> None:
    failures = {event for event in EvidenceEvent if event.value.endswith("Failure")}
    assert set(REASONS) == failures | {
        EvidenceEvent.SUBMISSION_REJECTION,
        EvidenceEvent.CONSIGNMENT_WITHDRAWAL,
        EvidenceEvent.PERIOD_EXTENSION,
    }


def test_only_events_that_etsi_names_have_an_address_of_etsis() -> None:
    own = {event for event in EvidenceEvent if not event.uri.startswith("http://uri.etsi.org/19522/Event/")}
    assert own == {EvidenceEvent.CONSIGNMENT_WITHDRAWAL, EvidenceEvent.PERIOD_EXTENSION}


@pytest.mark.parametrize("event", REASONS)
def test_a_failure_says_why_from_a_closed_list(event: EvidenceEvent) -> None:
    for reasons in ([], ["something else"], [*sorted(REASONS[event]), "and more"]):
        with pytest.raises(RecordRefused):
            _record(event, reasons=reasons)
    assert _record(event, reasons=sorted(REASONS[event]))["reasons"] == sorted(REASONS[event])


def test_the_post_and_a_refusing_recipient_may_give_reasons() -> None:
    returned = External("bpost", "prt_1", report="returned")
    made = _record(EvidenceEvent.RECEIVED_FROM_NON_ERDS, reasons=["M04"], external=returned)
    assert made["reasons"] == ["M04"]
    assert _record(EvidenceEvent.CONSIGNMENT_REJECTION, reasons=["refused_by_mandatary"])["reasons"]


def test_a_success_has_no_reason() -> None:
    with pytest.raises(RecordRefused):
        _record(EvidenceEvent.SUBMISSION_ACCEPTANCE, reasons=["malware"])


def test_relays_and_only_they_name_the_outside_service() -> None:
    for event in EvidenceEvent:
        with pytest.raises(RecordRefused):
            _record(event, external=None if event in RELAYS else PRINTER)


@pytest.mark.parametrize("missing", ["recipients", "parts"])
def test_a_record_has_somebody_and_something(missing: str) -> None:
    with pytest.raises(RecordRefused):
        _record(EvidenceEvent.SUBMISSION_ACCEPTANCE, **{missing: []})


@pytest.mark.parametrize("digest", ["", "A" * 64, "a" * 63, "a" * 65, "g" * 64])
def test_a_digest_is_a_sha256_in_small_letters(digest: str) -> None:
    for part in (replace(MAIN, sha256=digest), replace(MAIN, submitted_sha256=digest)):
        with pytest.raises(RecordRefused):
            _record(EvidenceEvent.SUBMISSION_ACCEPTANCE, parts=[MAIN, part])


def test_a_moment_has_one_text_wherever_it_was_noted() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert rfc3339(elsewhere) == rfc3339(NOON) == "2026-11-23T12:00:00.000000Z"
    assert rfc3339(NOON + timedelta(microseconds=7)) == "2026-11-23T12:00:00.000007Z"
    with pytest.raises(RecordRefused):
        rfc3339(datetime(2026, 1, 1))  # noqa: DTZ001  the rule is about exactly this


def test_an_event_has_one_key_however_often_it_is_recorded() -> None:
    keys = {
        event_key(message, leg, event, attempt)
        for message in ("dlv_1", "dlv_2")
        for leg in (None, 1, 2)
        for event in EvidenceEvent
        for attempt in (1, 2)
    }
    assert len(keys) == 2 * 3 * len(EvidenceEvent) * 2
    assert event_key("dlv_1", None, EvidenceEvent.SUBMISSION_ACCEPTANCE) == "dlv_1/0/SubmissionAcceptance/1"


def _acts(event: EvidenceEvent = EvidenceEvent.CONSIGNMENT_ACCEPTANCE, **changes: Any) -> dict[str, Any]:
    return _record(event, **({"actor": Actor.RECIPIENT, "identification": LOG_IN} | changes))


def test_a_persons_act_says_how_they_were_identified_and_for_whom_they_acted() -> None:
    assert _acts()["identification"] == {
        "provider": "https://aanmelden.test",
        "level": "high",
        "authenticated_at": "2026-11-23T11:58:00.000000Z",
        "acted_for": None,
    }
    for basis, mandate in ((ActingBasis.MANDATE, "mdt_1"), (ActingBasis.LOG_IN, None)):
        acting = replace(LOG_IN, acted_for=ActedFor(basis, "f3a9", mandate))
        assert _acts(identification=acting)["identification"]["acted_for"] == {
            "kind": "citizen",
            "id": "85073003328",
            "basis": basis.value,
            "person": "f3a9",
            "mandate": mandate,
        }
        made = _acts(EvidenceEvent.CONSIGNMENT_WITHDRAWAL, actor=Actor.SENDER, identification=acting)
        assert made["identification"]["acted_for"]["id"] == "0206731645", "a clerk acts for the sender"


def test_what_a_provider_did_not_say_is_not_claimed() -> None:
    known = _acts(identification=Identification(None, AssuranceLevel.NONE, None))["identification"]
    assert (known["provider"], known["level"], known["authenticated_at"]) == (None, "none", None)


@pytest.mark.parametrize("actor", [Actor.SERVICE, Actor.CLOCK, Actor.POST, Actor.OPERATOR])
def test_only_persons_are_identified_and_no_recipient_acts_without(actor: Actor) -> None:
    with pytest.raises(RecordRefused):
        _acts(actor=actor)
    with pytest.raises(RecordRefused):
        _acts(identification=None)


@pytest.mark.parametrize(("basis", "mandate"), [(ActingBasis.MANDATE, None), (ActingBasis.LOG_IN, "mdt_1")])
def test_a_mandate_is_named_by_who_acts_by_one_and_by_nobody_else(basis: ActingBasis, mandate: str | None) -> None:
    with pytest.raises(RecordRefused):
        _acts(identification=replace(LOG_IN, acted_for=ActedFor(basis, "f3a9", mandate)))


def test_the_legal_basis_and_the_letter_are_bound_by_their_digests() -> None:
    basis = LegalBasis("example", "2026-1", "c" * 64)
    made = _record(EvidenceEvent.RELAY_TO_NON_ERDS, legal_basis=basis, letter=PAPER)
    assert made["legal_basis"] == {"id": "example", "version": "2026-1", "sha256": "c" * 64}
    assert made["letter"] == {
        "print_sha256": "1" * 64,
        "batch_sha256": "2" * 64,
        "registered_number": "RX123456785BE",
        "posting_proof_sha256": "3" * 64,
        "receipt_sha256": "4" * 64,
    }
    with pytest.raises(RecordRefused):
        _record(EvidenceEvent.RELAY_TO_NON_ERDS, legal_basis=replace(basis, sha256="C" * 64))
    for name in ("print_sha256", "batch_sha256", "posting_proof_sha256", "receipt_sha256"):
        with pytest.raises(RecordRefused):
            _record(EvidenceEvent.RELAY_TO_NON_ERDS, letter=replace(PAPER, **{name: "1" * 63}))


def test_only_what_is_relayed_has_a_letter() -> None:
    for event in set(EvidenceEvent) - RELAYS:
        with pytest.raises(RecordRefused):
            _record(event, letter=PAPER)


def test_parties_never_show_themselves() -> None:
    shown = f"{RECIPIENT} {RECIPIENT!r} {ActedFor(ActingBasis.LOG_IN, '85073003328')!r}"
    assert "85073003328" not in shown
    assert "Peeters" not in shown
