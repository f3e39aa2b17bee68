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
    record,
    rfc3339,
)
from tests.domain_support import NOON

SENDER = Party("organisation", "0206731645", AssuranceLevel.SUBSTANTIAL, "Voorbeeldagentschap")
RECIPIENT = Party("citizen", "85073003328", AssuranceLevel.HIGH, "An Peeters")
MAIN = Part("main", "a" * 64, "b" * 64)
PRINTER = External("print:directory", "prt_1")
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
        "version": 1,
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


def test_parties_never_show_themselves() -> None:
    shown = f"{RECIPIENT} {RECIPIENT!r}"
    assert "85073003328" not in shown
    assert "Peeters" not in shown
