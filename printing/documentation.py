"""Pictures and the schema of profiles for the documents: ``python -m printing.documentation docs`` writes them anew."""

import json
import sys
from collections.abc import Iterator
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Final

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from printing import samples
from printing.checks import check_document
from printing.pictures import Wanted
from printing.profiles import MM, Box, Profile, load, names, schema

SCHEMA: Final = "print-profile.schema.json"
CHECKED: Final = "pictures/checked-letter.png"

_SIDE: Final = 118  # mm beside the page for the list of places
_COLOURS: Final = {
    "A": "#666666",
    "B": "#005aa0",
    "C": "#003c78",
    "D": "#5a0078",
    "E": "#7a5a00",
    "F": "#006e3c",
}


def documents() -> dict[str, bytes]:
    """All of them, by their path below the folder of the documents."""
    found = {f"pictures/profile-{name}.svg": drawing(load(name)).encode() for name in names()}
    found[SCHEMA] = (json.dumps(schema(), indent=1, sort_keys=True) + "\n").encode()
    found[CHECKED] = _checked()
    found |= {f"pictures/{name}": content for name, content in samples.pictures().items()}
    return found


def places(profile: Profile) -> Iterator[tuple[str, str, Box]]:
    """The places of a profile on the first page: letter, name, box."""
    yield "A", "printable: nothing is printed outside of it", profile.printable
    yield "B", "window_reach: may come into the window", profile.window_reach
    yield "C", "window: the address stands here", profile.window
    yield "D", "code_zone: free on every front", profile.code_zone
    if profile.franking_zone is not None:
        yield "E", "franking_zone: the post franks the envelope here", profile.franking_zone
    if profile.mail_id_zone is not None:
        yield "F", "mail_id_zone: the post's code of the letter", profile.mail_id_zone


def drawing(profile: Profile) -> str:
    """A profile's page as SVG, one unit to the millimetre, with the measures of each place."""
    width, height = profile.page.width, profile.page.height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-3 -3 {width + _SIDE:g} {height + 6:g}">',
        '<g font-family="sans-serif" font-size="4.2">',
        f"<title>Profile {escape(profile.name)}</title>",
        _PATTERNS,
        f'<rect x="-3" y="-3" width="{width + _SIDE:g}" height="{height + 6:g}" fill="#fff"/>',
        f'<rect width="{width:g}" height="{height:g}" fill="url(#A)" stroke="#000" stroke-width="0.6"/>',
    ]
    for letter, _, box in places(profile):
        fill = "#fff" if letter in "AC" else f"url(#{letter})"
        parts.append(
            f'<rect x="{box.left:g}" y="{box.top:g}" width="{box.width:g}" height="{box.height:g}" '
            f'fill="{fill}" stroke="{_COLOURS[letter]}" stroke-width="0.6"/>'
        )
    parts.extend(_letter(letter, box.left + 4, box.top + 4) for letter, _, box in places(profile))
    beside, y = width + 6, 6.0
    for letter, name, box in places(profile):
        parts.append(_letter(letter, beside + 2, y))
        measures = f"x {box.left:g} to {box.right:g}, y {box.top:g} to {box.bottom:g}"
        for line in (*name.split(": "), measures):
            parts.append(f'<text x="{beside + 8:g}" y="{y + 1.5:g}">{escape(line)}</text>')
            y += 5.6
        y += 4
    for line in _weights(profile):
        parts.append(f'<text x="{beside:g}" y="{y + 1.5:g}">{escape(line)}</text>')
        y += 5.6
    return "\n".join([*parts, "</g>", "</svg>", ""])


_PATTERNS: Final = """<defs>
<pattern id="A" width="3" height="3" patternUnits="userSpaceOnUse"><path d="M0 3L3 0" stroke="#999" stroke-width="0.3"/></pattern>
<pattern id="B" width="4" height="4" patternUnits="userSpaceOnUse"><path d="M0 0L4 4" stroke="#005aa0" stroke-width="0.3"/></pattern>
<pattern id="D" width="1.6" height="1.6" patternUnits="userSpaceOnUse"><path d="M0 0L1.6 1.6M0 1.6L1.6 0" stroke="#5a0078" stroke-width="0.2"/></pattern>
<pattern id="E" width="5" height="5" patternUnits="userSpaceOnUse"><path d="M0 0L5 5M0 5L5 0" stroke="#7a5a00" stroke-width="0.3"/></pattern>
<pattern id="F" width="2" height="2" patternUnits="userSpaceOnUse"><path d="M1 0V2" stroke="#006e3c" stroke-width="0.3"/></pattern>
</defs>"""  # noqa: E501 - one line for each pattern


def _letter(letter: str, x: float, y: float) -> str:
    colour = _COLOURS[letter]
    return (
        f'<rect x="{x - 2.6:g}" y="{y - 2.8:g}" width="5.2" height="5.6" fill="#fff" stroke="{colour}" '
        f'stroke-width="0.5"/><text x="{x:g}" y="{y + 1.5:g}" text-anchor="middle" font-weight="bold" '
        f'fill="{colour}">{letter}</text>'
    )


def _weights(profile: Profile) -> Iterator[str]:
    yield f"Page {profile.page.width:g} × {profile.page.height:g} mm, within {profile.page.tolerance:g}"
    yield f"Ink: darker than {profile.rules.darkest}, {profile.rules.tolerance:g} mm beyond A"
    for envelope in profile.envelopes:
        yield f"{envelope.name}: up to {envelope.most_sheets} sheets of {profile.paper.grams} g"


def _checked() -> bytes:
    """A letter with something wrong of each kind, as its sender is shown it."""
    out = BytesIO()
    face = "Plain"
    font = Path(__file__).with_name("fonts") / "LiberationSans-Regular.ttf"
    pdfmetrics.registerFont(TTFont(face, str(font)))
    canvas = Canvas(out, pagesize=(210 * MM, 297 * MM), initialFontName=face, invariant=True)  # type: ignore[arg-type]  # the stubs say float
    canvas.setFont(face, 16)
    canvas.drawString(25 * MM, 277 * MM, "Gemeente Voorbeeldegem (fictional)")
    canvas.setFont(face, 11)
    for number, line in enumerate(("Mevrouw Anaïs Voorbeeld", "Kerkstraat 12 bus 3", "9999 Voorbeeldegem")):
        canvas.drawString(95 * MM, (249 - 5 * number) * MM, line)
    canvas.drawString(25 * MM, 226 * MM, "Betreft: uw aanvraag van 3 november, met een onderwerp dat te hoog begint")
    for number in range(18):
        canvas.drawString(25 * MM, (195 - 6 * number) * MM, "Een regel van de brief, die zegt wat er te zeggen valt.")
    canvas.rect(0, 40 * MM, 9 * MM, 60 * MM, stroke=0, fill=1)
    canvas.rect(7 * MM, 160 * MM, 5 * MM, 4 * MM, stroke=0, fill=1)
    canvas.showPage()
    canvas.save()
    return check_document(out.getvalue(), load(), "adopt", pictures=Wanted(frozenset({1}))).pictures[1]


def main(folder: Path) -> None:
    """Write all of them."""
    for path, content in documents().items():
        (folder / path).write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
