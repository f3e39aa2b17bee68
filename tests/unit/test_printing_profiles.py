from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator

from printing import profiles
from printing.profiles import Box, ProfileRefused, load, names, parse, read, schema

TOML = (Path(profiles.__file__).with_name("profiles") / "be-right.toml").read_text(encoding="utf-8")
OURS = ("be-left", "be-right", "uk-notify")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("width = 210", 'width = "wide"', "page.width: expected `float`, got `str`"),
        ("width = 210", "width = -1", "page.width: expected `float` > 0.0"),
        ("height = 297\n", "", "page.height: is missing"),
        ("[page]", "[page]\nblue = 1", "page.blue: there is no such key"),
        ('name = "be-right"', 'name = "be-right"\ncolour = 1', "colour: there is no such key"),
        ('name = "be-right"', 'name = "Be Right"', "name: expected `str` matching regex"),
        ("[page]", "[page", "profile: no TOML"),
        ("sizes = [12, 11]", "sizes = []", "address.sizes: expected `array` of length >= 1"),
        ("sizes = [12, 11]", 'sizes = [12, "x"]', "address.sizes[1]: expected `float`, got `str`"),
        ("most_lines = 7", "most_lines = 2", "address.most_lines: is below least_lines"),
        ("right = 195\nbottom = 69", "right = 80\nbottom = 69", "window: right must be greater than left"),
        ("right = 195\nbottom = 69", "right = 196\nbottom = 69", "window: lies outside of printable"),
        ("bottom = 84", "bottom = 60", "window: lies outside of window_reach"),
        (
            "right = 210\nbottom = 84",
            "right = 211\nbottom = 84",
            "window_reach: lies outside of the page of 210 × 297 mm",
        ),
        ("top = 131\nright = 12.8", "top = 80\nright = 75", "code_zone: lies in window_reach"),
        ("bottom = 20", "bottom = 41", "franking_zone: lies over the window"),
        (
            "[rules]",
            "[mail_id_zone]\nleft=80\ntop=40\nright=150\nbottom=52\n[rules]",
            "mail_id_zone: lies outside of the",
        ),
        ("most_sheets = 6", "most_sheets = 9", "envelopes: must stand in rising order of most_sheets"),
        ('name = "C5"', 'name = "C5/6"', "envelopes: two have the same name"),
        ("grams = 50, cents = 101", "grams = 100, cents = 101", "costs.products[0].steps: must stand in rising order"),
        ("cents = 101", "cents = -1", "costs.products[0].steps[0].cents: expected `int` >= 0"),
        ("tolerance = 1 #", "tolerance = 11 #", "rules.tolerance: expected `float` <= 10.0"),
        ('font_type3 = "warning"', 'font_type3 = "warn"', "rules.font_type3: invalid enum value 'warn'"),
    ],
)
def test_a_wrong_profile_is_refused_by_its_key_and_what_is_wrong(before: str, after: str, said: str) -> None:
    assert before in TOML
    with pytest.raises(ProfileRefused) as refused:
        parse(TOML.replace(before, after, 1))
    assert said in str(refused.value)
    assert all(key and what for key, what in refused.value.faults)


def test_all_that_contradicts_is_said_at_once() -> None:
    wrong = TOML.replace("most_lines = 7", "most_lines = 2").replace("most_sheets = 6", "most_sheets = 9")
    with pytest.raises(ProfileRefused) as refused:
        parse(wrong)
    assert [key for key, _ in refused.value.faults] == ["address.most_lines", "envelopes"]


def test_an_own_profile_lies_in_a_folder_and_may_stand_in_the_place_of_ours(tmp_path: Path) -> None:
    own = TOML.replace('name = "be-right"', 'name = "own"').replace(
        "letter_bytes = 8_000_000", "letter_bytes = 5_000_000"
    )
    (tmp_path / "own.toml").write_text(own)
    (tmp_path / "be-left.toml").write_text(own.replace('name = "own"', 'name = "be-left"'))
    assert names(tmp_path) == ("be-left", "be-right", "own", "uk-notify")
    assert load("own", tmp_path).limits.letter_bytes == load("be-left", tmp_path).limits.letter_bytes == 5_000_000
    assert load("be-right", tmp_path) == load()
    assert load("be-left").limits.letter_bytes == 8_000_000
    (tmp_path / "other.toml").write_text(own)
    with pytest.raises(ProfileRefused, match=r"name: is own, but the file is called other\.toml"):
        read(tmp_path / "other.toml")


@pytest.mark.parametrize("name", ["../be-right", "own", ""])
def test_an_unknown_profile_is_a_key_error(name: str) -> None:
    with pytest.raises(KeyError):
        load(name)


@pytest.mark.parametrize("name", OURS)
def test_our_profiles_can_be_used_and_say_whose_figures_their_costs_are(name: str) -> None:
    assert names() == OURS
    profile = load(name)
    reach, window = profile.window_reach, profile.window
    assert window.within(reach)
    assert profile.code_zone.right < profile.printable.left
    assert profile.costs is not None
    assert "Fictional" in profile.costs.note
    # The heaviest letter that an envelope holds has a price.
    heaviest = profile.grams(profile.envelopes[-1].most_sheets)
    for product in ("letter", "registered_letter"):
        assert profile.postage(product, 1) is not None
        assert profile.postage(product, heaviest) is not None


def test_be_left_is_be_right_in_the_mirror() -> None:
    right, left = load("be-right"), load("be-left")
    for one, other in ((right.window, left.window), (right.window_reach, left.window_reach)):
        assert other == Box(210 - one.right, one.top, 210 - one.left, one.bottom)
    same = {each: getattr(left, each) for each in ("page", "printable", "code_zone", "envelopes", "limits", "rules")}
    assert same == {each: getattr(right, each) for each in same}


def test_postage_goes_by_product_and_step_of_weight() -> None:
    profile = load()
    assert [profile.postage("letter", grams) for grams in (1, 50, 51, 100, 1000, 1001)] == [
        101,
        101,
        202,
        202,
        505,
        None,
    ]
    assert profile.postage("registered_letter", 50) == 808
    assert profile.postage("parcel", 50) is None
    assert msgspec.structs.replace(profile, costs=None).postage("letter", 50) is None


def test_the_schema_takes_our_profiles_and_refuses_what_reading_refuses() -> None:
    judge = Draft202012Validator(schema())
    for name in OURS:
        plain = msgspec.json.decode(msgspec.json.encode(load(name)))
        assert judge.is_valid(plain)
        assert not judge.is_valid(plain | {"colour": 1})
        assert not judge.is_valid(plain | {"envelopes": []})
        assert not judge.is_valid({key: value for key, value in plain.items() if key != "window"})


def test_boxes_know_whether_they_meet() -> None:
    box = Box(10, 10, 20, 20)
    assert box.meets(Box(19.9, 19.9, 30, 30))
    assert not box.meets(Box(20, 10, 30, 20))
    assert not box.meets(Box(10, 20, 20, 30))
    assert box.within(box)
    assert not box.within(Box(10.1, 10, 20, 20))
    assert (box.width, box.height) == (10, 10)
