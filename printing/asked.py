"""What is asked about a document or a letter, as a value that can be sent to where the looking is done."""

from typing import Literal

import msgspec

from printing.checks import Findings, check_document, check_letter
from printing.pictures import Language, Wanted
from printing.profiles import Box, Profile
from printing.zones import Mode


class Asked(msgspec.Struct, frozen=True):
    """A question about a document that is to be printed (``kind`` "document") or about a composed letter ("letter").

    The rest as in `printing.checks`; ``mode`` and ``unsealed`` count for documents; ``sheets``, ``own_codes``,
    ``own_place``, ``source_bytes`` and ``reduced`` for letters. ``pages`` are those to draw.
    """

    kind: Literal["document", "letter"]
    profile: Profile
    duplex: bool
    mode: Mode = "page"
    unsealed: bool = False
    sheets: int = 0
    own_codes: tuple[str, ...] = ()
    own_place: Box | None = None
    source_bytes: int | None = None
    reduced: tuple[int, ...] | None = None
    pages: tuple[int, ...] = ()
    language: Language = "en"


Look = tuple[Asked, bytes]
"""A question, and the document or letter that it is about."""


def answer(asked: Asked, pdf: bytes, *, walled: bool = False) -> Findings:
    """Look at a document or a letter; ``walled`` as in `printing.checks.check_document`."""
    pictures = Wanted(frozenset(asked.pages), asked.language)
    if asked.kind == "document":
        return check_document(
            pdf,
            asked.profile,
            asked.mode,
            duplex=asked.duplex,
            unsealed=asked.unsealed,
            pictures=pictures,
            walled=walled,
        )
    return check_letter(
        pdf,
        sheets=asked.sheets,
        profile=asked.profile,
        duplex=asked.duplex,
        own_codes=asked.own_codes,
        own_place=asked.own_place,
        source_bytes=asked.source_bytes,
        reduced=asked.reduced,
        pictures=pictures,
    )
