"""What a print house is told ahead of a cut-off: letters, envelopes and sheets that wait, by what they share."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from printing.manifest import BatchKey

SCHEMA: Final = 1


class Count(NamedTuple):
    """Letters, their sheets, and the envelopes they go in: fewer where letters share one."""

    letters: int
    sheets: int
    envelopes: int

    def plus(self, other: "Count") -> "Count":
        """Both together."""
        return Count(*(one + another for one, another in zip(self, other, strict=True)))


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Letters of one kind."""

    colour: bool
    duplex: bool
    envelope: str
    registered: str | None
    language: str
    letters: int
    sheets: int
    envelopes: int


class Forecast(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="forecast"):
    """What waits for a product at a moment; more may come until the cut-off, and some of it may be taken back."""

    schema: int = SCHEMA
    printer: str
    product: str
    cut_off: datetime
    at: datetime
    letters: int
    sheets: int
    envelopes: int
    parts: tuple[Part, ...]


def forecast(
    printer: str, product: str, *, cut_off: datetime, at: datetime, counts: Mapping[BatchKey, Count]
) -> Forecast:
    """From counts by kind; kinds that only another print house is named in are one here."""
    parts: dict[tuple[bool, bool, str, str, str], Count] = {}
    for key, count in counts.items():
        if count.letters:
            kind = (key.colour, key.duplex, key.envelope, key.registered or "", key.language)
            parts[kind] = parts.get(kind, Count(0, 0, 0)).plus(count)
    return Forecast(
        printer=printer,
        product=product,
        cut_off=cut_off,
        at=at,
        letters=sum(count.letters for count in parts.values()),
        sheets=sum(count.sheets for count in parts.values()),
        envelopes=sum(count.envelopes for count in parts.values()),
        parts=tuple(
            Part(
                colour=kind[0],
                duplex=kind[1],
                envelope=kind[2],
                registered=kind[3] or None,
                language=kind[4],
                letters=parts[kind].letters,
                sheets=parts[kind].sheets,
                envelopes=parts[kind].envelopes,
            )
            for kind in sorted(parts)
        ),
    )


def encode(told: Forecast) -> bytes:
    """As the file holds it."""
    return msgspec.json.encode(told, order="sorted")
