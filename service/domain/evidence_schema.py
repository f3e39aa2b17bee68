"""The published JSON Schema of evidence, made from the same closed lists that records are made by.

The meaning of the fields is that of ETSI EN 319 522; where part 3 of it has an element of the same meaning, the field
names it under ``x-etsi``. Nothing is narrowed for a version once records of it exist: what was valid stays valid.
"""

from typing import Any, Final

from service.domain.evidence import OPTIONAL_REASONS, REASONS, RELAYS, AssuranceLevel, EvidenceEvent
from service.domain.evidence_record import PERSONS, RECORD_VERSION, ActingBasis
from service.domain.identifiers import RecipientKind
from service.domain.states import Actor

ID: Final = "urn:x-zending:schema:evidence"

_TEXT: Final = {"type": "string", "minLength": 1}
_DIGEST: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_MOMENT: Final = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$",
}
_COUNT: Final = {"type": "integer", "minimum": 1}
_NULL: Final = {"type": "null"}


def schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of one evidence file as it leaves the service."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "Evidence of a delivery",
        "description": "One evidence record with its salt and, once a signed checkpoint covers it, what proves it.",
        **_object(
            {
                "record": {"$ref": "#/$defs/record"},
                "salt": {**_DIGEST, "description": "32 random bytes that the leaf is made with."},
                "leaf_hash": {**_DIGEST, "description": "RFC 6962 leaf hash of the log's entry."},
                "log_index": {"type": ["integer", "null"], "minimum": 0},
                "proof": {"type": ["string", "null"], "pattern": r"^c2sp\.org/tlog-proof@v1\n"},
                "checkpoint": {"type": ["string", "null"], "minLength": 1, "description": "A C2SP signed note."},
                "timestamp_token": {
                    "type": ["string", "null"],
                    "contentEncoding": "base64",
                    "description": "An RFC 3161 token over the checkpoint's text, in DER.",
                },
            }
        ),
        "if": {"properties": {"proof": _NULL}},
        "then": {"properties": {"log_index": _NULL, "checkpoint": _NULL, "timestamp_token": _NULL}},
        "else": {"properties": {"log_index": {"type": "integer"}, "checkpoint": {"type": "string"}}},
        "$defs": _definitions(),
    }


def _definitions() -> dict[str, Any]:
    first = _first_version()
    return {
        "record": {
            "type": "object",
            "required": ["version", "event"],
            "properties": {"version": {"enum": [*range(1, RECORD_VERSION + 1)]}, "event": {"$ref": "#/$defs/event"}},
            "allOf": [
                {
                    "if": {"properties": {"version": {"const": 1}}},
                    "then": {"$ref": "#/$defs/record_1"},
                    "else": {"$ref": "#/$defs/record_2"},
                },
                *(_conditions(event) for event in EvidenceEvent),
            ],
        },
        "record_1": _object(first),
        "record_2": {**_object({**first, **_second_version()}), "allOf": _identified()},
        "event": {"enum": [event.value for event in EvidenceEvent]},
        "level": {
            "enum": [level.value for level in AssuranceLevel],
            "description": "Levels of Regulation (EU) No 910/2014, article 8; none where nobody identified the party.",
        },
        "party": _object(
            {
                "kind": {"enum": ["organisation", *(kind.value for kind in RecipientKind)]},
                "id": {"type": "string", "description": "Its number; empty for a recipient by post only."},
                "name": {"type": ["string", "null"]},
                "assurance_level": {"$ref": "#/$defs/level"},
            }
        ),
        "identification": _identification(),
        "legal_basis": _object({"id": _TEXT, "version": _TEXT, "sha256": _DIGEST}),
        "external": _object({"name": _TEXT, "reference": _TEXT, "report": {"type": ["string", "null"]}}),
        "letter": _letter(),
    }


def _first_version() -> dict[str, Any]:
    party = {"$ref": "#/$defs/party"}
    part = _object({"role": {"enum": ["main", "attachment"]}, "sha256": _DIGEST, "submitted_sha256": _DIGEST})
    return {
        "version": {"type": "integer"},
        "evidence_id": {**_id("evd"), "x-etsi": "EvidenceIdentifier"},
        "event_key": {"type": "string", "pattern": "^dlv_[0-9a-f]{32}/[0-9]+/[A-Za-z]+/[1-9][0-9]*$"},
        "event": {"$ref": "#/$defs/event"},
        "event_uri": {"type": "string", "format": "uri", "x-etsi": "ERDSEventId"},
        "event_time": {**_MOMENT, "x-etsi": "EventTime"},
        "issuer": {**_TEXT, "x-etsi": "EvidenceIssuerDetails"},
        "sender": {"allOf": [party, {"properties": {"kind": {"const": "organisation"}}}], "x-etsi": "SenderDetails"},
        "recipients": {
            "type": "array",
            "minItems": 1,
            "items": {"allOf": [party, {"properties": {"kind": {"enum": [*RecipientKind]}}}]},
            "x-etsi": "RecipientDetails",
        },
        "message_id": {**_id("dlv"), "x-etsi": "MessageIdentifier"},
        "leg": {"anyOf": [_COUNT, _NULL], "description": "Route of the delivery; null for the delivery as a whole."},
        "attempt": _COUNT,
        "submission_time": {**_MOMENT, "x-etsi": "SubmissionTime"},
        "parts": {"type": "array", "minItems": 1, "items": part, "x-etsi": "UserContentInfo"},
        "policy_id": {**_TEXT, "x-etsi": "EvidenceIssuerPolicyID"},
        "external": {"anyOf": [{"$ref": "#/$defs/external"}, _NULL], "description": "The outside service of a relay."},
        "reasons": {"type": "array", "items": {"type": "string"}, "x-etsi": "EventReasons"},
    }


def _second_version() -> dict[str, Any]:
    return {
        "actor": {"enum": [actor.value for actor in Actor], "description": "Who made the event happen."},
        "identification": {"anyOf": [{"$ref": "#/$defs/identification"}, _NULL]},
        "legal_basis": {"anyOf": [{"$ref": "#/$defs/legal_basis"}, _NULL]},
        "letter": {"anyOf": [{"$ref": "#/$defs/letter"}, _NULL]},
    }


def _identification() -> dict[str, Any]:
    acted_for = _object(
        {
            "kind": _TEXT,
            "id": {"type": "string"},
            "basis": {"enum": [basis.value for basis in ActingBasis]},
            "person": {"type": "string", "description": "The identity provider's own id of who acted."},
            "mandate": {"type": ["string", "null"]},
        }
    )
    acted_for |= {
        "if": {"properties": {"basis": {"const": ActingBasis.MANDATE.value}}},
        "then": {"properties": {"mandate": _TEXT}},
        "else": {"properties": {"mandate": _NULL}},
    }
    return _object(
        {
            "provider": {"type": ["string", "null"], "description": "Issuer identifier of the identity provider."},
            "level": {"$ref": "#/$defs/level"},
            "authenticated_at": {"anyOf": [_MOMENT, _NULL], "description": "When the person logged in there."},
            "acted_for": {"anyOf": [acted_for, _NULL], "description": "Null for who acted for themselves."},
        }
    )


def _letter() -> dict[str, Any]:
    digest = {"anyOf": [_DIGEST, _NULL]}
    return _object(
        {
            "print_sha256": {**digest, "description": "The copy made for print."},
            "batch_sha256": {**digest, "description": "The file that the print provider was given."},
            "registered_number": {"anyOf": [_TEXT, _NULL]},
            "posting_proof_sha256": digest,
            "receipt_sha256": {**digest, "description": "The scan of the receipt that the addressee signed."},
        }
    )


def _identified() -> list[dict[str, Any]]:
    """Who acted decides whether somebody was identified."""
    persons = [actor.value for actor in PERSONS]
    recipient = {"properties": {"actor": {"const": Actor.RECIPIENT.value}}}
    others = {"properties": {"actor": {"enum": sorted(actor.value for actor in Actor if actor.value not in persons)}}}
    return [
        {"if": recipient, "then": {"properties": {"identification": {"type": "object"}}}},
        {"if": others, "then": {"properties": {"identification": _NULL}}},
    ]


def _conditions(event: EvidenceEvent) -> dict[str, Any]:
    """What an event's records must and may say besides."""
    required, optional = sorted(REASONS.get(event, ())), sorted(OPTIONAL_REASONS.get(event, ()))
    if required:
        reasons: dict[str, Any] = {"minItems": 1, "items": {"enum": required}}
    else:
        reasons = {"items": {"enum": optional}} if optional else {"maxItems": 0}
    outside = {"external": {"type": "object"}} if event in RELAYS else {"external": _NULL, "letter": _NULL}
    return {
        "if": {"properties": {"event": {"const": event.value}}},
        "then": {"properties": {"event_uri": {"const": event.uri}, "reasons": reasons, **outside}},
    }


def _id(prefix: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{prefix}_[0-9a-f]{{32}}$"}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    """An object that has all of these properties and no other."""
    return {"type": "object", "required": [*properties], "properties": properties, "additionalProperties": False}
