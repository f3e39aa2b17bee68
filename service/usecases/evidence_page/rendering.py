"""Typesetting: what the page says goes in as data, never as markup, and nothing is written to a disk."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
import typst

import printing
from service.domain.errors import ZendingError
from service.usecases.evidence_page.contents import Page

# All that the typesetter may read: the template itself.
_FOLDER: Final = Path(__file__).with_name("template")
_FONTS: Final = Path(printing.__file__).with_name("fonts")
_STANDARDS: Final = ("a-3a", "ua-1")


class EvidencePageFailed(ZendingError):
    """The page could not be typeset."""

    code = "evidence_page_failed"


def render(page: Page, evidence: bytes, *, at: datetime) -> bytes:
    """The page as PDF/A-3a and PDF/UA-1, with ``evidence`` (JSON) attached.

    Raises:
        EvidencePageFailed: the typesetter refused; its own message could quote the page, so it is left out.
    """
    return typeset(_FOLDER, "page", msgspec.json.encode(page), evidence, at=at)


def typeset(folder: Path, template: str, page: bytes, evidence: bytes, *, at: datetime) -> bytes:
    """A page by a template of ours as PDF/A-3a and PDF/UA-1.

    Args:
        folder: all that the typesetter may read: the template itself.
        template: its name without its ending.
        page: what the page says (JSON).
        evidence: what is attached (JSON).
        at: when the page is made.

    Raises:
        EvidencePageFailed: the typesetter refused; its own message could quote the page, so it is left out.
    """
    try:
        pdf: bytes = typst.compile(
            _template(folder / f"{template}.typ"),
            root=str(folder),
            font_paths=_fonts(),
            format="pdf",
            sys_inputs={"page": page.decode(), "evidence": evidence.decode()},
            pdf_standards=list(_STANDARDS),
            timestamp=at.astimezone(UTC).replace(microsecond=0),
        )
    except typst.TypstError:
        raise EvidencePageFailed from None
    return pdf


@cache
def _template(file: Path) -> bytes:
    return file.read_bytes()


@cache
def _fonts() -> Any:
    """Our own fonts and those inside the typesetter; never the machine's."""
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=[str(_FONTS)])
