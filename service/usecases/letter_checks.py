"""A document looked at as the letter it would become, for whoever asks; nothing of it is kept or logged."""

import base64
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import UNSET

from printing import profiles
from printing.asked import Asked
from printing.checks import Findings
from printing.errors import Problem
from printing.pictures import Language
from printing.profiles import Profile
from printing.zones import Mode
from service.domain.errors import Invalid, Retryable
from service.usecases.context import Context
from service.usecases.looking import look
from service.usecases.products import LETTER, REGISTERED_LETTER
from service.usecases.requests import PrintPart
from service.usecases.views import ProblemView

MOST_PICTURES: Final = 10
MOST_FORESEEN: Final = 20
FORESEEN_SECONDS: Final = 30.0
"""After this no further document of a hand-in is looked at: somebody waits for the answer."""
_UNSURE: Final = ("CHECK_", "WINDOW_", "ADDR_")


@dataclass(frozen=True)
class LetterQuestion:
    """How a document would be printed (by default as the print house of letters does), and which pages are shown."""

    profile: str | None = None
    mode: Mode = "page"
    duplex: bool = True
    pages: tuple[int, ...] = ()
    language: Language = "en"


class PictureView(msgspec.Struct, frozen=True):
    """A page with what must be free on it and what was found there: a PNG in base 64."""

    page: int
    png: str


class LetterCheckView(msgspec.Struct, frozen=True):
    """What keeps a document from being printed as a letter, and what its sender should know besides.

    ``mode`` says where the address comes from: ``page`` (an address page of ours in front), ``stamp`` (printed onto the
    first page), ``adopt`` (it stands there already: ``window`` is what the window of the envelope shows). ``sheets``
    and ``grams`` are the whole letter's, envelope included; ``postage_cents`` is by the profile's cost table.
    """

    profile: str
    mode: str
    printable: bool
    problems: list[ProblemView]
    warnings: list[ProblemView]
    window: list[str]
    pages: int
    sheets: int
    grams: int
    envelope: str | None
    postage_cents: int | None
    pictures: list[PictureView]


def named_pages(text: str | None) -> tuple[int, ...]:
    """The pages of a list such as ``1,2``.

    Raises:
        Invalid: ``pages_malformed``, or ``too_many_pages`` of them.
    """
    if not text:
        return ()
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and 0 < len(part) <= 4 and int(part) for part in parts):  # noqa: PLR2004 - no document has so many pages
        raise Invalid("Pages are numbers with commas between them, such as 1,2.", code="pages_malformed")
    if len(parts) > MOST_PICTURES:
        raise Invalid(f"At most {MOST_PICTURES} pages are drawn at once.", code="too_many_pages")
    return tuple(sorted({int(part) for part in parts}))


def check(context: Context, pdf: bytes, asked: LetterQuestion) -> LetterCheckView:
    """Look at a document as it would lie in its envelope.

    Raises:
        Invalid: ``profile_unknown``.
        Retryable: the machine is too busy.
    """
    profile = _profile(context, asked.profile)
    question = Asked(
        "document",
        profile,
        asked.duplex,
        mode=asked.mode,
        unsealed=True,
        pages=tuple(sorted(set(asked.pages))),
        language=asked.language,
    )
    return _view(look(context, question, pdf), profile, asked.mode)


def foreseen(
    context: Context,
    documents: Sequence[bytes],
    wish: PrintPart,
    *,
    registered: bool,
    go_on: Callable[[], object] = lambda: None,
) -> list[dict[str, str | int | None]]:
    """What will keep documents from being printed that will surely be a letter, as problems of a delivery.

    Pages are those of the document. What cannot be looked at just now, and what the window will show, is judged with
    the letter alone; so is all that comes after a document for which nobody had time, or after half a minute.

    Args:
        context: the wired parts.
        documents: the PDFs, the main one first.
        wish: how they are to be printed.
        registered: whether by registered letter.
        go_on: called before each look, for whoever holds something meanwhile.
    """
    profile = context.printers.of(REGISTERED_LETTER if registered else LETTER).profile
    problems: list[dict[str, str | int | None]] = []
    until = time.monotonic() + FORESEEN_SECONDS
    for place, pdf in enumerate(documents):
        if place and time.monotonic() > until:
            break
        go_on()
        # Attachments lie behind the document, wherever the address stands.
        asked = Asked("document", profile, wish.duplex, mode="page" if place else wish.address, unsealed=True)
        (found,) = context.letters.check([(asked, pdf)])
        if isinstance(found, Retryable):
            break
        problems += [
            {"code": each.code, "detail": each.detail, "page": each.page}
            for each in found.problems[:MOST_FORESEEN]
            if not each.code.startswith(_UNSURE)
        ]
    return problems


def _profile(context: Context, name: str | None) -> Profile:
    """The profile of that name, a print house's own one first; by default that of whoever prints letters."""
    if name is None:
        return context.printers.of(LETTER).profile
    ours = [printer.profile for printer in context.printers.values() if printer.profile.name == name]
    try:
        return ours[0] if ours else profiles.load(name)
    except KeyError:
        raise Invalid("There is no such profile of a print house.", code="profile_unknown") from None


def _view(found: Findings, profile: Profile, mode: Mode) -> LetterCheckView:
    return LetterCheckView(
        profile=profile.name,
        mode=mode,
        printable=not found.problems,
        problems=problem_views(found.problems),
        warnings=problem_views(found.warnings),
        window=list(found.window_lines),
        pages=found.pages,
        sheets=found.sheets,
        grams=found.grams,
        envelope=found.envelope,
        postage_cents=profile.postage(LETTER, found.grams) if found.envelope else None,
        pictures=[PictureView(page, base64.b64encode(png).decode()) for page, png in found.pictures.items()],
    )


def problem_views(problems: Sequence[Problem]) -> list[ProblemView]:
    """Problems of a letter as both doors show them."""
    return [
        ProblemView(
            each.code,
            each.detail,
            each.page,
            [(box.left, box.top, box.right, box.bottom) for box in each.boxes] or UNSET,
        )
        for each in problems
    ]
