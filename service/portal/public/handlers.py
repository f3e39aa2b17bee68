"""The public pages, the log-in and what lies just behind it."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect

from service.portal import languages
from service.portal.forms import Form
from service.portal.guards import SIGNED_IN, genuine
from service.portal.public.addresses import HOME, local
from service.portal.rendering import SEE_OTHER, Portal, see_other
from service.portal.visitors import ASSET
from service.usecases import verification
from service.web import sessions
from service.web.guards import PUBLIC
from service.web.limits import few_log_ins

LONGEST_CODE = 64
"""More than any way of writing a code."""
FOR_EVER = "public, max-age=31536000, immutable"

AnyRequest = Request[Any, Any, Any]


@get("/", guards=[PUBLIC], sync_to_thread=True)
def start(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """What this service is."""
    return portal.page(request, "public/start.html")


@get("/verify", guards=[PUBLIC], sync_to_thread=True)
def verify(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """Who sealed the document that shows this code."""
    typed = request.query_params.get("code", "").strip()[:LONGEST_CODE]
    found = verification.look_up(portal.context, typed) if typed else None
    return portal.page(request, "public/verify.html", typed=typed, found=found)


@get("/static/{version:str}/{name:str}", guards=[PUBLIC], opt={ASSET: True}, sync_to_thread=False)
def asset(portal: NamedDependency[Portal], version: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """Style sheet, script and icons; the version in the address changes with the file."""
    found = portal.assets.get(name)
    if found is None:
        raise NotFoundException
    keep = FOR_EVER if version == found.version else "no-cache"
    return Response(found.content, media_type=found.media_type, headers={"Cache-Control": keep})


@get("/login", guards=[PUBLIC, few_log_ins], sync_to_thread=True)
def log_in(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[Any]:
    """Send the person to the identity provider."""
    back = local(request.query_params.get("next"), otherwise=HOME)
    visitor = portal.visitor(request)
    if visitor.session is not None:
        return Redirect(back, status_code=SEE_OTHER)
    leaving = portal.application.identity.start(
        now=portal.context.clock(), redirect_uri=_callback(portal), language=visitor.language
    )
    cookie = sessions.keep_pending(portal.application, sessions.Pending(leaving.pending, back))
    return Redirect(leaving.url, status_code=SEE_OTHER, cookies=[cookie], headers={"Cache-Control": "no-store"})


@get("/login/callback", guards=[PUBLIC, few_log_ins], sync_to_thread=True)
def logged_in(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[Any]:
    """Take the person back from the identity provider and begin their session."""
    application, secure = portal.application, portal.settings.secure_cookies
    pending = sessions.take_pending(application, request.cookies)
    if pending is None:
        # Somebody went back in their browser, took too long, or was sent here by somebody else.
        if portal.visitor(request).session is not None:
            return Redirect(HOME, status_code=SEE_OTHER)
        return portal.page(request, "public/log_in_again.html", status=400, text="")
    done = application.identity.finish(
        now=portal.context.clock(),
        redirect_uri=_callback(portal),
        pending=pending.log_in,
        parameters=dict(request.query_params),
    )
    earlier = sessions.read_cookie(request.cookies, sessions.SESSION, secure=secure)
    if earlier is not None:
        sessions.end(application, earlier)
    cookies = [sessions.begin(application, done), sessions.expired(sessions.PENDING, secure=secure)]
    prefers = (done.person.locale or "").split("-")[0].lower()
    if sessions.read_cookie(request.cookies, sessions.LANGUAGE, secure=secure) is None and prefers in languages.OFFERED:
        cookies.append(_language_cookie(prefers, secure=secure))
    return Redirect(pending.back, status_code=SEE_OTHER, cookies=cookies, headers={"Cache-Control": "no-store"})


@post("/logout", guards=[PUBLIC, genuine], status_code=200, sync_to_thread=True)
def log_out(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[Any]:
    """End the session here, then at the identity provider."""
    application, secure = portal.application, portal.settings.secure_cookies
    session = portal.visitor(request).session
    secret = sessions.read_cookie(request.cookies, sessions.SESSION, secure=secure)
    if secret is not None:
        sessions.end(application, secret)
    gone = sessions.expired(sessions.SESSION, secure=secure)
    onwards = None
    if session is not None:
        onwards = application.identity.log_out_url(
            now=portal.context.clock(),
            id_token=session.data.id_token,
            return_uri=f"{portal.settings.base_url}/logged-out",
        )
    if onwards is None:
        return Redirect("/logged-out", status_code=SEE_OTHER, cookies=[gone])
    # By a page, not a redirect: browsers hold redirects after a form to the addresses that forms may go to.
    answer = portal.page(request, "public/logging_out.html", onwards=onwards)
    answer.headers["Refresh"] = f"0; url={onwards}"
    answer.cookies.append(gone)
    return answer


@get("/logged-out", guards=[PUBLIC], sync_to_thread=True)
def logged_out(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """Confirm the log-out."""
    return portal.page(request, "public/logged_out.html")


@post("/language", guards=[PUBLIC, genuine], status_code=SEE_OTHER, sync_to_thread=False)
def choose_language(portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[Any]:
    """Keep the chosen language in a cookie and go back to the page."""
    back = Redirect(local(form.text("back"), otherwise="/"), status_code=SEE_OTHER)
    if form.text("language") in languages.OFFERED:
        back.cookies.append(_language_cookie(form.text("language"), secure=portal.settings.secure_cookies))
    return back


@get("/home", guards=[SIGNED_IN], sync_to_thread=True)
def home(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[Any]:
    """Where somebody goes after logging in: to the one thing they can do here, or to a choice."""
    visitor = portal.visitor(request)
    if visitor.operates and visitor.reader is None and not visitor.seats:
        return Redirect("/operator", status_code=SEE_OTHER)
    if visitor.seats and visitor.reader is None:
        return Redirect("/letters", status_code=SEE_OTHER)
    if visitor.reader is not None and not visitor.seats:
        return Redirect("/mailbox", status_code=SEE_OTHER)
    return portal.page(request, "public/home.html" if visitor.seats else "public/no_role.html")


@get("/organisation", guards=[SIGNED_IN], sync_to_thread=True)
def organisation(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """Choose for which organisation one acts."""
    back = local(request.query_params.get("next"), otherwise="/letters")
    return portal.page(request, "public/organisation.html", back=back, missing=False)


@post("/organisation", guards=[SIGNED_IN, genuine], status_code=SEE_OTHER, sync_to_thread=True)
def choose_organisation(
    request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]
) -> Response[Any]:
    """Keep the choice in the session."""
    visitor = portal.visitor(request)
    back = local(form.text("next"), otherwise="/letters")
    chosen = next((seat for seat in visitor.seats if str(seat.organisation_id) == form.text("organisation")), None)
    if chosen is None or visitor.session is None:
        return portal.page(request, "public/organisation.html", status=422, back=back, missing=True)
    data = msgspec.structs.replace(visitor.session.data, organisation=str(chosen.organisation_id))
    sessions.change(portal.application, visitor.session, data)
    return see_other(request, back)


def _callback(portal: Portal) -> str:
    return f"{portal.settings.base_url}/login/callback"


def _language_cookie(language: str, *, secure: bool) -> Any:
    return sessions.cookie(sessions.LANGUAGE, language, secure=secure, lifetime=sessions.LANGUAGE_LASTS)


HANDLERS = [
    start,
    verify,
    asset,
    log_in,
    logged_in,
    log_out,
    logged_out,
    choose_language,
    home,
    organisation,
    choose_organisation,
]
