"""The pictures and the schema in docs are those of the profiles and the checks that run."""

from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from PIL import Image, ImageChops

from printing.checks import check_document
from printing.documentation import documents, drawing, main, places
from printing.errors import Problem
from printing.pictures import Language, Wanted, words
from printing.profiles import Box, load, names
from printing.zones import Mode
from tests.letter_check_support import ink, page, pages, text

DOCS = Path(__file__).parents[2] / "docs"
AGAIN = "Write them anew: python -m printing.documentation docs"


@pytest.mark.parametrize("path", sorted(documents()))
def test_what_docs_show_is_what_runs(path: str) -> None:
    assert (DOCS / path).read_bytes() == documents()[path], AGAIN
    assert Path(path).name in (DOCS / "printing.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", names())
def test_a_drawing_shows_every_place_with_a_letter_and_its_measures(name: str) -> None:
    profile = load(name)
    drawn = ET.fromstring(documents()[f"pictures/profile-{name}.svg"])
    said = ["".join(each.itertext()) for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    for letter, _, box in places(profile):
        assert said.count(letter) == 2
        assert f"x {box.left:g} to {box.right:g}, y {box.top:g} to {box.bottom:g}" in said


def shown(
    pdf: bytes, number: int = 1, *, mode: Mode = "stamp", language: Language = "en"
) -> tuple[Image.Image, tuple[Problem, ...]]:
    found = check_document(pdf, load(), mode, pictures=Wanted(frozenset({number}), language))
    return Image.open(BytesIO(found.pictures[number])).convert("RGB"), found.problems


def test_a_picture_shows_the_page_its_zones_and_a_frame_around_what_was_found() -> None:
    clean, _ = shown(page(text(20, 150, "tekst")))
    wrong, problems = shown(page(text(20, 150, "tekst"), ink(Box(100, 50, 120, 60))))
    assert [each.code for each in problems] == ["WINDOW_INK"]
    # The page itself is as large in both; more legend stands under the one with a problem.
    assert clean.width == wrong.width == 842
    assert wrong.height > clean.height
    page_of = (1, 1, 841, 1189)
    # Both have palettes of their own, whose shades are not quite the same.
    apart = ImageChops.difference(clean.crop(page_of), wrong.crop(page_of)).convert("L")
    differs = apart.point([255 if shade > 60 else 0 for shade in range(256)]).getbbox()
    assert differs is not None
    left, top, right, bottom = (edge / 4 for edge in differs)
    assert 95 < left < 100
    assert 45 < top < 50
    assert 120 < right < 123
    assert 60 < bottom < 63


def test_a_back_shows_no_zone_of_a_code_and_a_further_page_no_window() -> None:
    """Told from one another without colour: by the rows of the legend."""
    two = pages([text(20, 150, "een")], [text(20, 150, "twee")])
    heights = {number: shown(two, number)[0].height for number in (1, 2)}
    assert heights[1] - heights[2] == 4 * 34
    assert shown(two, 1, mode="page")[0].height - heights[2] == 34


@pytest.mark.parametrize("language", sorted(words()))
def test_a_legend_fits_its_picture_in_each_language(language: Language) -> None:
    picture, _ = shown(page(ink(Box(0, 0, 210, 297))), language=language)
    right_edge = picture.crop((830, 1192, 842, picture.height))
    assert right_edge.convert("L").getextrema()[0] > 250


def test_the_code_of_the_post_is_drawn_where_a_profile_has_one() -> None:
    zone = Box(89, 40, 160, 51)
    profile = msgspec.structs.replace(load(), mail_id_zone=zone, franking_zone=None)
    drawn = drawing(profile)
    assert "x 89 to 160, y 40 to 51" in drawn
    assert "franking_zone" not in drawn
    plain = check_document(page(text(20, 150, "x")), load(), "stamp", pictures=Wanted(frozenset({1}))).pictures[1]
    coded = check_document(page(text(20, 150, "x")), profile, "stamp", pictures=Wanted(frozenset({1}))).pictures[1]
    # One kind of place more, one less: as high, and not the same.
    assert plain != coded
    sizes = [Image.open(BytesIO(each)).size for each in (plain, coded)]
    assert sizes[0] == sizes[1]


def test_all_are_written_where_they_belong(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    main(tmp_path)
    assert {str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*.*")} == set(documents())
