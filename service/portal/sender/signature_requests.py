"""The clerk's pages of signature requests: ask, look at what will happen, follow, take back, keep, send the result."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from service.domain.errors import FieldError, Invalid, PayloadTooLarge
from service.domain.signing_folder import LONGEST_DAYS, MOST_DOCUMENTS, MOST_SIGNERS, FolderState, SignerState, Way
from service.portal import states
from service.portal.forms import MARGIN, Form
from service.portal.guards import CLERK, few_reminders, genuine
from service.portal.rendering import SEE_OTHER, Portal, file_response, json_response, see_other
from service.portal.sender import asking, letters, sending
from service.portal.sender.asking import AskingForm
from service.portal.sender.handlers import NO_CONTENT, PER_PAGE, STOP_POLLING
from service.portal.sender.sending import UNPROCESSABLE, AnyRequest, Errand, once, said, seat_of
from service.portal.visitors import FORM_LIMIT, PASSIVE
from service.usecases import policies
from service.usecases.admission import Upload
from service.usecases.policies import Policies
from service.usecases.signatures import opening, sender
from service.usecases.signatures.views import SignatureRequestView

HOME: Final = "/signature-requests"


@get(HOME, guards=[CLERK], sync_to_thread=True)
def overview(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """The newest signature requests of the organisation, or those that are searched for."""
    asked = request.query_params
    state = asked.get("state") if asked.get("state") in states.ASKED else None
    reference = (asked.get("reference") or "").strip() or None
    page = sender.list_page(
        portal.context,
        seat_of(request).organisation_id,
        state=state,
        cursor=asked.get("after") or None,
        limit=PER_PAGE,
        reference=reference,
    )
    return portal.page(
        request,
        "sender/requests.html",
        page=page,
        wanted=state or "",
        reference=reference or "",
        states=list(states.ASKED),
        first=not asked.get("after"),
    )


@get(f"{HOME}/new", guards=[CLERK], sync_to_thread=True)
def new_request(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """An empty form."""
    language = portal.visitor(request).language
    return _form_page(request, portal, asking.blank(language, _usual(portal), now=portal.context.clock()))


@post(f"{HOME}/new", guards=[CLERK, genuine], status_code=200, sync_to_thread=True)
def fill_in(request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[str]:
    """Go on with the form: one more signer, one less, another order, or the page that says what will happen."""
    filled, act = asking.read(form), form.text("do")
    if act != "check":
        return _form_page(request, portal, asking.changed(filled, act, _usual(portal)))
    filled = asking.without_empty_rows(filled)
    if wrong := asking.check(filled, _policies(request, portal), now=portal.context.clock()):
        shown = asking.with_problems(filled, wrong, said(request, portal))
        return _form_page(request, portal, shown, status=UNPROCESSABLE)
    return _check_page(request, portal, asking.with_problems(filled, [], said(request, portal)))


def ask(request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[Any]:
    """Ask for the signatures, by the same use case as programs do."""
    filled, files, now = asking.read(form), asking.uploads(form), portal.context.clock()
    if wrong := asking.check(filled, _policies(request, portal), now=now) or asking.missing_files(files):
        return _again(request, portal, filled, wrong)
    raw = asking.request_json(filled, now=now)
    organisation = seat_of(request).organisation_id
    try:
        done = once(lambda: opening.open_request(portal.context, organisation, raw, files, key=filled.key))
    except PayloadTooLarge as error:
        return _again(request, portal, filled, [FieldError(f"/{asking.FILE}", error.code, error.detail)])
    except Invalid as error:
        general = "" if error.errors else said(request, portal).problem(error.code, error.detail)
        return _again(request, portal, filled, error.errors, general, files=files)
    return see_other(request, f"{HOME}/{done.request_id}/asked")


@get(f"{HOME}/{{request_id:str}}/asked", guards=[CLERK], sync_to_thread=True)
def asked(request: AnyRequest, portal: NamedDependency[Portal], request_id: FromPath[str]) -> Response[str]:
    """Confirm that the signers are asked, and say what the clerk may have to do."""
    found = sender.get(portal.context, seat_of(request).organisation_id, request_id)
    return portal.page(request, "sender/request_asked.html", found=found, address=_address(portal, found))


@get(f"{HOME}/{{request_id:str}}", guards=[CLERK], sync_to_thread=True)
def one(request: AnyRequest, portal: NamedDependency[Portal], request_id: FromPath[str]) -> Response[str]:
    """One request: where it is, who signed when, who is next, what there is to keep."""
    told = "reminded" in request.query_params
    return portal.page(request, "sender/request.html", told=told, **_whole(request, portal, request_id))


@get(f"{HOME}/{{request_id:str}}/progress", guards=[CLERK], opt={PASSIVE: True}, sync_to_thread=True)
def progress(request: AnyRequest, portal: NamedDependency[Portal], request_id: FromPath[str]) -> Response[Any]:
    """The part of a request's page that changes; nothing when it has not, and the last one says so."""
    values = _whole(request, portal, request_id)
    if values["moving"] and request.query_params.get("seen") == values["seen"]:
        return Response(b"", status_code=NO_CONTENT, headers={"Cache-Control": "no-store"})
    status = 200 if values["moving"] else STOP_POLLING
    return portal.page(request, "sender/request_progress.html", status=status, **values)


@post(
    f"{HOME}/{{request_id:str}}/remind",
    guards=[CLERK, genuine, few_reminders],
    status_code=SEE_OTHER,
    sync_to_thread=True,
)
def remind(request: AnyRequest, portal: NamedDependency[Portal], request_id: FromPath[str]) -> Response[Any]:
    """Tell those whose turn it is once more."""
    sender.remind(portal.context, seat_of(request).organisation_id, request_id)
    return see_other(request, f"{HOME}/{request_id}?reminded")


@get(f"{HOME}/{{request_id:str}}/documents/{{number:int}}", guards=[CLERK], sync_to_thread=True)
def document(
    request: AnyRequest, portal: NamedDependency[Portal], request_id: FromPath[str], number: FromPath[int]
) -> Response[bytes]:
    """A document as it is now, counted from 1, to keep."""
    file = sender.document(portal.context, seat_of(request).organisation_id, request_id, number)
    return file_response(file, download=True)


@get(f"{HOME}/{{request_id:str}}/report", guards=[CLERK], sync_to_thread=True)
def report(request: AnyRequest, portal: NamedDependency[Portal], request_id: FromPath[str]) -> Response[bytes]:
    """The sealed report, to keep."""
    return file_response(sender.report(portal.context, seat_of(request).organisation_id, request_id), download=True)


@get(f"{HOME}/{{request_id:str}}/evidence/{{evidence_id:str}}", guards=[CLERK], sync_to_thread=True)
def evidence(
    request: AnyRequest, portal: NamedDependency[Portal], request_id: FromPath[str], evidence_id: FromPath[str]
) -> Response[bytes]:
    """One evidence with its proof, to keep."""
    found = sender.evidence_one(portal.context, seat_of(request).organisation_id, request_id, evidence_id)
    return json_response(msgspec.json.encode(found), f"{evidence_id}.json")


@get(f"{HOME}/{{request_id:str}}/cancel", guards=[CLERK], sync_to_thread=True)
def ask_cancel(request: AnyRequest, portal: NamedDependency[Portal], request_id: FromPath[str]) -> Response[Any]:
    """Ask whether the request shall really be taken back."""
    found = sender.get(portal.context, seat_of(request).organisation_id, request_id)
    if found.state != FolderState.OPEN.value:
        return Redirect(f"{HOME}/{request_id}", status_code=SEE_OTHER)
    return portal.page(request, "sender/request_cancel.html", found=found)


@post(f"{HOME}/{{request_id:str}}/cancel", guards=[CLERK, genuine], status_code=SEE_OTHER, sync_to_thread=True)
def cancel(request: AnyRequest, portal: NamedDependency[Portal], request_id: FromPath[str]) -> Response[Any]:
    """Take the request back, while not everybody has signed."""
    sender.cancel(portal.context, seat_of(request).organisation_id, request_id)
    return see_other(request, f"{HOME}/{request_id}")


@get(f"{HOME}/{{request_id:str}}/send", guards=[CLERK], sync_to_thread=True)
def send_form(request: AnyRequest, portal: NamedDependency[Portal], request_id: FromPath[str]) -> Response[Any]:
    """The form of a letter, with the result and its report as its files."""
    found = sender.get(portal.context, seat_of(request).organisation_id, request_id)
    if found.state != FolderState.COMPLETED.value:
        return Redirect(f"{HOME}/{request_id}", status_code=SEE_OTHER)
    form = letters.blank(found.language)
    known = {"subject": found.subject, "reference": found.reference}
    form = letters.LetterForm({**form.values, **known}, form.key)
    return sending.form_page(request, portal, form, _errand(request, portal, request_id))


@post(f"{HOME}/{{request_id:str}}/send", guards=[CLERK, genuine], status_code=SEE_OTHER, sync_to_thread=True)
def send(
    request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form], request_id: FromPath[str]
) -> Response[Any]:
    """Hand the result in as a letter."""
    return sending.send(request, portal, form, _errand(request, portal, request_id))


def handlers(portal: Portal) -> list[Any]:
    """All of them; the form with the files takes as much as a delivery may have."""
    take = post(
        HOME,
        guards=[CLERK, genuine],
        opt={FORM_LIMIT: portal.context.limits.delivery_bytes + MARGIN},
        request_max_body_size=None,
        status_code=SEE_OTHER,
        sync_to_thread=True,
    )(ask)
    return [
        overview, new_request, fill_in, take, asked, one, progress, remind, document, report, evidence, ask_cancel,
        cancel, send_form, send,
    ]  # fmt: skip


def _whole(request: AnyRequest, portal: Portal, request_id: str) -> dict[str, Any]:
    organisation = seat_of(request).organisation_id
    found = sender.get(portal.context, organisation, request_id)
    proofs = sender.evidence_list(portal.context, organisation, request_id)
    unpublished = sum(not each.published for each in proofs)
    tone = states.ASKED[found.state].tone if found.state in states.ASKED else "going"
    people = [f"{each.state}{each.opened_at is not None:d}" for each in found.signers]
    return {
        "found": found,
        "proofs": proofs,
        "address": _address(portal, found),
        "service": _service(portal),
        "signed": sum(each.state == SignerState.SIGNED.value for each in found.signers),
        "waits_for_people": any(
            each.state == SignerState.ASKED.value and each.way != Way.SEAL.value for each in found.signers
        ),
        "moving": tone in {"going", "waiting"} or unpublished > 0,
        "quick": tone == "going" or unpublished > 0,
        "seen": f"{found.state}.{'.'.join(people)}.{len(proofs)}.{unpublished}.{found.delivery_id}",
        "cancellable": found.state == FolderState.OPEN.value,
    }


def _policies(request: AnyRequest, portal: Portal) -> Policies:
    return policies.of_sender(portal.context, seat_of(request).organisation_id)


def _address(portal: Portal, found: SignatureRequestView) -> str:
    """Where the signers find the request; may be passed on to them."""
    return f"{portal.settings.base_url}{found.links.page}"


def _errand(request: AnyRequest, portal: Portal, request_id: str) -> Errand:
    organisation = seat_of(request).organisation_id
    found = sender.get(portal.context, organisation, request_id)
    result = [sender.document(portal.context, organisation, request_id, each.number) for each in found.documents]
    result.append(sender.report(portal.context, organisation, request_id))
    return Errand(
        f"{HOME}/{request_id}/send",
        f"{HOME}/{request_id}",
        [
            Upload("attachment" if place else "document", each.filename, each.content)
            for place, each in enumerate(result)
        ],
    )


def _ways(portal: Portal) -> Mapping[str, str]:
    """The ways in which people can sign here."""
    context = portal.context
    possible = {Way.SEAL.value: True, Way.WEB_EID.value: context.signers is not None}
    possible[Way.CSC.value] = context.signers is not None and context.consent is not None
    return {code: word for code, word in asking.WAYS.items() if possible[code]}


def _usual(portal: Portal) -> str:
    return next(iter(_ways(portal)))


def _service(portal: Portal) -> str:
    return "" if portal.context.consent is None else portal.context.consent.name


def _again(
    request: AnyRequest, portal: Portal, filled: AskingForm, wrong: list[FieldError] | tuple[FieldError, ...],
    general: str = "", files: Sequence[Upload] = (),
) -> Response[str]:  # fmt: skip
    """The page on which it can be mended: that of the files, or the form."""
    shown = asking.with_problems(filled, wrong, said(request, portal), general=general, files=files)
    page = _check_page if shown.on_the_file else _form_page
    return page(request, portal, shown, status=UNPROCESSABLE)


def _form_page(request: AnyRequest, portal: Portal, form: AskingForm, *, status: int = 200) -> Response[str]:
    return portal.page(
        request,
        "sender/new_request.html",
        status=status,
        form=form,
        wrong=defaultdict(str, form.problems),
        summary=asking.summary(form, said(request, portal)),
        ways=_ways(portal),
        service=_service(portal),
        levels=asking.LEVELS,
        orders=asking.ORDERS,
        reminders=asking.REMINDERS,
        most=MOST_SIGNERS,
        first_day=asking.day_after(1, now=portal.context.clock()),
        latest_day=asking.day_after(LONGEST_DAYS, now=portal.context.clock()),
    )


def _check_page(request: AnyRequest, portal: Portal, form: AskingForm, *, status: int = 200) -> Response[str]:
    now = portal.context.clock()
    days = asking.days_until(form.values["last_day"], now=now)
    assert days is not None  # the form was checked
    return portal.page(
        request,
        "sender/check_request.html",
        status=status,
        form=form,
        wrong=defaultdict(str, form.problems),
        ways=asking.WAYS,
        service=_service(portal),
        levels=asking.LEVELS,
        orders=asking.ORDERS,
        reminders=asking.REMINDERS,
        expires_at=now + timedelta(days=days),
        limit=portal.context.limits.delivery_bytes,
        most=min(MOST_DOCUMENTS, portal.context.limits.documents),
    )
