"""``/v1/print``: what waits and why, what comes next, where letters are, proofs, files that a person brings."""

from dataclasses import replace
from typing import Annotated, Literal

import msgspec
from litestar import Controller, Response, get, post
from litestar.concurrency import sync_to_thread
from litestar.params import FromPath, HeaderParameter, JSONBody, QueryParameter

from printing.exchange import MOST_BYTES
from service.api.calls import ApiRequest, acting, context_of, done_once, scoped
from service.api.print_desk import Limit, Received
from service.api.uploads import UploadLimits, UploadMemory, read_whole
from service.identity.scopes import Scope
from service.usecases import access, claims, paper_choices, print_desk, print_views, print_waiting, proofs
from service.usecases.paper_choices import PaperChoices
from service.usecases.personal import PLATFORM
from service.usecases.print_desk import InboundView
from service.usecases.print_views import Coming, Holds, PrintedLetter, ProofView
from service.usecases.print_waiting import Stuck

Key = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        required=False,
        description="Required, 1–255 printable ASCII characters. The same request with the same key gets the same"
        " answer, and nothing is done again.",
    ),
]


class Waiting(msgspec.Struct, frozen=True):
    """What waits for more than its next cut-off, by reason, print house and product."""

    items: list[Stuck]


class Outlook(msgspec.Struct, frozen=True):
    """What will go at the next cut-offs, by print house and product."""

    items: list[Coming]


class ProofRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose letter is printed once to be looked at."""

    delivery: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class ProofOrdered(msgspec.Struct, frozen=True):
    """The print house that has it now, and the file's name there."""

    delivery: str
    printer: str
    file: str


class Proofs(msgspec.Struct, frozen=True):
    """Proofs of the last 90 days, newest first."""

    items: list[ProofView]


class Files(msgspec.Struct, frozen=True):
    """What came in from print houses, newest first."""

    items: list[InboundView]


class Senders(msgspec.Struct, frozen=True):
    """What each organisation wants of its letters where a delivery doesn't say."""

    items: list[PaperChoices]


class ChoicesRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What changes; what is left out stays. `default` is `return`."""

    undeliverable: Literal["return", "destroy", "default"] | None = None
    returned_mail: Literal["ask", "end"] | None = None
    share_envelopes: Literal["on", "off"] | None = None


class PrintViews(Controller):
    """What operators look at before they act, and proofs."""

    path = "/v1/print"
    tags = ("Print",)

    @get(
        "/waiting",
        summary="List what waits for more than its next cut-off",
        operation_id="listPrintWaiting",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE),
    )
    def waiting(self, request: ApiRequest) -> Waiting:
        """Why (`unprinted`: nobody offers it; `held`; `left`: nobody had room), how many, since when."""
        access.operator_of(request.auth)
        return Waiting(list(print_waiting.stuck(context_of(request))))

    @get(
        "/forecast",
        summary="Read what comes at the next cut-offs",
        operation_id="readPrintForecast",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE),
    )
    def forecast(self, request: ApiRequest) -> Outlook:
        """Letters and sheets by print house and product, and what it still takes today."""
        access.operator_of(request.auth)
        return Outlook(print_views.coming(context_of(request)))

    @get(
        "/holds",
        summary="List what is held back",
        operation_id="listPrintHolds",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE),
    )
    def holds(self, request: ApiRequest, limit: Limit = 50) -> Holds:
        """Products, batches and letters, with who holds them and why; `limit` is for the letters."""
        access.operator_of(request.auth)
        return print_views.holds(context_of(request), limit=limit)

    @get(
        "/letters/{letter:str}",
        summary="Read where a letter is",
        operation_id="readPrintLetter",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE, 422),
    )
    def letter(self, request: ApiRequest, letter: FromPath[str]) -> PrintedLetter:
        """A letter by its name in manifests: delivery and leg, such as `dlv_…-1`."""
        access.operator_of(request.auth)
        return print_views.look(context_of(request), [letter])[0]

    @get(
        "/proofs",
        summary="List proof prints",
        operation_id="listPrintProofs",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE),
    )
    def proofs(self, request: ApiRequest, limit: Limit = 50) -> Proofs:
        """Whose letter, where, who ordered it, and what the print house said of the file."""
        access.operator_of(request.auth)
        return Proofs(print_views.proofs(context_of(request), limit=limit))

    @post(
        "/proofs",
        status_code=201,
        summary="Have a letter printed once to be looked at",
        operation_id="orderPrintProof",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE, 404, 409, 413, 422),
    )
    def proof(self, request: ApiRequest, data: JSONBody[ProofRequest], key: Key = None) -> Response[ProofOrdered]:
        """Bring the newest letter of a delivery to its print house as a proof: never posted, and nothing changes."""
        context, actor = acting(request)

        def order() -> ProofOrdered:
            return ProofOrdered(data.delivery, *proofs.send(context, data.delivery, actor=actor))

        return done_once(claims.checked(key), proofs.ROUTE, data, context, order)

    @get(
        "/senders",
        summary="List what senders want of their letters",
        operation_id="listPrintSenders",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE),
    )
    def senders(self, request: ApiRequest) -> Senders:
        """What the post does with letters that can't be delivered, and what follows those that come back."""
        access.operator_of(request.auth)
        return Senders(paper_choices.listing(context_of(request)))

    @post(
        "/senders/{organisation:str}",
        status_code=200,
        summary="Choose what a sender wants of its letters",
        operation_id="choosePrintSender",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE, 404, 413, 422),
    )
    def choose(self, request: ApiRequest, organisation: FromPath[str], data: JSONBody[ChoicesRequest]) -> PaperChoices:
        """By the sender's short name, for what is handed in some seconds from now on."""
        context, actor = acting(request)
        with context.database.transaction() as session:
            return paper_choices.choose(
                session,
                organisation,
                undeliverable=data.undeliverable,
                returned_mail=data.returned_mail,
                share_envelopes=data.share_envelopes,
                actor=actor,
            )

    @get(
        "/files",
        summary="List the files that came in",
        operation_id="listPrintFiles",
        sync_to_thread=True,
        **scoped(Scope.PRINT_OPERATE),
    )
    def files(self, request: ApiRequest, limit: Limit = 50) -> Files:
        """What came from print houses, and what became of what it says."""
        access.operator_of(request.auth)
        return Files(print_desk.inbounds(context_of(request), limit=limit))

    @post(
        "/files",
        status_code=200,
        summary="Take in a file of a print house",
        operation_id="takePrintFile",
        request_max_body_size=None,  # bounded by the reader itself
        **scoped(Scope.PRINT_OPERATE, 404, 408, 413, 422),
    )
    async def file(
        self,
        request: ApiRequest,
        *,
        name: Annotated[str, QueryParameter(description="The file's name.", min_length=1, max_length=200)],
        printer: Annotated[
            str | None, QueryParameter(description="Who wrote it; may be left out where there is one print house only.")
        ] = None,
    ) -> Received:
        """The file itself is the body, of any kind that comes by itself too. The same bytes again are a repeat."""
        context, actor = acting(request)
        limits: UploadLimits = request.app.state.upload_limits
        memory: UploadMemory = request.app.state.upload_memory
        most = replace(limits, delivery_bytes=MOST_BYTES)
        async with memory.reserved(MOST_BYTES, PLATFORM):
            data = await read_whole(request, most)
            taken = await sync_to_thread(print_desk.take_in, context, printer, name, data, actor=actor)
        return Received(taken.id, taken.state, taken.code, taken.repeated, taken.effects)
