"""Pages about mandates: who may act for me, for whom I act; a code that is shown once, and revoking."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from service.domain.errors import Conflict, FieldError, Invalid
from service.domain.identifiers import RecipientKind
from service.domain.mandates import ACCEPT_DAYS, NAME_LENGTH, MandateState, Terms
from service.portal import languages
from service.portal.forms import Form
from service.portal.guards import RECIPIENT, few_codes, genuine
from service.portal.languages import N_
from service.portal.mailbox.mandate_words import MandateWording
from service.portal.mailbox.signatures import AnyRequest, reader_of, sentence
from service.portal.rendering import SEE_OTHER, Portal, see_other
from service.portal.wording import Wording
from service.usecases import access, mandates
from service.usecases.acting import Sides
from service.usecases.mandates import MandateView
from service.web.problems import kind_of

KINDS: Final = {
    RecipientKind.CITIZEN.value: N_("A person"),
    RecipientKind.ENTERPRISE.value: N_("A firm, with whoever logs in for it"),
}
OPEN: Final = (MandateState.GIVEN.value, MandateState.ACCEPTED.value)
# Where the form shows what is wrong with a field of the use case.
_FIELDS: Final = {
    "/mandatary/id": "number",
    "/mandatary/name": "name",
    "/mandatary/type": "kind",
    "/mandator/name": "own_name",
    "/last_day": "last_day",
}


_ORDER: Final = ("kind", "number", "name", "own_name", "which-some", "last_day")


@dataclass
class Filled:
    """The form as it was filled in."""

    kind: str = RecipientKind.CITIZEN.value
    number: str = field(default="", repr=False)
    name: str = field(default="", repr=False)
    own_name: str = field(default="", repr=False)
    which: str = "all"
    senders: list[str] = field(default_factory=list)
    registered: bool = False
    effect: str = "no"
    last_day: str = ""


@get("/mailbox/mandates", guards=[RECIPIENT], sync_to_thread=True)
def overview(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """Who may act for me, and for whom I act."""
    return _overview(request, portal)


@get("/mailbox/mandates/new", guards=[RECIPIENT], sync_to_thread=True)
def new(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """Ask who may act, for what, and how long."""
    return _new(request, portal, Filled())


@post("/mailbox/mandates", guards=[RECIPIENT, genuine, few_codes], status_code=200, sync_to_thread=True)
def give(request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[str]:
    """Give a mandate, and show its code: in this answer and never again."""
    filled = Filled(
        kind=form.text("kind"),
        number=form.text("number"),
        name=form.text("name"),
        own_name=form.text("own_name"),
        which=form.text("which"),
        senders=form.texts.get("sender", []),
        registered=form.text("registered") == "yes",
        effect=form.text("effect"),
        last_day=form.text("last_day"),
    )
    try:
        made = _give(request, portal, filled)
    except (Invalid, Conflict) as error:
        return _new(request, portal, filled, error)
    return portal.page(request, "mandates/code.html", mandate=made.mandate, code=made.code, days=ACCEPT_DAYS)


@post(
    "/mailbox/mandates/accept",
    guards=[RECIPIENT, genuine, few_codes],
    status_code=SEE_OTHER,
    sync_to_thread=True,
)
def accept(request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[Any]:
    """Take a mandate on, and go to the mailbox it is about."""
    try:
        taken = mandates.accept(portal.context, reader_of(request), form.text("code"))
    except Invalid as error:
        return _overview(request, portal, error)
    return see_other(request, f"/mailbox/for/{taken.id}")


@get("/mailbox/mandates/{mandate_id:str}", guards=[RECIPIENT], sync_to_thread=True)
def one(request: AnyRequest, portal: NamedDependency[Portal], mandate_id: FromPath[str]) -> Response[str]:
    """One mandate, and for whoever gave it what was done under it."""
    reader = reader_of(request)
    found = mandates.get(portal.context, reader, mandate_id)
    acts = mandates.acts(portal.context, reader, mandate_id) if found.side == "mandator" else []
    return portal.page(
        request,
        "mandates/mandate.html",
        mandate=found,
        acts=acts,
        open=found.state in OPEN,
        said=_said(request, portal),
    )


@get("/mailbox/mandates/{mandate_id:str}/revoke", guards=[RECIPIENT], sync_to_thread=True)
def ask_revoke(request: AnyRequest, portal: NamedDependency[Portal], mandate_id: FromPath[str]) -> Response[Any]:
    """Ask whether the mandate shall really end."""
    found = mandates.get(portal.context, reader_of(request), mandate_id)
    if found.state not in OPEN:
        return Redirect(f"/mailbox/mandates/{mandate_id}", status_code=SEE_OTHER)
    return portal.page(request, "mandates/revoke.html", mandate=found)


@post(
    "/mailbox/mandates/{mandate_id:str}/revoke", guards=[RECIPIENT, genuine], status_code=SEE_OTHER, sync_to_thread=True
)
def revoke(request: AnyRequest, portal: NamedDependency[Portal], mandate_id: FromPath[str]) -> Response[Any]:
    """End a mandate."""
    mandates.revoke(portal.context, reader_of(request), mandate_id)
    return see_other(request, f"/mailbox/mandates/{mandate_id}")


HANDLERS: Final = [overview, new, give, accept, one, ask_revoke, revoke]


def _give(request: AnyRequest, portal: Portal, filled: Filled) -> mandates.Given:
    person = request.user.session.person
    own = access.recipient_of(person)
    assert own is not None  # the guard saw to it
    # The two are looked at together, so that all that is wrong is told at once.
    wrong: list[FieldError] = []
    last_day, sides = None, None
    if filled.last_day:
        try:
            last_day = date.fromisoformat(filled.last_day)
        except ValueError:
            wrong.append(FieldError("/last_day", "malformed", "This is not a day."))
    if filled.which != "all" and not filled.senders:
        wrong.append(FieldError("/senders", "mandate_senders", "Choose at least one sender."))
    try:
        name = filled.own_name if _asks_name(request) else person.name.strip()[:NAME_LENGTH]
        sides = Sides(
            mandates.named(own.kind.value, own.value, name, pointer="/mandator"),
            mandates.named(filled.kind, filled.number, filled.name, pointer="/mandatary"),
        )
    except Invalid as error:
        wrong += error.errors
    if wrong or sides is None:
        raise Invalid("The mandate can't be given like this.", code="mandate_invalid", errors=wrong)
    terms = Terms(
        senders=None if filled.which == "all" else mandates.sender_ids(filled.senders),
        registered=filled.registered,
        legal_effect=filled.effect == "yes",
        last_day=last_day,
    )
    return mandates.give(portal.context, reader_of(request), sides, terms)


def _said(request: AnyRequest, portal: Portal) -> MandateWording:
    return MandateWording(languages.words(portal.visitor(request).language))


def _asks_name(request: AnyRequest) -> bool:
    """Whether the log-in says no name for whom it speaks: it names the person, not the firm they logged in for."""
    return reader_of(request).kind is not RecipientKind.CITIZEN or not request.user.session.person.name.strip()


def _overview(request: AnyRequest, portal: Portal, error: Invalid | None = None) -> Response[str]:
    reader = reader_of(request)
    given, held = mandates.given(portal.context, reader), mandates.held(portal.context, reader)
    return portal.page(
        request,
        "mandates/list.html",
        status=200 if error is None else kind_of(error).status,
        given=_sorted(given),
        held=_sorted(held),
        said=_said(request, portal),
        problem="" if error is None else sentence(request, portal, error),
    )


def _sorted(found: list[MandateView]) -> list[MandateView]:
    """Those that stand or wait first."""
    return sorted(found, key=lambda each: each.state not in OPEN)


def _new(request: AnyRequest, portal: Portal, filled: Filled, error: Invalid | Conflict | None = None) -> Response[str]:
    say = Wording(languages.words(portal.visitor(request).language))
    problems: dict[str, str] = {}
    for each in () if error is None else error.errors:
        place = _FIELDS.get(each.pointer or "", "which-some" if (each.pointer or "").startswith("/senders") else "")
        problems.setdefault(place or "number", say.field_error(each))
    general = "" if error is None or problems else say.problem(error.code, error.detail)
    return portal.page(
        request,
        "mandates/new.html",
        status=200 if error is None else kind_of(error).status,
        filled=filled,
        kinds=KINDS,
        asks_name=_asks_name(request),
        senders=mandates.senders(portal.context),
        # As they stand on the page.
        problems=dict(sorted(problems.items(), key=lambda each: _ORDER.index(each[0]))),
        general=general,
        longest=NAME_LENGTH,
    )
