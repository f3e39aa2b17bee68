"""The recipient's pages. Looking opens nothing; opening is a button of its own.

Below ``/mailbox/for/<mandate>`` they are about the mailbox of somebody who gave that mandate to whoever asks: the
address says for whom, in each tab for itself, and each page says so at its top.
"""

from typing import Any, Final

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Stream
from litestar.types import ControllerRouterHandler

from service.domain.errors import Conflict, Invalid, NotFound, QuotaExceeded, Retryable
from service.portal import languages
from service.portal.forms import Form
from service.portal.guards import RECIPIENT, few_codes, genuine
from service.portal.mailbox import offers
from service.portal.mailbox.places import base, page, reader_of
from service.portal.rendering import SEE_OTHER, Portal, bundle_response, file_response, json_response, see_other
from service.portal.wording import Wording
from service.usecases import activation, legal_bases, mailbox, mailbox_timeline
from service.usecases.views import ActivationView, MessageView
from service.web.problems import kind_of

PER_PAGE: Final = 20

AnyRequest = Request[Any, Any, Any]


@get("/", guards=[RECIPIENT], sync_to_thread=True)
def overview(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """The messages, newest first."""
    reader, after = reader_of(request), request.query_params.get("after") or None
    shown = mailbox.messages(portal.context, reader, cursor=after, limit=PER_PAGE)
    # Whether and where mail comes digitally is no business of who acts for another.
    state = activation.state(portal.context, reader) if reader.acting_for is None else None
    return page(request, portal, "mailbox/messages.html", page=shown, state=state, first=after is None)


@get("/messages/{delivery_id:str}", guards=[RECIPIENT], sync_to_thread=True)
def message(request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str]) -> Response[str]:
    """One message: its envelope, and its documents once it is opened."""
    reader = reader_of(request)
    found = mailbox.message(portal.context, reader, delivery_id)
    if found.state in offers.CLOSED:
        return offers.offer_page(request, portal, found)
    proofs = mailbox.evidence_list(portal.context, reader, delivery_id) if found.opened_at else []
    timeline = mailbox_timeline.timeline(portal.context, reader, delivery_id) if found.registered else []
    basis = legal_bases.named(portal.context, found.legal_basis)
    return page(request, portal, "mailbox/message.html", message=found, proofs=proofs, timeline=timeline, basis=basis)


@post(
    "/messages/{delivery_id:str}/open",
    guards=[RECIPIENT, genuine],
    status_code=SEE_OTHER,
    sync_to_thread=True,
)
def open_message(request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str]) -> Response[Any]:
    """Open a message."""
    mailbox.open_message(portal.context, reader_of(request), delivery_id)
    return see_other(request, f"{base(request)}/messages/{delivery_id}")


@get("/messages/{delivery_id:str}/read/{position:int}", guards=[RECIPIENT], sync_to_thread=True)
def read(
    request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str], position: FromPath[int]
) -> Response[Any]:
    """A document within a page of ours, shown by the browser's own viewer."""
    found = mailbox.message(portal.context, reader_of(request), delivery_id)
    if found.opened_at is None:
        return Redirect(f"{base(request)}/messages/{delivery_id}", status_code=SEE_OTHER)
    _existing(found, position)
    return page(request, portal, "mailbox/read.html", message=found, position=position)


@get("/messages/{delivery_id:str}/documents/{position:int}", guards=[RECIPIENT], sync_to_thread=True)
def document(
    request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str], position: FromPath[int]
) -> Response[bytes]:
    """A document of an opened message, to be shown."""
    return file_response(mailbox.document(portal.context, reader_of(request), delivery_id, position), download=False)


@get("/messages/{delivery_id:str}/documents/{position:int}/download", guards=[RECIPIENT], sync_to_thread=True)
def download(
    request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str], position: FromPath[int]
) -> Response[bytes]:
    """A document of an opened message, to keep."""
    return file_response(mailbox.document(portal.context, reader_of(request), delivery_id, position), download=True)


@get("/messages/{delivery_id:str}/evidence/{evidence_id:str}", guards=[RECIPIENT], sync_to_thread=True)
def evidence(
    request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str], evidence_id: FromPath[str]
) -> Response[bytes]:
    """One evidence of a message with its proof, to keep."""
    found = mailbox.evidence_one(portal.context, reader_of(request), delivery_id, evidence_id)
    return json_response(msgspec.json.encode(found), f"{evidence_id}.json")


@get("/messages/{delivery_id:str}/bundle", guards=[RECIPIENT], sync_to_thread=True)
def bundle(request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str]) -> Stream:
    """All that proves an opened message in one file, to keep."""
    return bundle_response(mailbox.bundle(portal.context, reader_of(request), delivery_id))


@get("/mailbox/activation", guards=[RECIPIENT], sync_to_thread=True)
def settings(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """Whether mail comes digitally, and how to change that."""
    return _settings_page(request, portal, email="", language=portal.visitor(request).language)


@post("/mailbox/activation", guards=[RECIPIENT, genuine, few_codes], status_code=SEE_OTHER, sync_to_thread=True)
def begin(request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[Any]:
    """Send a code to the e-mail address."""
    email, language, invitation = form.text("email"), form.text("language"), form.text("invitation")
    try:
        activation.begin(portal.context, reader_of(request), email, language, invitation=invitation)
    except (Invalid, Conflict, QuotaExceeded, Retryable) as error:
        return _settings_page(request, portal, email=email, language=language, invitation=invitation, error=error)
    return see_other(request, "/mailbox/activation/code")


@get("/mailbox/activation/code", guards=[RECIPIENT], sync_to_thread=True)
def enter_code(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[Any]:
    """Ask for the code and the consent."""
    return _code_page(request, portal)


@post("/mailbox/activation/code", guards=[RECIPIENT, genuine, few_codes], status_code=SEE_OTHER, sync_to_thread=True)
def confirm(request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[Any]:
    """Activate the mailbox."""
    version = form.text("consent_version")
    agreed = form.text("consent") == "yes"
    if not agreed or not form.text("code"):
        return _code_page(request, portal, agreed=agreed, code_missing=not form.text("code"))
    try:
        activation.confirm(portal.context, reader_of(request), form.text("code"), consent_version=version)
    except (Invalid, Conflict) as error:
        return _code_page(request, portal, agreed=agreed, error=error)
    return see_other(request, "/mailbox/activation")


@get("/mailbox/activation/stop", guards=[RECIPIENT], sync_to_thread=True)
def ask_stop(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[Any]:
    """Ask whether mail shall really come on paper again."""
    state = activation.state(portal.context, reader_of(request))
    if not state.active:
        return Redirect("/mailbox/activation", status_code=SEE_OTHER)
    return portal.page(request, "mailbox/stop.html", state=state)


@post("/mailbox/activation/stop", guards=[RECIPIENT, genuine], status_code=SEE_OTHER, sync_to_thread=True)
def stop(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[Any]:
    """Take the consent back."""
    activation.revoke(portal.context, reader_of(request))
    return see_other(request, "/mailbox/activation")


MAILBOX: Final[list[ControllerRouterHandler]] = [
    overview, message, open_message, read, document, download, evidence, bundle, *offers.HANDLERS,
]  # fmt: skip
"""Below ``/mailbox``, and again below ``/mailbox/for/<mandate>``: by two routers, as a handler takes one path only."""
HANDLERS: Final[list[ControllerRouterHandler]] = [
    Router(path="/mailbox", route_handlers=MAILBOX),
    Router(path="/mailbox/for/{mandate_id:str}", route_handlers=MAILBOX),
    settings, begin, enter_code, confirm, ask_stop, stop,
]  # fmt: skip


def _existing(message: MessageView, position: int) -> None:
    if not 0 <= position < len(message.documents):
        raise NotFound


def _settings_page(
    request: AnyRequest,
    portal: Portal,
    *,
    email: str,
    language: str,
    invitation: str = "",
    error: Invalid | Conflict | QuotaExceeded | Retryable | None = None,
) -> Response[str]:
    return portal.page(
        request,
        "mailbox/activation.html",
        status=200 if error is None else kind_of(error).status,
        state=activation.state(portal.context, reader_of(request)),
        email=email,
        chosen=language,
        invitation=invitation,
        wrong="invitation" if isinstance(error, activation.InvitationWrong) else "email",
        problem=_said(request, portal, error),
    )


def _code_page(
    request: AnyRequest,
    portal: Portal,
    *,
    agreed: bool = True,
    code_missing: bool = False,
    error: Invalid | Conflict | None = None,
) -> Response[Any]:
    state: ActivationView = activation.state(portal.context, reader_of(request))
    if state.pending_email is None or state.pending_language is None:
        return Redirect("/mailbox/activation", status_code=SEE_OTHER)
    # The text that is kept as proof of the consent is the one that is shown.
    shown = state.pending_language
    wrong = error is not None or code_missing or not agreed
    return portal.page(
        request,
        "mailbox/code.html",
        status=422 if wrong else 200,
        state=state,
        consent_language=shown,
        consent=activation.CONSENT_TEXT[shown],
        consent_version=activation.CONSENT_VERSION,
        minutes=activation.CODE_MINUTES,
        agreed=agreed,
        code_missing=code_missing,
        problem=_said(request, portal, error),
    )


def _said(request: AnyRequest, portal: Portal, error: Exception | None) -> str:
    if error is None:
        return ""
    say = Wording(languages.words(portal.visitor(request).language))
    return say.problem(getattr(error, "code", ""), getattr(error, "detail", ""))
