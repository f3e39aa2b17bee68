"""How a profile writes down its look."""

import tomllib
from typing import Any

import pytest

from signing.appearance import InCorner, InField, InRectangle
from signing.appearance.table import parse
from tests.appearance_support import CODE, FONT, codes, described, logo, prepared, seen
from tests.signing_support import plain_pdf

WHOLE = """
organisation = "Région fictive"
language = "fr"
corner = "top-left"
page = 1
logo = "logo.png"
check_address = "https://zending.voorbeeld.be/verify?code={code}"
"""


def test_a_whole_table_becomes_a_look() -> None:
    asked = []

    def read(name: str) -> bytes:
        asked.append(name)
        return logo()

    look = parse(tomllib.loads(WHOLE)).appearance(font=FONT.read_bytes(), read=read)
    done = prepared(plain_pdf(), look)
    assert asked == ["logo.png"]
    assert codes(seen(done.pdf)) == [f"https://zending.voorbeeld.be/verify?code={CODE}"]
    assert described(done.pdf).startswith("Cacheté électroniquement par Région fictive le 28 novembre 2026, 16:30:05")
    assert done.shown.box is not None
    assert done.shown.box[0] < 50


BASE: dict[str, Any] = {"organisation": "A", "language": "nl"}
PLACES: tuple[tuple[dict[str, Any], Any], ...] = (
    ({}, InCorner("bottom-right", -1)),
    ({"corner": "top-right", "page": 2}, InCorner("top-right", 2)),
    ({"rectangle": [10, 20, 200, 80]}, InRectangle((10, 20, 200, 80), -1)),
    ({"field": "Zegel"}, InField("Zegel", InCorner("bottom-right", -1))),
    ({"field": "Zegel", "field_required": True}, InField("Zegel", None)),
    ({"field": "Zegel", "rectangle": [1, 2, 3, 4]}, InField("Zegel", InRectangle((1, 2, 3, 4), -1))),
)


@pytest.mark.parametrize(("more", "place"), PLACES)
def test_places_are_read(more: dict[str, Any], place: Any) -> None:
    assert parse(BASE | more).place == place


WRONG: dict[str, dict[str, Any]] = {
    "no organisation": {"organisation": ""},
    "an unknown language": {"language": "it"},
    "an unknown corner": {"corner": "middle"},
    "an unknown key": {"colour": "red"},
    "no such page": {"page": 0},
    "a rectangle the wrong way round": {"rectangle": [200, 20, 10, 80]},
    "a rectangle of three": {"rectangle": [1, 2, 3]},
    "a required field without a name": {"field_required": True},
    "an address without the code": {"check_address": "https://zending.voorbeeld.be"},
    "no time zone": {"zone": "Europe/Atlantis"},
    "a path instead of a time zone": {"zone": "../../etc/passwd"},
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_meant_is_refused(what: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse(BASE | WRONG[what])
