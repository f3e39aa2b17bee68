"""What the contract says of a signature request's body, which the route reads by itself."""

from typing import Any

import msgspec

from service.api import examples
from service.usecases.signatures.requests import SignatureRequest


def add_signature_bodies(plain: dict[str, Any]) -> None:
    """Describe the multipart body, and that evidence here is JSON only."""
    _, schemas = msgspec.json.schema_components([SignatureRequest], ref_template="#/components/schemas/{name}")
    known = plain["components"]["schemas"]
    known.update({name: schema for name, schema in schemas.items() if name not in known})
    plain["paths"]["/v1/signature-requests"]["post"]["requestBody"] = {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["request", "document"],
                    "properties": {
                        "request": {"$ref": "#/components/schemas/SignatureRequest"},
                        "document": {
                            "type": "string",
                            "contentMediaType": "application/pdf",
                            "description": "What is to be signed. Send the part up to ten times: every signer signs "
                            "all documents in one act.",
                        },
                    },
                },
                "encoding": {
                    "request": {"contentType": "application/json"},
                    "document": {"contentType": "application/pdf"},
                },
                "examples": {
                    "two": {"summary": "Two signers, one after the other", "value": {"request": examples.ASK}}
                },
            }
        },
    }
