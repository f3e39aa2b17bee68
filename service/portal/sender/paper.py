"""What became of a letter on paper, for clerks: pictures to keep, and a letter that came back to decide on."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from service.db.ids import DELIVERY, parse_id
from service.domain.addresses import PostalAddress
from service.domain.errors import Conflict, Invalid
from service.portal import languages
from service.portal.forms import Form
from service.portal.guards import CLERK, genuine
from service.portal.rendering import SEE_OTHER, Portal, file_response, see_other
from service.portal.sender import letters
from service.portal.sender.sending import AnyRequest, seat_of
from service.portal.wording import Wording
from service.usecases import deliveries, paper, post_returned

FIELDS: Final = ("name", "attention_of", "street", "house_number", "box", "postcode", "municipality", "country")


@get("/letters/{delivery_id:str}/scans/{scan_id:str}", guards=[CLERK], sync_to_thread=True)
def scan(
    request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str], scan_id: FromPath[str]
) -> Response[bytes]:
    """A picture of a posting proof, a receipt or a letter that came back, to keep."""
    file, media_type = paper.scan(portal.context, seat_of(request).organisation_id, delivery_id, scan_id)
    return file_response(file, download=True, media_type=media_type)


@get("/letters/{delivery_id:str}/returned", guards=[CLERK], sync_to_thread=True)
def returned(request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str]) -> Response[Any]:
    """Ask what shall become of a letter that came back."""
    return _asking(request, portal, delivery_id, dict.fromkeys(FIELDS, "") | {"country": "BE"})


@post("/letters/{delivery_id:str}/returned", guards=[CLERK, genuine], status_code=SEE_OTHER, sync_to_thread=True)
def send_again(
    request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form], delivery_id: FromPath[str]
) -> Response[Any]:
    """Send it once more, to the address that was filled in."""
    given = {name: form.text(name) for name in FIELDS}
    address = PostalAddress(
        name=given["name"],
        street=given["street"],
        number=given["house_number"],
        box=given["box"] or None,
        postcode=given["postcode"],
        municipality=given["municipality"],
        country=given["country"],
        attention_of=given["attention_of"] or None,
    )
    wanted = parse_id(DELIVERY, delivery_id)
    try:
        post_returned.send_again(portal.context, seat_of(request).organisation_id, wanted, address)
    except Invalid as error:
        wording = Wording(languages.words(portal.visitor(request).language))
        filled = letters.with_problems(given, error.errors, wording)
        return _asking(request, portal, delivery_id, given, filled.problems)
    except Conflict:
        # Somebody decided a moment ago: the letter's page says what.
        return see_other(request, f"/letters/{delivery_id}")
    return see_other(request, f"/letters/{delivery_id}")


@post("/letters/{delivery_id:str}/end-returned", guards=[CLERK, genuine], status_code=SEE_OTHER, sync_to_thread=True)
def end(request: AnyRequest, portal: NamedDependency[Portal], delivery_id: FromPath[str]) -> Response[Any]:
    """Leave it at that."""
    post_returned.end(portal.context, seat_of(request).organisation_id, parse_id(DELIVERY, delivery_id))
    return see_other(request, f"/letters/{delivery_id}")


HANDLERS: Final = [scan, returned, send_again, end]


def _asking(
    request: AnyRequest,
    portal: Portal,
    delivery_id: str,
    given: dict[str, str],
    problems: Mapping[str, str] | None = None,
) -> Response[Any]:
    organisation = seat_of(request).organisation_id
    delivery = deliveries.get(portal.context, organisation, delivery_id)
    found = paper.of(portal.context, organisation, delivery_id)
    back = found[-1].returned if found else None
    if back is None or back.next_leg is not None:
        return Redirect(f"/letters/{delivery_id}", status_code=SEE_OTHER)
    return portal.page(
        request,
        "sender/returned.html",
        status=422 if problems else 200,
        delivery=delivery,
        returned=back,
        v=given,
        wrong=defaultdict(str, problems or {}),
        countries=letters.countries(languages.words(portal.visitor(request).language).locale),
    )
