"""``/v1/deliveries/…``: what became of a delivery on paper, and what its sender decides on mail that came back."""

import msgspec
from litestar import Controller, Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody

from service.api import files
from service.api.calls import ApiRequest, context_of, scoped, tenant
from service.db.ids import DELIVERY, parse_id
from service.domain.addresses import PostalAddress
from service.identity.scopes import Scope
from service.usecases import paper, post_returned
from service.usecases.paper import LetterView
from service.usecases.requests import AddressPart, Short

_SCAN = "application/octet-stream"
_SCAN_ANSWER = {
    200: ResponseSpec(
        bytes, description="A PDF, PNG, JPEG or TIFF; its Content-Type says which.", media_type=_SCAN,
        generate_examples=False,
    )
}  # fmt: skip


class Letters(msgspec.Struct, frozen=True):
    """The letters of a delivery, first one first; none where it never went on paper."""

    items: list[LetterView]


class SendAgain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the letter goes this time."""

    postal_address: AddressPart
    attention_of: Short | None = None


class SentAgain(msgspec.Struct, frozen=True):
    """The leg by which the letter goes out once more."""

    leg: int


class Paper(Controller):
    """Letters, their pictures, and those that came back."""

    path = "/v1/deliveries"
    tags = ("Deliveries",)

    @get(
        "/{delivery_id:str}/letters",
        summary="Read what became of a delivery's letters",
        operation_id="listLetters",
        sync_to_thread=True,
        **scoped(Scope.DELIVERIES_READ, 404),
    )
    def letters(self, request: ApiRequest, delivery_id: FromPath[str]) -> Letters:
        """Each letter on paper: what print house and post told of it, pictures, and that it came back."""
        return Letters(paper.of(context_of(request), tenant(request), delivery_id))

    @get(
        "/{delivery_id:str}/scans/{scan_id:str}",
        summary="Download a posting proof, a signed receipt or the picture of a returned letter",
        operation_id="readScan",
        media_type=_SCAN,
        sync_to_thread=True,
        **scoped(Scope.DELIVERIES_READ, 404, also=_SCAN_ANSWER),
    )
    def scan(self, request: ApiRequest, delivery_id: FromPath[str], scan_id: FromPath[str]) -> Response[bytes]:
        """Send the picture as it came: PDF, PNG, JPEG or TIFF."""
        file, media_type = paper.scan(context_of(request), tenant(request), delivery_id, scan_id)
        headers = {"Content-Disposition": files.disposition("attachment", file.filename)}
        return Response(file.content, media_type=media_type, headers=headers)

    @post(
        "/{delivery_id:str}/send-again",
        status_code=200,
        summary="Send a letter that came back to another address",
        operation_id="sendAgain",
        response_description="A new letter is being made.",
        sync_to_thread=True,
        **scoped(Scope.DELIVERIES_WRITE, 404, 409, 413, 422),
    )
    def send_again(self, request: ApiRequest, delivery_id: FromPath[str], data: JSONBody[SendAgain]) -> SentAgain:
        """Answer the question that a returned letter asks; the other answer is to end it."""
        part = data.postal_address
        address = PostalAddress(
            name=part.name,
            street=part.street,
            number=part.number,
            box=part.box,
            postcode=part.postcode,
            municipality=part.municipality,
            country=part.country,
            attention_of=data.attention_of,
        )
        wanted = parse_id(DELIVERY, delivery_id)
        return SentAgain(post_returned.send_again(context_of(request), tenant(request), wanted, address))

    @post(
        "/{delivery_id:str}/end-returned",
        status_code=204,
        summary="Leave a letter that came back at that",
        operation_id="endReturned",
        sync_to_thread=True,
        **scoped(Scope.DELIVERIES_WRITE, 404, 409),
    )
    def end_returned(self, request: ApiRequest, delivery_id: FromPath[str]) -> None:
        """Nothing more is sent. Safe to repeat."""
        post_returned.end(context_of(request), tenant(request), parse_id(DELIVERY, delivery_id))
