"""``/v1/print`` for single letters, batches and products: hold, release, print again."""

from typing import Annotated

import msgspec
from litestar import Controller, Response, post
from litestar.params import JSONBody

from service.api.calls import ApiRequest, OptionalKey, acting, done_once, scoped
from service.domain.errors import Invalid
from service.identity.scopes import Scope
from service.usecases import post_returned, print_holds, print_moves, reasons, reprints

_Letters = Annotated[
    list[Annotated[str, msgspec.Meta(min_length=1, max_length=120)]], msgspec.Meta(min_length=1, max_length=1000)
]
_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
_Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=reasons.LENGTH)]


class ReleaseRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What goes on: letters, or a batch by its number, or a product of a print house; one of the three."""

    letters: _Letters | None = None
    batch: int | None = None
    printer: _Word | None = None
    product: _Word | None = None


class HoldRequest(ReleaseRequest, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is held back, and why: nothing personal."""

    reason: _Reason


class Changed(msgspec.Struct, frozen=True):
    """How many letters, batches or products that changed."""

    changed: int


class ReprintRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Letters that are printed once more, and why: a word of a closed list."""

    letters: _Letters
    reason: _Word


class GiveUpRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Letters that end without being printed."""

    letters: _Letters


class MoveRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose waiting letters who prints instead; all products that both offer, or one."""

    source: _Word
    target: _Word
    product: _Word | None = None


class PrintLetters(Controller):
    """Letters one by one, and what holds them back."""

    path = "/v1/print"
    tags = ("Print",)

    @post(
        "/hold",
        status_code=200,
        summary="Hold letters, a batch or a product back",
        operation_id="holdPrint",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE, 404, 409, 413, 422),
    )
    def hold(self, request: ApiRequest, data: JSONBody[HoldRequest]) -> Changed:
        """Letters that wait, a batch that is not handed over, or all that goes to a print house as one product."""
        context, actor = acting(request)
        _check(data)
        if data.letters is not None:
            return Changed(print_holds.hold_letters(context, data.letters, reason=data.reason, actor=actor))
        if data.batch is not None:
            print_holds.hold_batch(context, data.batch, reason=data.reason, actor=actor)
        else:
            assert data.printer is not None
            assert data.product is not None
            print_holds.hold_product(context, data.printer, data.product, reason=data.reason, actor=actor)
        return Changed(1)

    @post(
        "/release",
        status_code=200,
        summary="Let what was held go on",
        operation_id="releasePrint",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE, 404, 409, 413, 422),
    )
    def release(self, request: ApiRequest, data: JSONBody[ReleaseRequest]) -> Changed:
        """Letters and products go with the next run, a batch is handed over."""
        context, actor = acting(request)
        _check(data)
        if data.letters is not None:
            return Changed(print_holds.release_letters(context, data.letters, actor=actor))
        if data.batch is not None:
            print_holds.release_batch(context, data.batch, actor=actor)
        else:
            assert data.printer is not None
            assert data.product is not None
            print_holds.release_product(context, data.printer, data.product, actor=actor)
        return Changed(1)

    @post(
        "/move",
        status_code=200,
        summary="Have waiting letters printed by another print house",
        operation_id="movePrint",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE, 404, 409, 413, 422),
    )
    def move(self, request: ApiRequest, data: JSONBody[MoveRequest]) -> Changed:
        """What waits for one print house goes to another that offers the product, as far as that has room today."""
        context, actor = acting(request)
        return Changed(print_moves.move(context, data.source, data.target, product=data.product, actor=actor))

    @post(
        "/reprints",
        status_code=200,
        summary="Print letters once more",
        operation_id="reprintLetters",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE, 409, 413, 422),
    )
    def reprint(
        self, request: ApiRequest, data: JSONBody[ReprintRequest], key: OptionalKey = None
    ) -> Response[Changed]:
        """Letters that a print house had, and that did not come to an end; they go with the next run.

        One that waits to be printed again already stays as it is.
        """
        context, actor = acting(request)

        def order() -> Changed:
            return Changed(reprints.order(context, data.letters, reason=data.reason, actor=actor))

        return done_once(key, "POST /v1/print/reprints", data, context, order)

    @post(
        "/given-up",
        status_code=200,
        summary="End letters that will not be printed",
        operation_id="giveUpLetters",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE, 413, 422),
    )
    def give_up(self, request: ApiRequest, data: JSONBody[GiveUpRequest]) -> Changed:
        """Letters that a print house has and rejected, for example; evidence says so, and their senders see it."""
        context, actor = acting(request)
        return Changed(post_returned.give_up(context, data.letters, actor=actor))


def _check(data: ReleaseRequest) -> None:
    product = (data.printer is not None) + (data.product is not None)
    if (data.letters is not None) + (data.batch is not None) + (product > 0) != 1 or product == 1:
        raise Invalid("Name letters, or a batch, or a print house and its product.", code="print_choice")
