"""What the contract says of bodies and headers of submissions, which the routes read by themselves."""

from typing import Any

import msgspec

from service.api.shapes import JSON
from service.usecases.submission_uploads import SubmissionOptions

_BINARY = {"type": "string", "contentMediaType": "application/zip"}


def add_submission_bodies(plain: dict[str, Any]) -> None:
    """Describe the options, the file and its pieces, the report as CSV, and where an upload tells how far it is."""
    (_,), schemas = msgspec.json.schema_components([SubmissionOptions], ref_template="#/components/schemas/{name}")
    plain["components"]["schemas"].update(schemas)
    paths = plain["paths"]
    paths["/v1/submissions"]["post"]["requestBody"] = {
        "required": True,
        "content": {
            JSON: {"schema": {"$ref": "#/components/schemas/SubmissionOptions"}},
            "application/zip": {"schema": {**_BINARY, "description": "The whole file."}},
        },
    }
    content = paths["/v1/submissions/{submission_id}/content"]
    content["patch"]["requestBody"] = {
        "required": True,
        "content": {"application/partial-upload": {"schema": {**_BINARY, "description": "The next bytes."}}},
    }
    told = {
        "Upload-Offset": {"schema": {"type": "integer"}, "description": "How many bytes are stored."},
        "Upload-Complete": {"schema": {"type": "string", "enum": ["?0", "?1"]}, "description": "Whether that is all."},
        "Upload-Limit": {"schema": {"type": "string"}, "description": "The longest file, as max-size."},
    }
    for operation in (content["head"], content["patch"]):
        operation["responses"]["204"].pop("content", None)
        operation["responses"]["204"].setdefault("headers", {}).update(told)
    report = paths["/v1/submissions/{submission_id}/rows"]["get"]["responses"]["200"]
    report["content"]["text/csv"] = {"schema": {"type": "string"}}
