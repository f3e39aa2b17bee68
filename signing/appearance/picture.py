"""A logo prepared once: a PNG laid on white, as small as it can be told, in colours that need no output intent."""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its constructors without.

import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from PIL import Image
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.writer import BasePdfFileWriter

TALLEST: Final = 160
"""Pixels: 260 to the inch at the height a logo gets."""
_LARGEST: Final = 20_000_000
_MOST_COLOURS: Final = 64
"""Logos have few; what smoothing their edges adds needs no more than this."""


def numbers(*values: float) -> generic.ArrayObject:
    """Numbers as an array of PDF."""
    return generic.ArrayObject(generic.FloatObject(str(value)) for value in values)


def colour_space() -> generic.ArrayObject:
    """Red, green and blue with the primaries of sRGB (IEC 61966-2-1), calibrated (ISO 32000-1, 8.6.5.3).

    They mean the same on every device, so PDF/A asks for no output intent. Greys are made with it as well: poppler
    gives calibrated grey a tint.
    """
    matrix = numbers(0.4124, 0.2126, 0.0193, 0.3576, 0.7152, 0.1192, 0.1805, 0.0722, 0.9505)
    calibration = {
        pdf_name("/WhitePoint"): numbers(0.9505, 1, 1.089),
        pdf_name("/Gamma"): numbers(2.2, 2.2, 2.2),
        pdf_name("/Matrix"): matrix,
    }
    return generic.ArrayObject([pdf_name("/CalRGB"), generic.DictionaryObject(calibration)])


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture, ready to be put into any number of documents.

    Attributes:
        width, height: in pixels.
    """

    width: int
    height: int
    _palette: bytes
    _pixels: bytes

    @classmethod
    def from_png(cls, png: bytes) -> "Picture":
        """Take in a PNG. Where it lets something through, that will be the panel's white.

        Raises:
            ValueError: it isn't a PNG, or has more than twenty million pixels.
        """
        try:
            opened = Image.open(BytesIO(png), formats=("PNG",))
            if opened.width * opened.height > _LARGEST:
                raise ValueError("The logo has more than twenty million pixels.")
            image = opened.convert("RGBA")
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError("The logo is no PNG that can be read.") from error
        flat = Image.new("RGBA", image.size, "white")
        flat.alpha_composite(image)
        if flat.height > TALLEST:
            flat = flat.resize((max(1, round(flat.width * TALLEST / flat.height)), TALLEST), Image.Resampling.LANCZOS)
        return cls._of(flat.convert("RGB"))

    @classmethod
    def _of(cls, image: Image.Image) -> "Picture":
        pixels = _pixels(image)
        if len(set(pixels)) > _MOST_COLOURS:
            pixels = _pixels(image.quantize(_MOST_COLOURS, dither=Image.Dither.NONE).convert("RGB"))
        known = {colour: number for number, colour in enumerate(sorted(set(pixels)))}
        palette = b"".join(map(bytes, known))
        return cls(image.width, image.height, palette, zlib.compress(bytes(map(known.__getitem__, pixels)), 9))

    def add_to(self, writer: BasePdfFileWriter, space: generic.IndirectObject) -> generic.IndirectObject:
        """Put the picture into an update, its colours taken from ``space``; returns the reference for the resources."""
        last = generic.NumberObject(len(self._palette) // 3 - 1)
        palette = generic.ByteStringObject(self._palette)
        return writer.add_object(
            generic.StreamObject(
                {
                    pdf_name("/Type"): pdf_name("/XObject"),
                    pdf_name("/Subtype"): pdf_name("/Image"),
                    pdf_name("/Width"): generic.NumberObject(self.width),
                    pdf_name("/Height"): generic.NumberObject(self.height),
                    pdf_name("/ColorSpace"): generic.ArrayObject([pdf_name("/Indexed"), space, last, palette]),
                    pdf_name("/BitsPerComponent"): generic.NumberObject(8),
                    pdf_name("/Filter"): pdf_name("/FlateDecode"),
                },
                encoded_data=self._pixels,
            )
        )


def _pixels(image: Image.Image) -> list[tuple[int, int, int]]:
    raw = image.tobytes()
    return list(zip(raw[::3], raw[1::3], raw[2::3], strict=True))
