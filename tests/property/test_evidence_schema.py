"""The published schema says of every record exactly what the rules of records do: both take it, or both refuse it."""

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from service.domain.evidence import (
    OPTIONAL_REASONS,
    REASONS,
    RELAYS,
    AssuranceLevel,
    EvidenceEvent,
    External,
    Part,
    Party,
    RecordRefused,
)
from service.domain.evidence_record import (
    PERSONS,
    ActedFor,
    ActingBasis,
    Identification,
    LegalBasis,
    Letter,
    record,
)
from service.domain.evidence_schema import schema
from service.domain.identifiers import RecipientKind
from service.domain.states import Actor
from tests.evidence_page_support import evidence
from tests.evidence_schema_support import VALIDATOR

EVERY_REASON = sorted({reason for each in (*REASONS.values(), *OPTIONAL_REASONS.values()) for reason in each})
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
IDS = st.uuids().map(lambda value: value.hex)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
MOMENTS = st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  a zone is given beside it
ACTED_FOR = st.builds(ActedFor, st.just(ActingBasis.LOG_IN), WORDS) | st.builds(
    ActedFor, st.just(ActingBasis.MANDATE), WORDS, WORDS
)
IDENTIFICATIONS = st.builds(
    Identification,
    st.none() | WORDS,
    st.sampled_from(AssuranceLevel),
    st.none() | MOMENTS,
    st.none() | ACTED_FOR,
)
SENDERS = st.builds(Party, st.just("organisation"), WORDS, st.sampled_from(AssuranceLevel), st.none() | WORDS)
RECIPIENTS = st.builds(
    Party,
    st.sampled_from([kind.value for kind in RecipientKind]),
    st.text("0123456789", max_size=11),
    st.sampled_from(AssuranceLevel),
    st.none() | WORDS,
)
PARTS = st.builds(Part, st.sampled_from(["main", "attachment"]), DIGESTS, DIGESTS)
BASES = st.builds(LegalBasis, WORDS, WORDS, DIGESTS)
LETTERS = st.builds(Letter, *(st.none() | each for each in (DIGESTS, DIGESTS, WORDS, DIGESTS, DIGESTS)))
EXTERNALS = st.builds(External, WORDS, WORDS, st.none() | WORDS)


@st.composite
def records(draw: st.DrawFn, event: EvidenceEvent) -> dict[str, Any]:
    """Arguments of ``record`` that fit the event, with everything that may be there or not."""
    allowed = sorted(REASONS.get(event) or OPTIONAL_REASONS.get(event, ()))
    actor = draw(st.sampled_from(Actor))
    identified = IDENTIFICATIONS if actor is Actor.RECIPIENT else st.none() | IDENTIFICATIONS
    return {
        "event": event,
        "evidence_id": f"evd_{draw(IDS)}",
        "event_time": draw(MOMENTS),
        "issuer": draw(WORDS),
        "sender": draw(SENDERS),
        "recipients": draw(st.lists(RECIPIENTS, min_size=1, max_size=3)),
        "message_id": f"dlv_{draw(IDS)}",
        "submission_time": draw(MOMENTS),
        "parts": draw(st.lists(PARTS, min_size=1, max_size=3)),
        "policy_id": draw(WORDS),
        "actor": actor,
        "identification": draw(identified) if actor in PERSONS else None,
        "legal_basis": draw(st.none() | BASES),
        "leg": draw(st.none() | st.integers(1, 9)),
        "attempt": draw(st.integers(1, 9)),
        "reasons": draw(st.lists(st.sampled_from(allowed), min_size=event in REASONS)) if allowed else [],
        "external": draw(EXTERNALS) if event in RELAYS else None,
        "letter": draw(st.none() | LETTERS) if event in RELAYS else None,
    }


def file_of(made: dict[str, object]) -> dict[str, object]:
    proof = {"log_index": None, "proof": None, "checkpoint": None, "timestamp_token": None}
    return {"record": made, "salt": "0" * 64, "leaf_hash": "1" * 64, **proof}


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("event", EvidenceEvent)
def test_every_record_that_can_be_made_validates(event: EvidenceEvent) -> None:
    @given(records(event))
    def holds(fields: dict[str, Any]) -> None:
        VALIDATOR.validate(file_of(record(**fields)))

    holds()


@pytest.mark.parametrize("event", EvidenceEvent)
def test_reasons_outside_services_letters_and_persons_are_judged_alike_by_both(event: EvidenceEvent) -> None:
    loose = st.fixed_dictionaries(
        {
            "reasons": st.lists(st.sampled_from([*EVERY_REASON, "something else"]), max_size=2),
            "external": st.none() | EXTERNALS,
            "letter": st.none() | LETTERS,
            "actor": st.sampled_from(Actor),
            "identification": st.none() | IDENTIFICATIONS,
        }
    )

    @given(records(event), loose)
    def holds(fields: dict[str, Any], changes: dict[str, Any]) -> None:
        try:
            record(**fields | changes)
            allowed = True
        except RecordRefused:
            allowed = False
        said = record(**fields) | told(fields, changes)
        assert VALIDATOR.is_valid(file_of(said)) is allowed

    holds()


def told(fields: dict[str, Any], changes: dict[str, Any]) -> dict[str, object]:
    """The changes as they would stand in a record, whether they may or not: a relay by a sender may say them all."""
    relay = {"event": EvidenceEvent.RELAY_TO_NON_ERDS, "actor": Actor.SENDER, "reasons": []}
    made = record(**fields | changes | relay | {"external": changes["external"] or External("x", "y")})
    outside = made["external"] if changes["external"] else None
    same = {name: made[name] for name in ("letter", "identification")}
    return {**same, "external": outside, "reasons": changes["reasons"], "actor": changes["actor"].value}


def _changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    document = copy.deepcopy(evidence())
    change(document)
    return document


def test_a_published_evidence_validates_and_each_field_that_is_wrong_is_found() -> None:
    VALIDATOR.validate(evidence())
    changes: list[Callable[[dict[str, Any]], object]] = [
        lambda file: file["record"].pop("policy_id"),
        lambda file: file["record"].pop("actor"),
        lambda file: file["record"].pop("legal_basis"),
        lambda file: file["record"].update(extra=1),
        lambda file: file["record"].update(version=3),
        lambda file: file["record"].update(event="Nothing"),
        lambda file: file["record"].update(event_uri="http://uri.etsi.org/19522/Event/ContentHandover"),
        lambda file: file["record"].update(event_time="2026-11-23T13:05:12Z"),
        lambda file: file["record"]["sender"].update(kind="citizen"),
        lambda file: file["record"]["recipients"].clear(),
        lambda file: file["record"]["recipients"][0].update(assurance_level="certain"),
        lambda file: file["record"]["parts"][0].update(sha256="AB" * 32),
        lambda file: file["record"]["identification"].update(acted_for={}),
        lambda file: file["record"].update(evidence_id="85073003328"),
        lambda file: file.update(log_index=None),
        lambda file: file.update(proof=None),
        lambda file: file.update(salt="00"),
        lambda file: file.update(more=1),
    ]
    assert [number for number, change in enumerate(changes) if VALIDATOR.is_valid(_changed(change))] == []


def test_a_record_of_version_1_is_still_one_and_has_nothing_of_version_2() -> None:
    old: Any = copy.deepcopy(evidence())
    for name in ("actor", "identification", "legal_basis", "letter"):
        old["record"].pop(name)
    old["record"]["version"] = 1
    VALIDATOR.validate(old)
    old["record"]["actor"] = "recipient"
    assert not VALIDATOR.is_valid(old)
