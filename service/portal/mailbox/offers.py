"""Registered mail that waits for an answer: what each answer means, the question once more, and what became of it."""

from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from service.domain.errors import Conflict
from service.portal import languages
from service.portal.guards import RECIPIENT, genuine
from service.portal.mailbox.places import AnyRequest, base, page, reader_of
from service.portal.rendering import SEE_OTHER, Portal, see_other
from service.portal.wording import Wording
from service.usecases import legal_bases, mailbox, mailbox_timeline, registered
from service.usecases.views import MessageView

CLOSED: Final = frozenset({"offered", "refused", "expired"})
"""States in which nothing of subject or content is told."""
_GONE: Final = "offer_withdrawn"


def offer_page(request: AnyRequest, portal: Portal, message: MessageView) -> Response[str]:
    """An offer with what each answer means; one that was answered otherwise, or not, as a record."""
    waits = message.state == "offered"
    reader = reader_of(request)
    return page(
        request,
        portal,
        "mailbox/offer.html",
        message=message,
        timeline=[] if waits else mailbox_timeline.timeline(portal.context, reader, message.id),
        # Evidence names the sender: where that is kept back, so is the evidence.
        proofs=[] if waits or not message.sender else mailbox.evidence_list(portal.context, reader, message.id),
        basis=legal_bases.named(portal.context, message.legal_basis),
    )


@get("/messages/{delivery_id:str}/accept", guards=[RECIPIENT], sync_to_thread=True)
def ask_accept(request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str]) -> Response[Any]:
    """Ask whether the registered mail shall really be accepted."""
    return _question(request, portal, delivery_id, "accept")


@get("/messages/{delivery_id:str}/refuse", guards=[RECIPIENT], sync_to_thread=True)
def ask_refuse(request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str]) -> Response[Any]:
    """Ask whether the registered mail shall really be refused."""
    return _question(request, portal, delivery_id, "refuse")


@post(
    "/messages/{delivery_id:str}/accept",
    guards=[RECIPIENT, genuine],
    status_code=SEE_OTHER,
    sync_to_thread=True,
)
def accept(request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str]) -> Response[Any]:
    """Accept registered mail."""
    try:
        registered.accept(portal.context, reader_of(request), delivery_id)
    except Conflict as error:
        return _lost(request, portal, delivery_id, error)
    return see_other(request, f"{base(request)}/messages/{delivery_id}")


@post(
    "/messages/{delivery_id:str}/refuse",
    guards=[RECIPIENT, genuine],
    status_code=SEE_OTHER,
    sync_to_thread=True,
)
def refuse(request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str]) -> Response[Any]:
    """Refuse registered mail."""
    try:
        registered.refuse(portal.context, reader_of(request), delivery_id)
    except Conflict as error:
        return _lost(request, portal, delivery_id, error)
    return see_other(request, f"{base(request)}/messages/{delivery_id}")


HANDLERS: Final = [ask_accept, ask_refuse, accept, refuse]


def _question(request: AnyRequest, portal: Portal, delivery_id: str, answer: str) -> Response[Any]:
    found = mailbox.message(portal.context, reader_of(request), delivery_id)
    if found.state != "offered":
        return Redirect(f"{base(request)}/messages/{delivery_id}", status_code=SEE_OTHER)
    return page(request, portal, "mailbox/answer.html", message=found, answer=answer)


def _lost(request: AnyRequest, portal: Portal, delivery_id: str, error: Conflict) -> Response[str]:
    """What came before this answer."""
    say = Wording(languages.words(portal.visitor(request).language))
    reason = say.problem(error.code, error.detail)
    there = error.code != _GONE
    return page(
        request, portal, "mailbox/answer_lost.html", status=409, reason=reason, there=there, delivery_id=delivery_id
    )
