"""Where a page has room: what is on it is looked at as a picture, so that nothing that can be seen is covered.

The picture comes from pdfium at 36 dpi. What isn't the page's own colour is ink, whatever made it: text, lines,
images, fields. Rows of the picture are whole numbers whose bits are pixels; a whole page is searched in a millisecond.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Final, Literal

import pypdfium2
from PIL import Image, ImageChops

Corner = Literal["bottom-right", "bottom-left", "top-right", "top-left"]

SCALE: Final = 0.5
"""Pixels per point."""
_CLEAN, _SCANNED = 6, 56
"""How far a pixel may be from the page's colour: on drawn pages, and on pictures of paper with their noise."""
_ROUNDING: Final = 2.5
"""Pixels that width and height may be off from each other."""
_WHOLE_PAGE: Final = 0.8
_LARGEST: Final = 4_000_000
_SECOND_LEVEL: Final = 2


@dataclass(frozen=True, slots=True)
class Ink:
    """What is on a page as seen, pixel by pixel.

    Attributes:
        width: pixels across.
        rows: from the top; the highest of ``width`` bits is the leftmost pixel, 1 is ink.
        scale: pixels per point.
    """

    width: int
    rows: tuple[int, ...]
    scale: float

    @classmethod
    def unpack(cls, packed: bytes, size: tuple[float, float]) -> "Ink":
        """From what ``look`` gave for a page of that size in points.

        Raises:
            ValueError: it gave nothing, or a page of another shape.
        """
        width, height = int.from_bytes(packed[:4], "big"), int.from_bytes(packed[4:8], "big")
        stride = (width + 7) // 8
        if not width or len(packed) != 8 + stride * height:
            raise ValueError("The page could not be looked at.")
        spare = stride * 8 - width
        starts = range(8, len(packed), stride)
        scale = width / size[0]
        if abs(size[1] * scale - height) > _ROUNDING * max(1.0, scale):
            raise ValueError("The page was read otherwise than it was seen.")
        rows = tuple(int.from_bytes(packed[at : at + stride], "big") >> spare for at in starts)
        return cls(width, rows, scale)

    def with_boxes(self, boxes: Iterable[tuple[float, float, float, float]]) -> "Ink":
        """With boxes (points, from the lower left corner) as if they were inked."""
        rows = list(self.rows)
        for left, bottom, right, top in boxes:
            first, last = max(0, int(left * self.scale)), min(self.width, int(right * self.scale) + 1)
            if first < last:
                bits = ((1 << (last - first)) - 1) << (self.width - last)
                upper, lower = len(rows) - int(top * self.scale) - 1, len(rows) - int(bottom * self.scale)
                for row in range(max(0, upper), min(len(rows), lower)):
                    rows[row] |= bits
        return Ink(self.width, tuple(rows), self.scale)

    def free(
        self, size: tuple[float, float], corner: Corner, *, margins: tuple[float, float], padding: float, reach: float
    ) -> tuple[float, float] | None:
        """Where a box of ``size`` points has room nearest to a corner: its left and bottom, in points.

        Args:
            size: width and height.
            corner: which.
            margins: points to stay away from the left and right edges, and from the upper and lower ones.
            padding: points to stay away from ink.
            reach: how much of the page's height from that corner's edge the box may lie in, 0 to 1.
        """
        wide, high = (_up((length + 2 * padding) * self.scale) for length in size)
        side, end = (max(0, _up((margin - padding) * self.scale)) for margin in margins)
        height = len(self.rows)
        lowest, rightmost = height - end - high, self.width - side - wide
        if lowest < end or rightmost < side:
            return None
        possible = ((1 << (rightmost - side + 1)) - 1) << (self.width - 1 - rightmost)
        upper, left_side = corner.startswith("top"), corner.endswith("left")
        limit = int(height * reach)
        tops = range(end, min(lowest, limit - high) + 1) if upper else range(lowest, max(end, height - limit) - 1, -1)
        found: tuple[int, int, int] | None = None
        bands = _ored(self.rows, high)
        for distance, top in enumerate(tops):
            if found is not None and distance >= found[0]:
                break
            free = possible & ~_spread(bands[top], wide)
            if free:
                left = self.width - (free.bit_length() if left_side else (free & -free).bit_length())
                away = distance + (left - side if left_side else rightmost - left)
                if found is None or away < found[0]:
                    found = away, left, top
        if found is None:
            return None
        _, left, top = found
        return left / self.scale + padding, (height - top - high) / self.scale + padding


def _up(value: float) -> int:
    return -int(-value // 1)


def _ored(rows: tuple[int, ...], count: int) -> list[int]:
    """For each row the union of it and those below, ``count`` in all; doubled step by step."""
    union, have = list(rows), 1
    while have < count:
        step = min(have, count - have)
        union = [union[at] | union[at + step] for at in range(len(union) - step)]
        have += step
    return union


def _spread(band: int, count: int) -> int:
    """The places where a run of ``count`` pixels to the right would meet ink."""
    have = 1
    while have < count:
        step = min(have, count - have)
        band |= band << step
        have += step
    return band


def look(stream: IO[bytes], page: int, scale: float = SCALE) -> bytes:
    """What is on a page, packed: width and height as four bytes each, then rows of bits.

    It is pdfium that reads the document here: callers who don't trust it run this in a process apart.

    Args:
        stream: the document.
        page: its index from 0.
        scale: pixels per unit of the page: pdfium leaves out what a unit is.

    Raises:
        ValueError: the page is too large to be looked at.
        pypdfium2.PdfiumError: pdfium can't read it.
    """
    document = pypdfium2.PdfDocument(stream)
    try:
        shown = document[page]
        width, height = shown.get_size()
        if width * height * scale**2 > _LARGEST:
            raise ValueError("The page is too large to be looked at.")
        # Smoothing is what lets thin lines leave something at this size.
        image: Image.Image = shown.render(scale=scale, rev_byteorder=True, may_draw_forms=False).to_pil().convert("RGB")
        bound = _SCANNED if _is_scan(shown, width * height) else _CLEAN
    finally:
        document.close()
    width_and_height: bytes = image.width.to_bytes(4, "big") + image.height.to_bytes(4, "big")
    return width_and_height + _ink(image, bound)


def _is_scan(page: pypdfium2.PdfPage, area: float) -> bool:
    kinds = [pypdfium2.raw.FPDF_PAGEOBJ_IMAGE]
    for picture in page.get_objects(filter=kinds, max_depth=_SECOND_LEVEL):
        left, bottom, right, top = picture.get_bounds()
        if (right - left) * (top - bottom) >= area * _WHOLE_PAGE:
            return True
    return False


def _ink(image: Image.Image, bound: int) -> bytes:
    # The page's own colour is the one along its edges: a large coloured part inside is drawn there.
    wide, high = image.size
    edges = ((0, 0, wide, 1), (0, high - 1, wide, high), (0, 0, 1, high), (wide - 1, 0, wide, high))
    counts: Counter[bytes] = Counter()
    for edge in edges:
        pixels = image.crop(edge).tobytes()
        counts.update(pixels[at : at + 3] for at in range(0, len(pixels), 3))
    red, green, blue = counts.most_common(1)[0][0]
    away = ImageChops.difference(image, Image.new("RGB", image.size, (red, green, blue)))
    bands = away.split()
    furthest = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
    mask: bytes = furthest.point([255 if value > bound else 0 for value in range(256)], "1").tobytes()
    return mask
