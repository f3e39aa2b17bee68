"""The drawing of a visible seal: a white panel with who, when, a code and where it can be checked."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import segno

from signing.appearance.picture import Picture
from signing.appearance.typeface import Typeface

Variant = Literal["full", "compact"]

_GREY: Final = 0.3
_FRAME: Final = 0.55
_CAPITAL: Final = 0.72
"""Height of capitals, in sizes."""
_NARROWEST: Final = 0.72
"""How far a line may be condensed before it loses its end."""
_QR_MASK: Final = 3
"""One of the eight patterns that may be laid over a QR code (ISO/IEC 18004, 7.8). Readers take any of them; trying all
of them for the prettiest costs five times the code itself."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text: how large, and how much room it takes downwards, in points."""

    text: str
    size: float
    leading: float
    grey: float = 0
    strong: bool = False
    condense: float = 1


@dataclass(frozen=True, slots=True)
class Style:
    """The measures of a variant, in points.

    Attributes:
        quiet: white around the QR code; four of its modules (ISO/IEC 18004, 9.1) for codes of up to 29.
        names: sizes to try for the name, each with its leading and how many lines it may take.
    """

    height: float
    quiet: float
    widest: float
    names: tuple[tuple[float, float, int], ...]
    label: tuple[float, float]
    detail: tuple[float, float]
    check: tuple[float, float] | None
    logo: tuple[float, float]


STYLES: Final[dict[Variant, Style]] = {
    "full": Style(
        height=64, quiet=7, widest=176, names=((9, 10.5, 2), (7.5, 8.6, 3)), label=(6, 8), detail=(7, 8.6),
        check=(5.6, 7), logo=(60, 44),
    ),
    "compact": Style(
        height=36, quiet=4, widest=150, names=((6.8, 7.6, 1),), label=(5.2, 6.4), detail=(5.6, 6.6),
        check=None, logo=(30, 26),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class QrCode:
    """A QR code as one path of rectangles, so that its modules meet without seams; row by row downwards.

    Attributes:
        modules: how many there are across.
    """

    modules: int
    path: bytes

    @classmethod
    def of(cls, text: str) -> "QrCode":
        """The code of a text, with error correction for 15 % of it."""
        matrix = segno.make(text, error="m", micro=False, boost_error=False, mask=_QR_MASK).matrix
        parts = []
        for y, row in enumerate(matrix):
            start = 0
            while (start := row.find(1, start)) >= 0:
                end = row.find(0, start)
                end = len(row) if end < 0 else end
                parts.append(b"%d %d %d 1 re " % (start, y, end - start))
                start = end
        return cls(len(matrix), b"".join(parts))


@dataclass(frozen=True, slots=True)
class Said:
    """What stands on a panel, already printable."""

    act: str
    name: str
    time: str
    code: str | None
    check: str | None
    qr: QrCode | None


@dataclass(frozen=True, slots=True)
class Panel:
    """A drawn panel: its size in points and its compressed content."""

    width: float
    height: float
    content: bytes


def draw(variant: Variant, said: Said, face: Typeface, logo: Picture | None) -> Panel:
    """Draw a panel; its colour space is called ``C``, its font ``F`` and its logo ``L``."""
    style = STYLES[variant]
    lines = list(_lines(style, said, face))
    texts = max(face.width(line.text, line.size) * line.condense for line in lines)
    height = style.height if said.qr else min(style.height, _block(lines) + 2 * style.quiet)
    left = height if said.qr else style.quiet
    right = left + texts + style.quiet
    parts = [b""]
    if said.qr:
        parts.append(_qr(said.qr, style.quiet, height - 2 * style.quiet))
    parts.append(_text(lines, left, height, face))
    if logo is not None:
        scale = min(style.logo[0] / logo.width, min(style.logo[1], height - style.quiet) / logo.height)
        wide, high = logo.width * scale, logo.height * scale
        parts.append(b"q %s 0 0 %s %s %s cm /L Do Q\n" % _all(wide, high, right, (height - high) / 2))
        right += wide + style.quiet
    parts[0] = b"/C cs /C CS 1 1 1 sc 0 0 %s %s re f %s SC 0.5 w 0.25 0.25 %s %s re S\n" % (
        *_all(right, height),
        _grey(_FRAME),
        *_all(right - 0.5, height - 0.5),
    )
    return Panel(right, height, zlib.compress(b"".join(parts)))


def _lines(style: Style, said: Said, face: Typeface) -> Iterator[Line]:
    yield _fitted(said.act, *style.label, style.widest, face, grey=_GREY)
    yield from _name(style, said.name, face)
    yield _fitted(said.time, *style.detail, style.widest, face)
    if said.code:
        yield _fitted(said.code, *style.detail, style.widest, face)
    if said.check and style.check:
        yield _fitted(said.check, *style.check, style.widest, face, grey=_GREY)


def _name(style: Style, name: str, face: Typeface) -> Iterator[Line]:
    """In the largest size in which it needs no more lines than there are; in the smallest its end may be cut."""
    tries = [(setting, _wrapped(name, setting[0], style.widest, face)) for setting in style.names]
    (size, leading, most), pieces = next((each for each in tries if _fits(*each, style.widest, face)), tries[-1])
    for piece in (*pieces[: most - 1], " ".join(pieces[most - 1 :])):
        if piece:
            yield _fitted(piece, size, leading, style.widest, face, strong=True)


def _fits(setting: tuple[float, float, int], pieces: Sequence[str], width: float, face: Typeface) -> bool:
    size, _, most = setting
    return len(pieces) <= most and all(face.width(piece, size) <= width for piece in pieces)


def _wrapped(text: str, size: float, width: float, face: Typeface) -> list[str]:
    pieces = [""]
    for word in text.split(" "):
        longer = f"{pieces[-1]} {word}".strip()
        if pieces[-1] and face.width(longer, size) > width:
            pieces.append(word)
        else:
            pieces[-1] = longer
    return pieces


def _fitted(
    text: str, size: float, leading: float, width: float, face: Typeface, *, grey: float = 0, strong: bool = False
) -> Line:
    """Condense a line that is too long, and cut what is too long even so: the alternative text has all of it."""
    room = width / _NARROWEST
    if face.width(text, size) > room:
        while text and face.width(f"{text}…", size) > room:
            text = text[:-1]
        text = f"{text.rstrip()}…"
    condense = min(1.0, width / max(face.width(text, size), 0.1))
    return Line(text, size, leading, grey, strong, condense)


def _block(lines: Sequence[Line]) -> float:
    """How high lines are as they are seen: from the top of the first one's capitals to the last baseline."""
    return lines[0].size * _CAPITAL + sum(line.leading for line in lines[1:])


def _text(lines: Sequence[Line], left: float, height: float, face: Typeface) -> bytes:
    baseline = (height + _block(lines)) / 2 - lines[0].size * _CAPITAL
    parts = [b"BT\n"]
    for number, line in enumerate(lines):
        baseline -= line.leading if number else 0
        # No second font for one line: its outline is drawn a little as well (ISO 32000-1, 9.3.6).
        weight = (b"2 Tr %s w" % _number(line.size / 55)) if line.strong else b"0 Tr"
        parts.append(
            b"%s sc %s SC %s %s Tz /F %s Tf 1 0 0 1 %s %s Tm %s Tj\n"
            % (
                _grey(line.grey),
                _grey(line.grey),
                weight,
                *_all(line.condense * 100, line.size, left, baseline),
                face.encode(line.text),
            )
        )
    return b"".join([*parts, b"ET\n"])


def _qr(code: QrCode, at: float, size: float) -> bytes:
    scale = size / code.modules
    return b"q 0 0 0 sc %s 0 0 %s %s %s cm %sf Q\n" % (*_all(scale, -scale, at, at + size), code.path)


def _number(value: float) -> bytes:
    return f"{value:.2f}".rstrip("0").rstrip(".").encode()


def _grey(value: float) -> bytes:
    return b" ".join([_number(value)] * 3)


def _all(*values: float) -> tuple[bytes, ...]:
    return tuple(map(_number, values))
