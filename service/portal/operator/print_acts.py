"""The operators' acts on print: hold and release, close, move, print again, take out, give up, proofs.

Each is asked about on a page of its own before it is done; see ``print_pages.ask``.
"""

import re
import uuid
from collections.abc import Callable
from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from service.domain.errors import IdempotencyRunning, Invalid, NotFound
from service.portal.forms import Form
from service.portal.guards import OPERATOR, genuine
from service.portal.operator.print_pages import (
    CONFIRMED,
    HOME,
    REFUSED,
    AnyRequest,
    Question,
    actor,
    ask,
    done,
    page,
)
from service.portal.print_words import ACTS
from service.portal.rendering import SEE_OTHER, Portal
from service.usecases import (
    claims,
    post_pulls,
    post_returned,
    print_desk,
    print_holds,
    print_moves,
    print_runs,
    print_views,
    print_waiting,
    proofs,
    reprints,
)
from service.usecases.context import Context

SHOWN: Final = 50
LETTERS, WAITING, PROOFS, CLOSE, MOVE = (f"{HOME}/{name}" for name in ("letters", "waiting", "proofs", "close", "move"))

_DO: Final[dict[str, Callable[[Context, list[str], str, str], int]]] = {
    "hold": lambda context, names, reason, by: print_holds.hold_letters(context, names, reason=reason, actor=by),
    "release": lambda context, names, _, by: print_holds.release_letters(context, names, actor=by),
    "reprint": lambda context, names, reason, by: reprints.order(context, names, reason=reason, actor=by),
    "pull": lambda context, names, reason, by: post_pulls.order(context, names, reason=reason, actor=by),
    "give-up": lambda context, names, _, by: post_returned.give_up(context, names, actor=by),
}


# ---------------------------------------------------------------- single letters
@get("/operator/print/letters", guards=[OPERATOR], sync_to_thread=True)
def letters(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """Name letters and say what to do with them; the newest pull lists."""
    given = {"letters": request.query_params.get("letter", ""), "act": request.query_params.get("act", "")}
    return _letters_page(request, portal, given)


@post("/operator/print/letters", guards=[OPERATOR, genuine], status_code=200, sync_to_thread=True)
def act(request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[Any]:
    """Ask whether it shall really be done to these letters; once that is confirmed, do it."""
    name, reason = form.text("act"), form.text("reason")
    names = list(dict.fromkeys(re.split(r"[\s,;]+", form.text("letters"))) if form.text("letters") else [])
    given = {"letters": "\n".join(names), "act": name}
    try:
        if name not in ACTS:
            raise Invalid("Choose what to do.", code="act_missing")
        if not names:
            raise Invalid("Name letters.", code="letter_unknown")
        found = print_views.look(portal.context, names)
    except REFUSED as error:
        return _letters_page(request, portal, given, error)
    question = Question(name, LETTERS, LETTERS, hidden=tuple(given.items()), letters=found, reason=reason)
    if not form.text(CONFIRMED):
        return ask(request, portal, question)
    try:
        count = _DO[name](portal.context, names, reason, actor(request, portal))
    except REFUSED as error:
        return ask(request, portal, question, error)
    return done(request, LETTERS, name, count)


# ---------------------------------------------------------------- what waits
@get("/operator/print/waiting", guards=[OPERATOR], sync_to_thread=True)
def waiting(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """What comes at the next cut-offs, what waits for longer and why, what is held."""
    return _waiting_page(request, portal, {})


@get("/operator/print/close", guards=[OPERATOR], sync_to_thread=True)
def ask_close(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """Ask whether what waits shall be closed now: all, or what goes to one print house as one product."""
    chosen = {name: request.query_params.get(name, "") for name in ("printer", "product")}
    return ask(request, portal, _closing(chosen))


@post("/operator/print/close", guards=[OPERATOR, genuine], status_code=SEE_OTHER, sync_to_thread=True)
def close(request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[Any]:
    """Freeze it, before its cut-off."""
    chosen = {name: form.text(name) for name in ("printer", "product")}
    try:
        count = print_runs.close(
            portal.context,
            actor=actor(request, portal),
            printer=chosen["printer"] or None,
            product=chosen["product"] or None,
        )
    except REFUSED as error:
        return ask(request, portal, _closing(chosen), error)
    return done(request, HOME, "close", count)


@post("/operator/print/move", guards=[OPERATOR, genuine], status_code=200, sync_to_thread=True)
def move(request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[Any]:
    """Ask whether what waits for one print house shall go to another; once that is confirmed, have it go there."""
    given = {name: form.text(name) for name in ("source", "target", "product")}
    about = f"{given['source']} → {given['target']} · {given['product'] or '*'}"
    question = Question("move", MOVE, WAITING, about, tuple(given.items()))
    try:
        print_moves.check(portal.context, given["source"], given["target"], product=given["product"] or None)
        if not form.text(CONFIRMED):
            return ask(request, portal, question)
        count = print_moves.move(
            portal.context,
            given["source"],
            given["target"],
            product=given["product"] or None,
            actor=actor(request, portal),
        )
    except REFUSED as error:
        return _waiting_page(request, portal, given, error)
    return done(request, WAITING, "move", count)


@get("/operator/print/products/{printer:str}/{product:str}/{what:str}", guards=[OPERATOR], sync_to_thread=True)
def ask_product(
    request: AnyRequest,
    portal: NamedDependency[Portal],
    printer: FromPath[str],
    product: FromPath[str],
    what: FromPath[str],
) -> Response[str]:
    """Ask whether a product shall be held back, or go on."""
    return ask(request, portal, _of_product(printer, product, what))


@post(
    "/operator/print/products/{printer:str}/{product:str}/{what:str}",
    guards=[OPERATOR, genuine],
    status_code=SEE_OTHER,
    sync_to_thread=True,
)
def hold_product(
    request: AnyRequest,
    portal: NamedDependency[Portal],
    form: NamedDependency[Form],
    printer: FromPath[str],
    product: FromPath[str],
    what: FromPath[str],
) -> Response[Any]:
    """Hold a product back, or let it go on."""
    question = _of_product(printer, product, what, form.text("reason"))
    by = actor(request, portal)
    try:
        if what == "hold":
            print_holds.hold_product(portal.context, printer, product, reason=form.text("reason"), actor=by)
        else:
            print_holds.release_product(portal.context, printer, product, actor=by)
    except REFUSED as error:
        return ask(request, portal, question, error)
    return done(request, WAITING, question.act)


# ---------------------------------------------------------------- batches
@get("/operator/print/{number:int}/{what:str}", guards=[OPERATOR], sync_to_thread=True)
def ask_batch(
    request: AnyRequest, portal: NamedDependency[Portal], number: FromPath[int], what: FromPath[str]
) -> Response[str]:
    """Ask whether a batch shall be held back, or go on."""
    return ask(request, portal, _of_batch(number, what))


@post("/operator/print/{number:int}/{what:str}", guards=[OPERATOR, genuine], status_code=SEE_OTHER, sync_to_thread=True)
def hold_batch(
    request: AnyRequest,
    portal: NamedDependency[Portal],
    form: NamedDependency[Form],
    number: FromPath[int],
    what: FromPath[str],
) -> Response[Any]:
    """Hold a batch back, or let it go on."""
    question = _of_batch(number, what, form.text("reason"))
    by = actor(request, portal)
    try:
        if what == "hold":
            print_holds.hold_batch(portal.context, number, reason=form.text("reason"), actor=by)
        else:
            print_holds.release_batch(portal.context, number, actor=by)
    except REFUSED as error:
        return ask(request, portal, question, error)
    return done(request, f"{HOME}/{number}", question.act)


# ---------------------------------------------------------------- proofs
@get("/operator/print/proofs", guards=[OPERATOR], sync_to_thread=True)
def proofed(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """The newest proofs, and a form to order one."""
    return _proofs_page(request, portal, request.query_params.get("delivery", ""))


@post("/operator/print/proofs", guards=[OPERATOR, genuine], status_code=200, sync_to_thread=True)
def proof(request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[Any]:
    """Ask whether a proof of this delivery's letter shall be printed; once that is confirmed, order it."""
    delivery = form.text("delivery")
    try:
        if not (form.text(CONFIRMED) and form.text("key")):
            proofs.check(portal.context, delivery)
            hidden = (("delivery", delivery), ("key", uuid.uuid4().hex))
            return ask(request, portal, Question("proof", PROOFS, PROOFS, delivery, hidden))
        # A button that is pressed twice orders one.
        by = actor(request, portal)
        claims.once(
            portal.context,
            proofs.ROUTE,
            form.text("key"),
            {"delivery": delivery},
            lambda: proofs.send(portal.context, delivery, actor=by),
        )
    except IdempotencyRunning:
        # What becomes of the first press is not known yet: its proof stands in the list, acknowledged or not.
        return done(request, PROOFS, "proof_running")
    except REFUSED as error:
        return _proofs_page(request, portal, delivery, error)
    return done(request, PROOFS, "proof")


HANDLERS: Final = [
    letters, act, waiting, ask_close, close, move, ask_product, hold_product, ask_batch, hold_batch, proofed, proof,
]  # fmt: skip


def _letters_page(request: AnyRequest, portal: Portal, given: dict[str, str], error: Any = None) -> Response[str]:
    pulls = print_desk.pulls(portal.context, limit=SHOWN)
    return page(request, portal, "operator/print_letters.html", error, given=given, acts=ACTS, pulls=pulls)


def _waiting_page(request: AnyRequest, portal: Portal, given: dict[str, str], error: Any = None) -> Response[str]:
    context = portal.context
    return page(
        request,
        portal,
        "operator/print_waiting.html",
        error,
        coming=print_views.coming(context),
        stuck=print_waiting.stuck(context),
        holds=print_views.holds(context, limit=SHOWN),
        printers=sorted(context.printers),
        products=sorted({product for printer in context.printers.values() for product in printer.products}),
        given=given,
    )


def _proofs_page(request: AnyRequest, portal: Portal, delivery: str, error: Any = None) -> Response[str]:
    found = print_views.proofs(portal.context, limit=SHOWN)
    return page(request, portal, "operator/print_proofs.html", error, proofs=found, delivery=delivery)


def _closing(chosen: dict[str, str]) -> Question:
    about = " · ".join(each for each in chosen.values() if each)
    return Question("close", CLOSE, WAITING, about, tuple(chosen.items()))


def _of_product(printer: str, product: str, what: str, reason: str = "") -> Question:
    place = f"{HOME}/products/{printer}/{product}/{_known(what)}"
    return Question(f"{what}_product", place, WAITING, f"{printer} · {product}", reason=reason)


def _of_batch(number: int, what: str, reason: str = "") -> Question:
    place = f"{HOME}/{number}"
    return Question(f"{_known(what)}_batch", f"{place}/{what}", place, str(number), reason=reason)


def _known(what: str) -> str:
    if what not in {"hold", "release"}:
        raise NotFound
    return what
