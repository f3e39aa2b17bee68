"""An organisation's logo as its address pages show it: laid on white, as large as it is printed, read once."""

import hashlib
import zlib
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Final

import pikepdf
from pikepdf import Name
from PIL import Image, ImageOps

from printing.errors import PrintingError, Problem
from printing.profiles import MM

LARGEST_FILE: Final = 4 << 20
"""Bytes of a file that is taken in."""
TALLEST: Final = 13.0
"""mm; what stands beside it is three lines high."""
WIDEST: Final = 42.0
_LARGEST: Final = 20_000_000  # pixels
_PER_MM: Final = 300 / 25.4
_LEAST: Final = 40  # pixels: less is no logo on paper
_FAINT: Final = 8  # of 255: greys that paper doesn't show
_FORMATS: Final = ("PNG", "JPEG")


class LogoRefused(PrintingError):
    """The file can be no logo; codes ``LOGO_…``."""


@dataclass(frozen=True)
class Logo:
    """A logo that was taken in.

    Attributes:
        png: as `taken_in` gives it.
        colour: whether the letter is printed in colours.
    """

    png: bytes
    colour: bool = False

    @property
    def size(self) -> tuple[float, float]:
        """Width and height on paper, in mm."""
        width, height = _shown(self.png).size
        scale = min(WIDEST / width, TALLEST / height)
        return round(width * scale, 2), round(height * scale, 2)

    def placed(self, left: float, top: float, page_height: float) -> bytes:
        """Operators that show it with its corner there; positions in mm from the page's top-left corner."""
        width, height = self.size
        place = (width * MM, height * MM, left * MM, (page_height - top - height) * MM)
        return b"%.3f 0 0 %.3f %.3f %.3f cm /Logo Do" % place

    def stream(self, pdf: pikepdf.Pdf) -> pikepdf.Stream:
        """Its picture as an object of a document; equal logos give equal objects, which a batch holds once."""
        image = _shown(self.png)
        pixels = (image if self.colour else image.convert("L")).tobytes()
        made = pdf.make_stream(zlib.compress(pixels, 9))
        made.update(
            {
                "/Type": Name.XObject,
                "/Subtype": Name.Image,
                "/Width": image.width,
                "/Height": image.height,
                "/ColorSpace": Name.DeviceRGB if self.colour else Name.DeviceGray,
                "/BitsPerComponent": 8,
                "/Filter": Name.FlateDecode,
            }
        )
        return made


def taken_in(data: bytes) -> bytes:
    """A logo from a PNG or JPEG file: without its white edges, not larger than 300 dots to the inch need.

    Raises:
        LogoRefused: ``LOGO_UNREADABLE``, ``LOGO_TOO_LARGE``, ``LOGO_TOO_SMALL``, ``LOGO_EMPTY``.
    """
    if len(data) > LARGEST_FILE:
        raise LogoRefused(Problem("LOGO_TOO_LARGE", "The file has more than four megabytes."))
    try:
        opened = Image.open(BytesIO(data), formats=_FORMATS)
        if opened.width * opened.height > _LARGEST:
            raise LogoRefused(Problem("LOGO_TOO_LARGE", "The picture has more than twenty million pixels."))
        image = ImageOps.exif_transpose(opened).convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise LogoRefused(Problem("LOGO_UNREADABLE", "The file is no PNG or JPEG that can be read.")) from error
    flat = Image.new("RGBA", image.size, "white")
    flat.alpha_composite(image)
    inked = ImageOps.invert(flat.convert("L")).point([0] * _FAINT + [255] * (256 - _FAINT)).getbbox()
    if inked is None:
        raise LogoRefused(Problem("LOGO_EMPTY", "On white paper nothing of the logo can be seen."))
    cut = flat.convert("RGB").crop(inked)
    if max(cut.size) < _LEAST:
        raise LogoRefused(Problem("LOGO_TOO_SMALL", f"The logo needs at least {_LEAST} pixels in width or height."))
    scale = min(1.0, WIDEST * _PER_MM / cut.width, TALLEST * _PER_MM / cut.height)
    size = (max(1, round(cut.width * scale)), max(1, round(cut.height * scale)))
    out = BytesIO()
    (cut if size == cut.size else cut.resize(size, Image.Resampling.LANCZOS)).save(out, "PNG", optimize=True)
    return out.getvalue()


def sha256_of(png: bytes) -> bytes:
    """What tells one logo from another."""
    return hashlib.sha256(png).digest()


@lru_cache(maxsize=64)
def _shown(png: bytes) -> Image.Image:
    image = Image.open(BytesIO(png), formats=("PNG",))
    return image.convert("RGB")
