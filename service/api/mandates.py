"""``/v1/mailbox/mandates``: who may act for the reader, and for whom the reader may act."""

from datetime import date
from typing import Annotated, Literal

import msgspec
from litestar import Controller, delete, get, post
from litestar.params import FromPath, JSONBody

from service.api.calls import ACTING_FOR, ApiRequest, context_of, reader, scoped
from service.api.mailbox import few_codes
from service.domain.mandates import MOST_SENDERS, Terms
from service.identity.scopes import Scope
from service.usecases import mandates
from service.usecases.acting import Sides
from service.usecases.mandates import MandateActView, MandateView, SenderView


class MandateParty(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody by number and name: the one who gives, in their own name."""

    id: Annotated[str, msgspec.Meta(max_length=64)]
    name: Annotated[str, msgspec.Meta(max_length=200)]


class MandateHolder(MandateParty, frozen=True, forbid_unknown_fields=True):
    """Who is to act: a person, or a firm or administration with whoever logs in for it."""

    type: Literal["citizen", "enterprise", "administration"]


class MandateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mandate to be given.

    ``senders`` are ids of organisations, null for all; ``legal_effect`` lets what is done count as the mandator's own
    act (open, accept, refuse), without it the mandate is for reading; ``last_day`` counts in, in Brussels, null for
    until it is revoked.
    """

    mandator: MandateParty
    mandatary: MandateHolder
    senders: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MOST_SENDERS)] | None = None
    registered: bool = False
    legal_effect: bool = False
    last_day: date | None = None


class MandateCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The code that the mandator handed over; spaces, hyphens and small letters are fine."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class MandateGiven(msgspec.Struct, frozen=True):
    """A mandate that waits for its code. The code is shown this once: hand it over by a way of your own."""

    mandate: MandateView
    code: str


class MandateList(msgspec.Struct, frozen=True):
    """Mandates, newest first."""

    items: list[MandateView]
    next_cursor: str | None = None


class MandateActs(msgspec.Struct, frozen=True):
    """What was done to a mandate and under it, newest first."""

    items: list[MandateActView]
    next_cursor: str | None = None


class MandateSenders(msgspec.Struct, frozen=True):
    """Organisations that send mail here, by name."""

    items: list[SenderView]
    next_cursor: str | None = None


class Mandates(Controller):
    """Mandates of the reader; others' do not exist."""

    path = "/v1/mailbox/mandates"
    tags = ("Mandates",)

    @post(
        status_code=201,
        summary="Give a mandate",
        operation_id="giveMandate",
        response_description="Given: hand the code over. It is good for 14 days and shown this once.",
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_WRITE, 409, 413, 422, further=[few_codes]),
    )
    def give(self, request: ApiRequest, data: JSONBody[MandateRequest]) -> MandateGiven:
        """Let somebody act for the reader once they have entered the code.

        Takes no Idempotency-Key: the answer's code is kept nowhere. Whoever loses the answer revokes and gives anew.
        """
        who = reader(request)
        holder = data.mandatary
        sides = Sides(
            mandates.named(who.kind.value, data.mandator.id, data.mandator.name, pointer="/mandator"),
            mandates.named(holder.type, holder.id, holder.name, pointer="/mandatary"),
        )
        terms = Terms(
            senders=None if data.senders is None else mandates.sender_ids(data.senders),
            registered=data.registered,
            legal_effect=data.legal_effect,
            last_day=data.last_day,
        )
        made = mandates.give(context_of(request), who, sides, terms)
        return MandateGiven(made.mandate, made.code)

    @post(
        "/accept",
        status_code=200,
        summary="Accept a mandate with its code",
        operation_id="acceptMandate",
        response_description="Accepted: send its id as `Zending-Acting-For` with calls to the mailbox.",
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_WRITE, 413, 422, further=[few_codes]),
    )
    def accept(self, request: ApiRequest, data: JSONBody[MandateCode]) -> MandateView:
        """Take on what somebody gave to the reader. Wrong codes count: after five, what waits is worth nothing."""
        return mandates.accept(context_of(request), reader(request), data.code)

    @get(
        "/given",
        summary="List who may act for the reader",
        operation_id="listGivenMandates",
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_READ),
    )
    def given(self, request: ApiRequest) -> MandateList:
        """Show the newest hundred that the reader gave, also those that are over."""
        return MandateList(mandates.given(context_of(request), reader(request)))

    @get(
        "/held",
        summary="List for whom the reader may act",
        operation_id="listHeldMandates",
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_READ),
    )
    def held(self, request: ApiRequest) -> MandateList:
        """Show the newest hundred that the reader accepted, also those that are over."""
        return MandateList(mandates.held(context_of(request), reader(request)))

    @get(
        "/senders",
        summary="List the organisations that a mandate may be about",
        operation_id="listMandateSenders",
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_READ),
    )
    def senders(self, request: ApiRequest) -> MandateSenders:
        """Show ids and names."""
        return MandateSenders(mandates.senders(context_of(request)))

    @get(
        "/{mandate_id:str}",
        summary="Read a mandate",
        operation_id="readMandate",
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_READ, 404),
    )
    def read(self, request: ApiRequest, mandate_id: FromPath[str]) -> MandateView:
        """Show one mandate to either of its sides."""
        return mandates.get(context_of(request), reader(request), mandate_id)

    @get(
        "/{mandate_id:str}/acts",
        summary="List what was done under a mandate",
        operation_id="listMandateActs",
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_READ, 404),
    )
    def acts(self, request: ApiRequest, mandate_id: FromPath[str]) -> MandateActs:
        """Show the newest hundred acts to whoever gave the mandate."""
        return MandateActs(mandates.acts(context_of(request), reader(request), mandate_id))

    @delete(
        "/{mandate_id:str}",
        status_code=200,
        summary="Revoke a mandate, or give it back",
        operation_id="revokeMandate",
        response_description="Over, from this moment on.",
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_WRITE, 404),
    )
    def revoke(self, request: ApiRequest, mandate_id: FromPath[str]) -> MandateView:
        """End a mandate at once; safe to repeat."""
        return mandates.revoke(context_of(request), reader(request), mandate_id)


def add_acting_for(plain: dict[str, object]) -> None:
    """Describe the header by which calls to the mailbox are about somebody else's."""
    header = {
        "name": ACTING_FOR,
        "in": "header",
        "required": False,
        "description": "Id of a mandate that the reader holds: the call is about the mailbox of whoever gave it, as far"
        " as the mandate goes. It is asked at each call, so a mandate that was revoked has no effect from then on (403,"
        " `mandate_over`).",
        "schema": {"type": "string", "pattern": "^mdt_[0-9a-f]{32}$"},
    }
    paths = plain["paths"]
    assert isinstance(paths, dict)
    for path, operations in paths.items():
        if path.startswith("/v1/mailbox/messages"):
            for operation in operations.values():
                operation.setdefault("parameters", []).append(header)
