"""Examples in the contract, all of fictional people; the fields are those of the schemas they stand at."""

from typing import Any, Final

from service.api import print_examples

HAND_IN: Final[dict[str, Any]] = {
    "reference": "2026-AJ-000123",
    "recipient": {"type": "citizen", "id": "85073003328", "name": "An Peeters"},
    "postal_address": {
        "name": "An Peeters",
        "street": "Kerkstraat",
        "number": "12",
        "box": "3",
        "postcode": "9000",
        "municipality": "Gent",
        "country": "BE",
    },
    "subject": "Aanslagbiljet onroerende voorheffing 2026",
    "language": "nl",
    "document_type": "tax-assessment",
}

ASK: Final[dict[str, Any]] = {
    "reference": "2026-OVK-000017",
    "subject": "Overeenkomst kinderopvang",
    "language": "nl",
    "order": "sequence",
    "days": 30,
    "signers": [
        {"type": "citizen", "id": "85073003328", "name": "An Peeters", "level": "qualified"},
        {"type": "organisation", "way": "seal"},
    ],
}

_ID: Final = "dlv_0199f0c24d6a7c3e8b1f5a2d9e4c7b60"
_EVIDENCE: Final = "evd_0199f0c251b07f42a6d3c8e1b5f09a74"
_DELIVERY: Final[dict[str, Any]] = {
    "id": _ID,
    "reference": "2026-AJ-000123",
    "status": "available",
    "channel": "digital",
    "registered": False,
    "document_type": "tax-assessment",
    "subject": "Aanslagbiljet onroerende voorheffing 2026",
    "created_at": "2026-11-23T21:40:02.318112Z",
    "updated_at": "2026-11-23T21:40:03.007841Z",
    "effective_at": "2026-11-23T21:40:03.007841Z",
    "documents": [
        {
            "role": "main",
            "filename": "aanslagbiljet.pdf",
            "pages": 2,
            "size": 84231,
            "sha256": "7d0a6c1d0b6a5b7f2f1b6c6f6b0f5a9a7e6e0b9a7c2f7d1c0a4b3e2d1c0f9e8d",
            "submitted_sha256": "1f8ac10f23c5b5bc1167bda84b833e5c057a77d2fdf2e7b4f1b3c1b0a9d8e7f6",
            "url": f"/v1/deliveries/{_ID}/document",
        }
    ],
    "problems": [],
    "links": {"events": f"/v1/deliveries/{_ID}/events", "evidence": f"/v1/deliveries/{_ID}/evidence"},
    "submission_id": "sub_0199f0c24d6a7c3e8b1f5a2d9e4c7b60",
    "send_at": None,
}

OF_SCHEMAS: Final[dict[str, Any]] = {
    "DeliveryRequest": HAND_IN,
    "SignatureRequest": ASK,
    "DeliveryView": _DELIVERY,
    "EventView": {
        "event": "ContentConsignment",
        "at": "2026-11-23T21:40:03.007841Z",
        "status": "available",
        "channel": "digital",
        "actor": "service",
        "reason": None,
    },
    "EvidenceEntry": {
        "id": _EVIDENCE,
        "event": "SubmissionAcceptance",
        "at": "2026-11-23T21:40:02.807341Z",
        "published": True,
    },
    "LookupRequest": {"purpose": "Tax assessments 2026", "recipients": [{"type": "citizen", "id": "85073003328"}]},
    "LookupResult": {"type": "citizen", "id": "85073003328", "channel": "digital"},
    "MandateRequest": {
        "mandator": {"id": "85073003328", "name": "An Peeters"},
        "mandatary": {"type": "enterprise", "id": "0403019261", "name": "Boekhouding Voorbeeld bv"},
        "senders": None,
        "registered": True,
        "legal_effect": False,
        "last_day": "2027-12-31",
    },
    "ActivationRequest": {"email": "an.peeters@example.org", "language": "nl"},
    "TokenAnswer": {
        "access_token": "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9…",
        "token_type": "Bearer",
        "expires_in": 600,
        "scope": "deliveries:read deliveries:write",
    },
    "TokenProblem": {
        "error": "invalid_client",
        "error_description": "The client is not known by these credentials.",
    },
    "Problem": {
        "type": "urn:zending:problem:delivery_invalid",
        "title": "Not right",
        "status": 422,
        "code": "delivery_invalid",
        "instance": "urn:zending:request:5f0c2d7be9a14c3386d1f02a",
        "detail": "What was handed in is not right.",
        "errors": [
            {
                "code": "insz_invalid",
                "detail": "This is not a national register number: its check digits are wrong.",
                "pointer": "/recipient/id",
            }
        ],
    },
    **print_examples.OF_SCHEMAS,
    "Health": {
        "status": "degraded",
        "parts": [
            {"name": "database", "state": "up", "needed": True},
            {"name": "broker", "state": "down", "needed": False},
        ],
    },
}
