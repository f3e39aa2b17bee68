"""What a print house is told ahead of a cut-off: how many letters and sheets wait, by what they have in common."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from printing.manifest import BatchKey

SCHEMA: Final = 1


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Letters of one kind."""

    colour: bool
    duplex: bool
    envelope: str
    registered: str | None
    language: str
    letters: int
    sheets: int


class Forecast(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="forecast"):
    """What waits for a product at a moment; more may come until the cut-off, and some of it may be taken back."""

    schema: int = SCHEMA
    printer: str
    product: str
    cut_off: datetime
    at: datetime
    letters: int
    sheets: int
    parts: tuple[Part, ...]


def forecast(
    printer: str, product: str, *, cut_off: datetime, at: datetime, counts: Mapping[BatchKey, tuple[int, int]]
) -> Forecast:
    """From letters and sheets by kind; kinds that only another print house is named in are one here."""
    parts: dict[tuple[bool, bool, str, str, str], tuple[int, int]] = {}
    for key, (letters, sheets) in counts.items():
        kind = (key.colour, key.duplex, key.envelope, key.registered or "", key.language)
        before = parts.get(kind, (0, 0))
        parts[kind] = (before[0] + letters, before[1] + sheets)
    return Forecast(
        printer=printer,
        product=product,
        cut_off=cut_off,
        at=at,
        letters=sum(letters for letters, _ in parts.values()),
        sheets=sum(sheets for _, sheets in parts.values()),
        parts=tuple(
            Part(
                colour=kind[0],
                duplex=kind[1],
                envelope=kind[2],
                registered=kind[3] or None,
                language=kind[4],
                letters=parts[kind][0],
                sheets=parts[kind][1],
            )
            for kind in sorted(parts)
        ),
    )


def encode(told: Forecast) -> bytes:
    """As the file holds it."""
    return msgspec.json.encode(told, order="sorted")
