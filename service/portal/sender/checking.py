"""A clerk's page that looks at a PDF before it is sent: can it be printed, and if not, what is in the way where."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, Final, cast

from litestar import Response, get, post
from litestar.di import NamedDependency

from printing.pictures import Language
from printing.zones import Mode
from service.portal.forms import MARGIN, Form
from service.portal.guards import CLERK, genuine
from service.portal.languages import N_
from service.portal.rendering import Portal
from service.portal.sender.sending import UNPROCESSABLE, AnyRequest
from service.portal.visitors import FORM_LIMIT
from service.usecases import letter_checks
from service.usecases.letter_checks import LetterCheckView, LetterQuestion
from service.usecases.views import ProblemView

MOST_SHOWN: Final = 5
MODES: Final[MappingProxyType[Mode, str]] = MappingProxyType(
    {
        "page": N_("On a page of its own in front of the letter"),
        "stamp": N_("Printed by us in the window of the first page"),
        "adopt": N_("It stands in the window of the first page already"),
    }
)


@get("/letters/check", guards=[CLERK], sync_to_thread=True)
def ask(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """An empty form."""
    return _page(request, portal)


def check(request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form]) -> Response[str]:
    """Look at the chosen PDF; nothing of it is kept."""
    chosen = form.chosen("document")
    mode = _mode(form.text("mode"))
    duplex = form.text("sides") != "one"
    if len(chosen) != 1:
        return _page(request, portal, mode=mode, duplex=duplex, missing=True)
    # The pages offer the same four that the pictures do.
    language = cast("Language", portal.visitor(request).language)
    asked = LetterQuestion(mode=mode, duplex=duplex, language=language)
    found = letter_checks.check(portal.context, chosen[0].content, asked)
    pages = _pages(found.problems, found.warnings)
    if pages:
        shown = LetterQuestion(mode=mode, duplex=duplex, language=language, pages=pages)
        found = letter_checks.check(portal.context, chosen[0].content, shown)
    return _page(request, portal, mode=mode, duplex=duplex, found=found, filename=chosen[0].filename)


def _mode(text: str) -> Mode:
    return next((each for each in MODES if each == text), "page")


def _pages(*noted: Sequence[ProblemView]) -> tuple[int, ...]:
    """The first pages of which there is something to see."""
    pages = dict.fromkeys(each.page for group in noted for each in group if each.page is not None and each.boxes)
    return tuple(sorted(pages)[:MOST_SHOWN])


def _page(
    request: AnyRequest,
    portal: Portal,
    *,
    mode: Mode = "page",
    duplex: bool = True,
    missing: bool = False,
    found: LetterCheckView | None = None,
    filename: str = "",
) -> Response[str]:
    return portal.page(
        request,
        "sender/check.html",
        status=UNPROCESSABLE if missing else 200,
        pictures_inside=found is not None,
        modes=MODES,
        mode=mode,
        duplex=duplex,
        missing=missing,
        found=found,
        filename=filename,
        limit=portal.context.limits.delivery_bytes,
    )


def handlers(portal: Portal) -> list[Any]:
    """Both of them; the form takes as much as a delivery may have."""
    checked = post(
        "/letters/check",
        guards=[CLERK, genuine],
        opt={FORM_LIMIT: portal.context.limits.delivery_bytes + MARGIN},
        request_max_body_size=None,
        status_code=200,
        sync_to_thread=True,
    )(check)
    return [ask, checked]
