"""The contract as an OpenAPI 3.1 document, generated from the routes; ``docs/api/openapi.json`` is its committed copy.

``python -m service.api.openapi docs/api/openapi.json`` writes it, and refuses a change that would break integrators.
"""

import sys
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, License, OAuthFlow, OAuthFlows, SecurityScheme, Tag

from service.api import examples
from service.api.calls import CLIENT_SECURITY, SECURITY
from service.api.contract_changes import breaking_changes
from service.api.legal_bases import add_legal_basis_file
from service.api.letters import add_letter_bodies
from service.api.mandates import add_acting_for
from service.api.routes import api_handlers
from service.api.signature_contract import add_signature_bodies
from service.api.submission_contract import add_submission_bodies
from service.api.validations import add_validation_bodies
from service.identity.assertions import JWT_BEARER
from service.identity.grants import CLIENT_CREDENTIALS, ID_TOKEN, TOKEN_EXCHANGE
from service.identity.scopes import Scope
from service.usecases.requests import DeliveryRequest, ManyRequest

VERSION: Final = "1.0.0"
_DESCRIPTION: Final = """\
Hand in documents, follow them to the mailbox or the letterbox, and get the evidence of every step.

Times are RFC 3339 in UTC, amounts decimal strings. Errors are problem documents (RFC 9457): look at `code`, which never
changes its meaning. Every answer has an `X-Request-Id`. What belongs to another organisation does not exist (404)."""
_TAGS: Final = {
    "Access": "Tokens, and the keys they are signed with.",
    "Deliveries": "What an organisation hands in and follows.",
    "Submissions": "Many deliveries at once, as a ZIP with a list.",
    "Validations": "Signatures of any PDF, checked at once.",
    "Signatures": "Documents that people are asked to sign, with their identity card.",
    "Webhooks": "What happens to deliveries, told to the sender's systems.",
    "Recipients": "Who can be reached digitally.",
    "Mailbox": "The recipient's side.",
    "Mandates": "Acting for another: given with a code, scoped, revoked at once.",
    "Legal bases": "What deliveries are sent under, and what has legal effect when.",
    "Ledger": "The public log of evidence: hashes only.",
    "Operations": "Health; status, pauses, parked jobs and the audit trail for the platform's own people.",
}
SCOPES: Final = {
    Scope.DELIVERIES_WRITE: "Hand in and cancel deliveries of the own organisation.",
    Scope.DELIVERIES_READ: "Read deliveries, documents, timelines and evidence of the own organisation.",
    Scope.RECIPIENTS_LOOKUP: "Ask which recipients can be reached digitally.",
    Scope.VALIDATIONS_WRITE: "Have the signatures of a PDF checked.",
    Scope.SIGNATURES_WRITE: "Ask for signatures and follow them.",
    Scope.WEBHOOKS_WRITE: "Subscribe the own systems to events, and follow what they were sent.",
    Scope.PRINT_OPERATE: "Work with print batches, what comes back and returned mail (the platform's own people).",
    Scope.OPERATIONS_READ: "Read how the service is (the platform's own people).",
    Scope.OPERATIONS_WRITE: "Pause, resume, retry, and end with a second person (the platform's own people).",
    Scope.MAILBOX_READ: "Read the own mailbox, and those one holds a mandate for.",
    Scope.MAILBOX_WRITE: "Open messages, activate and revoke the own mailbox, give and accept mandates.",
}


def document() -> dict[str, Any]:
    """The whole contract as JSON-able values, in a stable order."""
    app = Litestar(route_handlers=api_handlers(), openapi_config=_config(), logging_config=None)
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(app.openapi_schema.to_schema()))
    _add_hand_in(plain)
    add_submission_bodies(plain)
    add_validation_bodies(plain)
    add_letter_bodies(plain)
    add_signature_bodies(plain)
    add_acting_for(plain)
    add_legal_basis_file(plain)
    _add_token_form(plain)
    _add_evidence_pages(plain)
    _add_examples(plain)
    _leave_out_empty_bodies(plain)
    _add_request_id(plain)
    ordered: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(plain, order="deterministic"))
    return ordered


def text(contract: dict[str, Any]) -> str:
    """A contract as the committed file has it."""
    return msgspec.json.format(msgspec.json.encode(contract, order="deterministic"), indent=1).decode() + "\n"


def _config() -> OpenAPIConfig:
    scopes = {scope.value: meaning for scope, meaning in SCOPES.items()}
    return OpenAPIConfig(
        title="Zending",
        version=VERSION,
        description=_DESCRIPTION,
        license=License(name="EUPL-1.2", identifier="EUPL-1.2"),
        tags=[Tag(name=name, description=meaning) for name, meaning in _TAGS.items()],
        use_handler_docstrings=True,
        components=Components(
            security_schemes={
                SECURITY: SecurityScheme(
                    type="oauth2",
                    description="Access tokens; a program gets one for its credentials, a person for an ID token.",
                    flows=OAuthFlows(client_credentials=OAuthFlow(token_url="/oauth/token", scopes=scopes)),  # noqa: S106
                ),
                CLIENT_SECURITY: SecurityScheme(
                    type="http", scheme="basic", description="Client id and secret, form-urlencoded (RFC 6749, 2.3.1)."
                ),
            }
        ),
    )


def _add_hand_in(plain: dict[str, Any]) -> None:
    """Describe the multipart body, which the route reads by itself."""
    _, schemas = msgspec.json.schema_components(
        [DeliveryRequest, ManyRequest], ref_template="#/components/schemas/{name}"
    )
    # Two shapes that differ in one field; told as one, so that programs for the first go on to fit.
    request, many = schemas["DeliveryRequest"], schemas.pop("ManyRequest")
    request["properties"]["recipients"] = {
        **many["properties"]["recipients"],
        "description": "Instead of recipient, postal_address and attention_of: each gets a delivery of its own.",
    }
    request["required"].remove("recipient")
    plain["components"]["schemas"].update(schemas)
    binary = {"type": "string", "contentMediaType": "application/pdf"}
    plain["paths"]["/v1/deliveries"]["post"]["requestBody"] = {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["delivery", "document"],
                    "properties": {
                        "delivery": {"$ref": "#/components/schemas/DeliveryRequest"},
                        "document": {**binary, "description": "The main document."},
                        "attachment": {"type": "array", "items": binary, "description": "Further documents."},
                    },
                },
                "encoding": {
                    "delivery": {"contentType": "application/json"},
                    "document": {"contentType": "application/pdf"},
                    "attachment": {"contentType": "application/pdf"},
                },
                "examples": {"citizen": {"summary": "A letter to a citizen", "value": {"delivery": examples.HAND_IN}}},
            }
        },
    }
    plain["paths"]["/v1/deliveries/preview"]["post"]["requestBody"] = {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/DeliveryRequest"},
                "examples": {"registered": {"value": examples.HAND_IN | {"registered": True}}},
            },
            # With its files, as the hand-in itself is.
            **plain["paths"]["/v1/deliveries"]["post"]["requestBody"]["content"],
        },
    }


def _add_token_form(plain: dict[str, Any]) -> None:
    """Describe the token request's form (RFC 6749, section 4.4.2; RFC 8693, section 2.1)."""
    word = {"type": "string"}
    plain["paths"]["/oauth/token"]["post"]["requestBody"] = {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {"type": "string", "enum": [CLIENT_CREDENTIALS, TOKEN_EXCHANGE]},
                        "scope": {**word, "description": "Space-separated; everything allowed if left out."},
                        "client_id": {**word, "description": "Optional; the same as in the credentials."},
                        "client_assertion_type": {"type": "string", "enum": [JWT_BEARER]},
                        "client_assertion": {
                            **word,
                            "description": "Instead of HTTP Basic: a JWT signed with the client's own key "
                            "(`private_key_jwt`); ES256, RS256, PS256 or EdDSA; `aud` is the issuer or this address, "
                            "`exp` at most ten minutes ahead, each `jti` counts once.",
                        },
                        "subject_token": {**word, "description": "A person's ID token, for token exchange."},
                        "subject_token_type": {"type": "string", "enum": [ID_TOKEN]},
                    },
                }
            }
        },
    }


def _add_evidence_pages(plain: dict[str, Any]) -> None:
    """Say that evidence has a second form, which the Accept header chooses."""
    for path, operations in plain["paths"].items():
        if path.endswith("/evidence/{evidence_id}") and "/signature-requests/" not in path:
            operations["get"]["responses"]["200"]["content"]["application/pdf"] = {"schema": {"type": "string"}}


def _add_examples(plain: dict[str, Any]) -> None:
    for name, example in examples.OF_SCHEMAS.items():
        plain["components"]["schemas"][name]["examples"] = [example]


def _leave_out_empty_bodies(plain: dict[str, Any]) -> None:
    """An answer that has no body has no kind of body either."""
    for operations in plain["paths"].values():
        for operation in operations.values():
            operation["responses"].get("204", {}).pop("content", None)


def _add_request_id(plain: dict[str, Any]) -> None:
    header = {"schema": {"type": "string"}, "description": "Id of the request; tell it when you ask us about one."}
    plain["components"]["headers"] = {"X-Request-Id": header}
    for path in plain["paths"].values():
        for operation in path.values():
            for answer in operation["responses"].values():
                answer.setdefault("headers", {})["X-Request-Id"] = {"$ref": "#/components/headers/X-Request-Id"}


def main(arguments: list[str]) -> int:
    """Write the contract to the file given; with ``--breaking`` even if it breaks what was promised."""
    path = Path(next(argument for argument in arguments if not argument.startswith("--")))
    fresh = document()
    if path.exists() and "--breaking" not in arguments:
        broken = breaking_changes(msgspec.json.decode(path.read_bytes()), fresh)
        if broken:
            sys.stderr.write("This would break integrators (--breaking writes it all the same):\n")
            sys.stderr.writelines(f"  {change}\n" for change in broken)
            return 1
    path.write_text(text(fresh), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
