"""Whether registered mail may come into the mailbox: asked apart from ordinary mail, and stopped apart from it."""

from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.response import Redirect

from service.domain.errors import Conflict
from service.portal import languages
from service.portal.forms import Form
from service.portal.guards import RECIPIENT, genuine
from service.portal.rendering import SEE_OTHER, Portal, see_other
from service.portal.wording import Wording
from service.usecases import activation, registered_consent
from service.usecases.mailbox import Reader

SETTINGS: Final = "/mailbox/activation"

AnyRequest = Request[Any, Any, Any]


@get("/mailbox/activation/registered", guards=[RECIPIENT], sync_to_thread=True)
def ask(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[Any]:
    """Show the text of the consent."""
    return _consent_page(request, portal)


@post("/mailbox/activation/registered", guards=[RECIPIENT, genuine], status_code=SEE_OTHER, sync_to_thread=True)
def agree(request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[Any]:
    """Take the consent, if it was given."""
    if form.text("consent") != "yes":
        return _consent_page(request, portal, agreed=False)
    try:
        registered_consent.agree(portal.context, _reader(request), consent_version=form.text("consent_version"))
    except Conflict as error:
        say = Wording(languages.words(portal.visitor(request).language))
        return _consent_page(request, portal, problem=say.problem(error.code, error.detail))
    return see_other(request, SETTINGS)


@get("/mailbox/activation/registered/stop", guards=[RECIPIENT], sync_to_thread=True)
def ask_stop(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[Any]:
    """Ask whether registered mail shall really come on paper again."""
    if activation.state(portal.context, _reader(request)).registered_since is None:
        return Redirect(SETTINGS, status_code=SEE_OTHER)
    return portal.page(request, "mailbox/registered_stop.html")


@post("/mailbox/activation/registered/stop", guards=[RECIPIENT, genuine], status_code=SEE_OTHER, sync_to_thread=True)
def stop(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[Any]:
    """Take that consent back; ordinary mail goes on coming here."""
    registered_consent.revoke(portal.context, _reader(request))
    return see_other(request, SETTINGS)


HANDLERS: Final = [ask, agree, ask_stop, stop]


def _consent_page(request: AnyRequest, portal: Portal, *, agreed: bool = True, problem: str = "") -> Response[Any]:
    state = activation.state(portal.context, _reader(request))
    if not state.active or state.language is None or state.registered_since is not None:
        return Redirect(SETTINGS, status_code=SEE_OTHER)
    return portal.page(
        request,
        "mailbox/registered_consent.html",
        status=200 if agreed and not problem else 422,
        # The text that is kept as proof of the consent is the one that is shown.
        consent_language=state.language,
        consent=registered_consent.TEXT[state.language],
        consent_version=registered_consent.VERSION,
        agreed=agreed,
        problem=problem,
    )


def _reader(request: AnyRequest) -> Reader:
    reader = request.user.reader
    assert isinstance(reader, Reader)  # the guard saw to it
    return reader
