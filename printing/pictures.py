"""A picture of a checked page: what must be free, and what was found there.

Every kind of place has a pattern and a letter of its own and every finding a number, so that nothing hangs on colours.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec
import pypdfium2
from PIL import Image, ImageDraw, ImageFont, ImageOps

from printing.errors import Problem
from printing.ink import render
from printing.profiles import Box, Profile
from printing.zones import First

Language = Literal["nl", "fr", "de", "en"]
Colour = tuple[int, int, int]

_SCALE: Final = 4
"""Pixels in a millimetre."""
_FOLDER: Final = Path(__file__).parent
_RED: Final = (190, 0, 30)
_WHITE: Final = (255, 255, 255)
_BLACK: Final = (0, 0, 0)
_TEXT: Final = 19  # pixels
_ROW: Final = 34
_MARGIN: Final = 16
_INDENT: Final = 110
_FLAG: Final = 28
_RADIUS: Final = 13


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The legend in one language."""

    margins: str
    reach: str
    window: str
    code: str
    franking: str
    mail_id: str
    found: str
    page: str


@dataclass(frozen=True)
class Wanted:
    """Pictures that are asked for: the numbers of the pages, and the language of their legends."""

    pages: frozenset[int] = frozenset()
    language: Language = "en"


NONE: Final = Wanted()


@dataclass(frozen=True)
class Shape:
    """How a kind of place is drawn: its letter, the slope of its hatching (0 for none), its colour, its name."""

    letter: str
    slope: int
    step: int
    colour: Colour
    name: str


@cache
def words() -> dict[Language, Words]:
    """All languages."""
    text = (_FOLDER / "pictures.toml").read_text(encoding="utf-8")
    found: dict[Language, Words] = msgspec.convert(tomllib.loads(text), dict[Language, Words])
    assert set(found) == set(get_args(Language))
    return found


@cache
def _font(weight: str = "Regular", size: int = _TEXT) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(BytesIO((_FOLDER / "fonts" / f"LiberationSans-{weight}.ttf").read_bytes()), size)


def draw_picture(
    page: pypdfium2.PdfPage,
    profile: Profile,
    *,
    front: bool,
    first: First,
    problems: Sequence[Problem],
    language: Language,
) -> bytes:
    """Draw a page as PNG, with the places that are kept free on it and the boxes of its problems.

    Args:
        page: of the profile's size.
        profile: of the print house.
        front: it is printed on a front.
        first: what the window shows of it.
        problems: of this page.
        language: of the legend.
    """
    plain = ImageOps.autocontrast(render(page, profile, grid=_SCALE), cutoff=0).convert("RGB")
    # Paler than it is printed, so that what is drawn over it stands out.
    plain = Image.blend(plain, Image.new("RGB", plain.size, _WHITE), 0.35)
    places = _places(profile, words()[language], front=front, first=first)
    _draw_margins(plain, profile, _margin_shape(words()[language]))
    for box, shape in places:
        _draw_place(plain, box, shape)
    pen = ImageDraw.Draw(plain)
    for problem in problems:
        for box in problem.boxes:
            _draw_found(pen, box, plain.size)
    for number, problem in enumerate(problems, start=1):
        for box in problem.boxes:
            _flag(pen, _place_of_flag(box, number, plain.size), number)
    shapes = sorted([_margin_shape(words()[language]), *(shape for _, shape in places)], key=lambda shape: shape.letter)
    whole = _with_legend(plain, shapes, problems, language)
    saved = BytesIO()
    whole.quantize(64, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(saved, "PNG")
    return saved.getvalue()


def _margin_shape(said: Words) -> Shape:
    return Shape("A", 1, 9, (120, 120, 120), said.margins)


def _places(profile: Profile, said: Words, *, front: bool, first: First) -> list[tuple[Box, Shape]]:
    found: list[tuple[Box, Shape]] = []
    if first is not First.BEHIND:
        found.append((profile.window_reach, Shape("B", -1, 11, (0, 90, 160), said.reach)))
        found.append((profile.window, Shape("C", 0, 0, (0, 60, 120), said.window)))
        if profile.mail_id_zone is not None:
            found.append((profile.mail_id_zone, Shape("F", 0, 0, (0, 110, 60), said.mail_id)))
        if profile.franking_zone is not None:
            found.append((profile.franking_zone, Shape("E", 2, 14, (150, 110, 0), said.franking)))
    if front:
        found.append((profile.code_zone, Shape("D", 2, 6, (90, 0, 120), said.code)))
    return found


def _pixels(box: Box) -> tuple[int, int, int, int]:
    return (round(box.left * _SCALE), round(box.top * _SCALE), round(box.right * _SCALE), round(box.bottom * _SCALE))


def _draw_margins(picture: Image.Image, profile: Profile, shape: Shape) -> None:
    left, top, right, bottom = _pixels(profile.printable)
    width, height = picture.size
    for strip in ((0, 0, width, top), (0, bottom, width, height), (0, top, left, bottom), (right, top, width, bottom)):
        _hatch(picture, strip, shape)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((left, top, right, bottom), outline=shape.colour, width=1)
    _letter(pen, (left // 2, height // 3), shape)
    _letter(pen, ((right + width) // 2, height // 3), shape)


def _hatch(picture: Image.Image, area: tuple[int, int, int, int], shape: Shape) -> None:
    """Parallel lines over an area: rising, falling (slope below 0), or both (2)."""
    width, height = area[2] - area[0], area[3] - area[1]
    if width <= 0 or height <= 0 or not shape.slope:
        return
    mask = Image.new("L", (width, height), 0)
    pen = ImageDraw.Draw(mask)
    for start in range(-height, width + height, shape.step):
        if shape.slope != -1:
            pen.line((start, height, start + height, 0), fill=150)
        if shape.slope != 1:
            pen.line((start, 0, start + height, height), fill=150)
    picture.paste(shape.colour, (area[0], area[1]), mask)


def _draw_place(picture: Image.Image, box: Box, shape: Shape) -> None:
    area = _pixels(box)
    _hatch(picture, area, shape)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((area[0], area[1], area[2] - 1, area[3] - 1), outline=shape.colour, width=2)
    _letter(pen, (max(area[0], 0) + 14, area[1] + 14), shape)


def _letter(pen: ImageDraw.ImageDraw, at: tuple[int, int], shape: Shape) -> None:
    x, y = at
    pen.rectangle((x - 11, y - 12, x + 11, y + 12), fill=_WHITE, outline=shape.colour, width=2)
    pen.text((x, y), shape.letter, font=_font("Bold"), fill=shape.colour, anchor="mm")


def _draw_found(pen: ImageDraw.ImageDraw, box: Box, size: tuple[int, int]) -> None:
    left, top, right, bottom = _pixels(box)
    edges = (max(left - 3, 0), max(top - 3, 0), min(right + 3, size[0] - 1), min(bottom + 3, size[1] - 1))
    pen.rectangle(edges, outline=_WHITE, width=6)
    pen.rectangle((edges[0] + 1, edges[1] + 1, edges[2] - 1, edges[3] - 1), outline=_RED, width=4)


def _place_of_flag(box: Box, number: int, size: tuple[int, int]) -> tuple[int, int]:
    """The box's corner, beside the flags of what was found before at the same place."""
    left, top, _, _ = _pixels(box)
    x = max(left, _RADIUS) + (number - 1) * _FLAG
    return min(x, size[0] - _RADIUS), min(max(top, _RADIUS), size[1] - _RADIUS)


def _flag(pen: ImageDraw.ImageDraw, at: tuple[int, int], number: int) -> None:
    x, y = at
    pen.ellipse((x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS), fill=_RED, outline=_WHITE, width=2)
    pen.text((x, y), str(number), font=_font("Bold"), fill=_WHITE, anchor="mm")


def _with_legend(
    picture: Image.Image, shapes: Sequence[Shape], problems: Sequence[Problem], language: Language
) -> Image.Image:
    # Sentences stand here in English alone; a page in another language has them beside the picture.
    said = [f"{each.code}: {each.detail}" if language == "en" else each.code for each in problems]
    rows = [_wrapped(text, picture.width - _INDENT - _MARGIN) for text in said]
    height = _MARGIN + _ROW * (len(shapes) + sum(map(len, rows))) + _MARGIN
    whole = Image.new("RGB", (picture.width + 2, picture.height + 2 + height), _WHITE)
    whole.paste(picture, (1, 1))
    pen = ImageDraw.Draw(whole)
    pen.rectangle((0, 0, picture.width + 1, picture.height + 1), outline=_BLACK)
    y = picture.height + 2 + _MARGIN
    for number, lines in enumerate(rows, start=1):
        _flag(pen, (_MARGIN + 38, y + 14), number)
        for line in lines:
            pen.text((_INDENT, y + 14), line, font=_font("Bold"), fill=_RED, anchor="lm")
            y += _ROW
    for shape in shapes:
        sample = (_MARGIN, y, _MARGIN + 76, y + _ROW - 6)
        _hatch(whole, sample, shape)
        pen.rectangle(sample, outline=shape.colour, width=2)
        _letter(pen, (_MARGIN + 38, y + 14), shape)
        pen.text((_INDENT, y + 14), shape.name, font=_font(), fill=_BLACK, anchor="lm")
        y += _ROW
    return whole


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if _font("Bold").getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
