"""``/v1/schemas``: the forms of what leaves the service, for whoever checks it by a program of their own."""

from hashlib import sha256
from typing import Annotated, Any, Final

import msgspec
from litestar import Controller, Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter

from service.api.calls import public
from service.domain.evidence_schema import schema

MEDIA_TYPE: Final = "application/schema+json"
_EVIDENCE: Final = msgspec.json.format(msgspec.json.encode(schema()), indent=2)
_TAG: Final = f'"{sha256(_EVIDENCE).hexdigest()[:32]}"'
_HEADERS: Final = {"ETag": _TAG, "Cache-Control": "public, max-age=3600"}
_ANSWERS: Final = {
    200: ResponseSpec(
        dict[str, Any], description="A JSON Schema, draft 2020-12.", media_type=MEDIA_TYPE, generate_examples=False
    ),
    304: ResponseSpec(None, description="It is the one that you have.", generate_examples=False),
}


class Schemas(Controller):
    """The published forms; they are the same for everybody."""

    path = "/v1/schemas"
    tags = ("Ledger",)

    @get(
        "/evidence",
        summary="Read the JSON Schema of evidence",
        operation_id="readEvidenceSchema",
        media_type=MEDIA_TYPE,
        sync_to_thread=False,
        **public(400, also=_ANSWERS),
    )
    def evidence(
        self,
        known: Annotated[
            str | None,
            HeaderParameter(name="If-None-Match", required=False, description="`ETag` of the one that you have."),
        ] = None,
    ) -> Response[bytes | None]:
        """Send the schema of one evidence of a delivery, as `GET /v1/deliveries/{id}/evidence/{evidence_id}` does."""
        if known is not None and _known(known):
            return Response(None, status_code=304, headers=_HEADERS)
        return Response(_EVIDENCE, media_type=MEDIA_TYPE, headers=_HEADERS)


def _known(header: str) -> bool:
    """Whether one of the tags of an ``If-None-Match`` header is the present one (RFC 9110, section 13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return _TAG in tags or "*" in tags
