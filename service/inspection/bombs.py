"""Documents that are small on disk and enormous when shown."""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import pikepdf
from pikepdf import Name, Stream

from service.inspection.images import coded_pixels
from service.inspection.limits import InspectionLimits
from service.inspection.opening import Refused
from service.inspection.packing import MOST_OF_ALL, filters_of, unpacked

_ONE: Final = 1


def weigh(pdf: pikepdf.Pdf, content: Sequence[Stream], size: int, limits: InspectionLimits) -> None:
    """Refuse a document one of whose streams, all together, or the content of all its pages unpack to too much.

    A stream is unpacked, and its bytes thrown away, only where its length alone cannot rule a bomb out: for most
    documents never.

    Args:
        pdf: the document.
        content: what draws its pages, what draws several of them once for each.
        size: the file's, in bytes.
        limits: the bounds.

    Raises:
        Refused: ``too_large_unpacked``.
    """
    harmless = size * MOST_OF_ALL <= limits.stream_bytes
    left = limits.unpacked_bytes
    known: dict[tuple[int, int], int] = {}
    for held in pdf.objects:
        if not isinstance(held, Stream):
            continue
        filters = filters_of(held.stream_dict)
        _weigh_image(held, filters, limits)
        if not harmless or len(filters) > _ONE:
            known[held.objgen] = unpacked(held, filters, limits.stream_bytes)
            left -= known[held.objgen]
        if left < 0:
            raise Refused("too_large_unpacked")
    drawn = [part.objgen for part in content]
    if not harmless or known or len(set(drawn)) < len(drawn):
        _weigh_drawn(content, known, limits)


def _weigh_drawn(content: Sequence[Stream], known: dict[tuple[int, int], int], limits: InspectionLimits) -> None:
    """What is printed is unpacked anew for each page."""
    left = limits.drawn_bytes
    for part in content:
        if part.objgen not in known:
            known[part.objgen] = unpacked(part, filters_of(part.stream_dict), limits.stream_bytes)
        left -= known[part.objgen]
        if left < 0:
            raise Refused("too_large_unpacked")


def _weigh_image(stream: Stream, filters: list[str], limits: InspectionLimits) -> None:
    described = stream.stream_dict
    if described.get("/Subtype") != Name.Image:
        return
    height = _number(described.get("/Height"))
    pixels = _number(described.get("/Width")) * height
    # What it says of itself counts as well: readers make room for that.
    if max(pixels, coded_pixels(stream, filters, height)) > limits.image_pixels:
        raise Refused("too_large_unpacked")


def _number(value: Any) -> float:
    """A side of an image as readers take it; 0 when it is none."""
    return abs(float(value)) if isinstance(value, int | float | Decimal) and math.isfinite(value) else 0.0
