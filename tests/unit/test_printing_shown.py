"""Our own composing looked at: in every profile and language the window shows the address and nothing beside it."""

import pytest

from printing.checks import check_letter
from printing.letters import Language
from printing.profiles import load, names
from printing.shown import check_shown
from tests.printing_support import ADDRESS, document, letter

LONG = "VB/2026/0001-een-lang-kenmerk-van-iemand/met-nog-meer"
WIDE = (
    "Αλέξανδρος Παπαδόπουλος-Łukasz",
    "Straße der Befreiung 12\N{HYPHEN}14",
    "ул. Ленина 3",
    "1020 Wien",
    "Österreich",
)


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("language", ["nl", "fr", "de", "en"])
@pytest.mark.parametrize("address", [ADDRESS, WIDE], ids=["plain", "wide"])
def test_a_letter_with_an_address_page_shows_the_address_alone(
    name: str, language: Language, address: tuple[str, ...]
) -> None:
    profile = load(name)
    made = letter(document("x"), profile=profile, language=language, reference=LONG, address=address)
    found = check_letter(made.pdf, sheets=made.sheets, profile=profile, duplex=made.duplex)
    assert found.problems == ()
    assert check_shown(found.window_lines, address, profile) is None


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ADDRESS[:2],
        (*ADDRESS, "Betreft"),
        ("Kenmerk", *ADDRESS),
        (ADDRESS[1], ADDRESS[0], ADDRESS[2]),
        (ADDRESS[0], "Kerkstraat 13 bus 3", ADDRESS[2]),
    ],
)
def test_anything_else_in_the_window_is_noticed(lines: tuple[str, ...]) -> None:
    profile = load()
    found = check_shown(lines, ADDRESS, profile)
    assert found is not None
    assert (found.code, found.page, found.boxes) == ("ADDR_DIFFERS", 1, (profile.window,))
    assert not any(line in found.detail for line in ADDRESS)


def test_a_line_of_ours_above_the_address_may_stand_there() -> None:
    assert check_shown(("RP", "123", *ADDRESS), ADDRESS, load(), own=("123",)) is None
    assert check_shown(("RP", *ADDRESS), ADDRESS, load()) is not None
    for lines in ((*ADDRESS, "RP"), (ADDRESS[0], "RP", *ADDRESS[1:])):
        assert check_shown(lines, ADDRESS, load(), own=("RP",)) is not None
