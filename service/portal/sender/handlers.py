"""The clerk's pages."""

from collections import defaultdict
from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Stream

from service.db.deliveries import Filters
from service.domain.evidence import WITHDRAWAL_REASONS
from service.domain.identifiers import NumberInvalid, RecipientId, RecipientKind
from service.portal import languages, states, wording
from service.portal.forms import MARGIN, Form
from service.portal.guards import CLERK, genuine
from service.portal.paper_words import PaperWords
from service.portal.rendering import SEE_OTHER, Portal, bundle_response, file_response, json_response, see_other
from service.portal.sender import letters, paper, prospects, sending
from service.portal.sender.sending import AnyRequest, form_page, seat_of
from service.portal.visitors import FORM_LIMIT, PASSIVE
from service.usecases import access, deliveries, legal_bases, policies
from service.usecases import paper as papers

PER_PAGE: Final = 20
NO_CONTENT: Final = 204
STOP_POLLING: Final = 286
"""What tells htmx to show this and ask no more."""
CANCELLABLE: Final = frozenset({"received", "sealed", "to_print"})


@get("/letters", guards=[CLERK], sync_to_thread=True)
def overview(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """The newest letters of the organisation, or those that are searched for."""
    asked = request.query_params
    status = asked.get("status") if asked.get("status") in states.STATUS else None
    reference = (asked.get("reference") or "").strip() or None
    page = deliveries.list_page(
        portal.context,
        seat_of(request).organisation_id,
        Filters(status=status, reference=reference),
        cursor=asked.get("after") or None,
        limit=PER_PAGE,
    )
    return portal.page(
        request,
        "sender/letters.html",
        page=page,
        wanted=status or "",
        reference=reference or "",
        statuses=list(states.STATUS),
        first=not asked.get("after"),
    )


@get("/letters/new", guards=[CLERK], sync_to_thread=True)
def new_letter(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """An empty form."""
    return form_page(request, portal, letters.blank(portal.visitor(request).language))


@post(
    "/letters/number",
    guards=[CLERK, genuine],
    status_code=200,
    sync_to_thread=False,
)
def check_number(request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[str]:
    """Say at once whether a number can be one; nothing is looked up, so nothing is told about anybody."""
    kind, text = form.text("kind"), form.text("number")
    code = ""
    if text and kind in letters.NUMBER_LABELS:
        try:
            RecipientId.parse(RecipientKind(kind), text)
        except NumberInvalid as error:
            code = error.code
    return portal.page(
        request, "sender/number.html", code=code, label=letters.NUMBER_LABELS.get(kind, ""), given=bool(text)
    )


@post("/letters/sending", guards=[CLERK, genuine], status_code=200, sync_to_thread=True)
def what_happens(request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[str]:
    """What can be chosen for this kind of document, and what will happen then; nothing is sent, nobody looked up."""
    values = letters.texts(form)
    known = policies.of_sender(portal.context, seat_of(request).organisation_id)
    choice = prospects.choice(portal.context, known, values)
    return portal.page(request, "sender/prospect_again.html", choice=choice, v=values, wrong=defaultdict(str))


def send_letter(request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[Any]:
    """Hand the letter in, by the same use case as programs do."""
    return sending.send(request, portal, form)


@get("/letters/{delivery_id:str}/sent", guards=[CLERK], sync_to_thread=True)
def sent(request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str]) -> Response[str]:
    """Confirm that the letter is taken, and say what happens now."""
    delivery = deliveries.get(portal.context, seat_of(request).organisation_id, delivery_id)
    return portal.page(request, "sender/sent.html", delivery=delivery)


@get("/letters/{delivery_id:str}", guards=[CLERK], sync_to_thread=True)
def letter(request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str]) -> Response[str]:
    """One letter: where it is, what happened, its documents and the proof."""
    return portal.page(request, "sender/letter.html", too_late=False, **_whole(request, portal, delivery_id))


@get("/letters/{delivery_id:str}/progress", guards=[CLERK], opt={PASSIVE: True}, sync_to_thread=True)
def progress(request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str]) -> Response[Any]:
    """The part of a letter's page that changes; nothing when it has not, and the last one says so."""
    values = _whole(request, portal, delivery_id)
    if values["moving"] and request.query_params.get("seen") == values["seen"]:
        return Response(b"", status_code=NO_CONTENT, headers={"Cache-Control": "no-store"})
    status = 200 if values["moving"] else STOP_POLLING
    return portal.page(request, "sender/progress.html", status=status, **values)


@get("/letters/{delivery_id:str}/documents/{position:int}", guards=[CLERK], sync_to_thread=True)
def document(
    request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str], position: FromPath[int]
) -> Response[bytes]:
    """A sealed document, to keep."""
    file = deliveries.document(portal.context, seat_of(request).organisation_id, delivery_id, position)
    return file_response(file, download=True)


@get("/letters/{delivery_id:str}/evidence/{evidence_id:str}", guards=[CLERK], sync_to_thread=True)
def evidence(
    request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str], evidence_id: FromPath[str]
) -> Response[bytes]:
    """One evidence with its proof, to keep."""
    found = deliveries.evidence_one(portal.context, seat_of(request).organisation_id, delivery_id, evidence_id)
    return json_response(msgspec.json.encode(found), f"{evidence_id}.json")


@get("/letters/{delivery_id:str}/bundle", guards=[CLERK], sync_to_thread=True)
def bundle(request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str]) -> Stream:
    """All that proves a letter in one file, to keep."""
    return bundle_response(deliveries.bundle(portal.context, seat_of(request).organisation_id, delivery_id))


@get("/letters/{delivery_id:str}/cancel", guards=[CLERK], sync_to_thread=True)
def ask_cancel(request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str]) -> Response[Any]:
    """Ask whether the letter shall really be taken back."""
    delivery = deliveries.get(portal.context, seat_of(request).organisation_id, delivery_id)
    if delivery.status not in CANCELLABLE:
        return Redirect(f"/letters/{delivery_id}", status_code=SEE_OTHER)
    return portal.page(request, "sender/cancel.html", delivery=delivery)


@post("/letters/{delivery_id:str}/cancel", guards=[CLERK, genuine], status_code=SEE_OTHER, sync_to_thread=True)
def cancel(request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str]) -> Response[Any]:
    """Take the letter back, while nobody has it."""
    deliveries.cancel(portal.context, seat_of(request).organisation_id, delivery_id)
    return see_other(request, f"/letters/{delivery_id}")


@get("/letters/{delivery_id:str}/withdraw", guards=[CLERK], sync_to_thread=True)
def ask_withdraw(request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str]) -> Response[Any]:
    """Ask why what lies in a mailbox, unopened, shall be taken back."""
    return _withdrawing(request, portal, delivery_id)


@post("/letters/{delivery_id:str}/withdraw", guards=[CLERK, genuine], status_code=200, sync_to_thread=True)
def withdraw(
    request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form], delivery_id: FromPath[str]
) -> Response[Any]:
    """Take it back, while nobody opened it; evidence says why, and how who did it logged in."""
    reason = form.text("reason")
    if reason not in WITHDRAWAL_REASONS:
        return _withdrawing(request, portal, delivery_id, problem=True)
    seat = seat_of(request)
    session = request.user.session
    assert session is not None  # the guard saw to it
    by = access.identification(session.person)
    deliveries.withdraw(portal.context, seat.organisation_id, delivery_id, reason, by=by)
    return see_other(request, f"/letters/{delivery_id}")


def _withdrawing(request: AnyRequest, portal: Portal, delivery_id: str, *, problem: bool = False) -> Response[Any]:
    organisation = seat_of(request).organisation_id
    delivery = deliveries.get(portal.context, organisation, delivery_id)
    if not deliveries.standing(portal.context, organisation, delivery_id).withdrawable:
        return Redirect(f"/letters/{delivery_id}", status_code=SEE_OTHER)
    reasons = [(code, text) for code, text in wording.REASONS.items() if code in WITHDRAWAL_REASONS]
    return portal.page(request, "sender/withdraw.html", delivery=delivery, reasons=reasons, problem=problem)


def handlers(portal: Portal) -> list[Any]:
    """All of them; the form of a letter takes as much as a delivery may have."""
    limit = portal.context.limits.delivery_bytes + MARGIN
    send = post(
        "/letters/new",
        guards=[CLERK, genuine],
        opt={FORM_LIMIT: limit},
        request_max_body_size=None,
        status_code=SEE_OTHER,
        sync_to_thread=True,
    )(send_letter)
    return [
        overview, new_letter, check_number, what_happens, send, sent, letter, progress, document, evidence, bundle,
        ask_cancel, cancel, ask_withdraw, withdraw, *paper.HANDLERS,
    ]  # fmt: skip


def _whole(request: AnyRequest, portal: Portal, delivery_id: str) -> dict[str, Any]:
    organisation = seat_of(request).organisation_id
    delivery = deliveries.get(portal.context, organisation, delivery_id)
    timeline = deliveries.timeline(portal.context, organisation, delivery_id)
    proofs = deliveries.evidence_list(portal.context, organisation, delivery_id)
    unpublished = sum(not each.published for each in proofs)
    standing = deliveries.standing(portal.context, organisation, delivery_id)
    on_paper = papers.of(portal.context, organisation, delivery_id)
    tone = states.STATUS[delivery.status].tone if delivery.status in states.STATUS else "going"
    return {
        "delivery": delivery,
        "basis": legal_bases.named(portal.context, delivery.legal_basis),
        "timeline": timeline,
        "proofs": proofs,
        "sealed": delivery.status not in {"received", "rejected"} and bool(proofs),
        "moving": tone in {"going", "waiting"} or unpublished > 0,
        "quick": tone == "going" or unpublished > 0,
        "seen": f"{delivery.status}.{len(timeline)}.{len(proofs)}.{unpublished}",
        "cancellable": delivery.status in CANCELLABLE,
        "withdrawable": standing.withdrawable and delivery.status not in CANCELLABLE,
        "answer_until": standing.answer_until,
        "papers": on_paper,
        "paper_words": PaperWords(languages.words(portal.visitor(request).language)),
    }
