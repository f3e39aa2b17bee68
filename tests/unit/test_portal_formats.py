"""Days, moments and sizes, as each language writes them."""

from datetime import UTC, datetime

import pytest

from service.portal import formats
from service.portal.languages import OFFERED, words

# Half an hour before midnight by UTC: the day after, and the first of a month, in Belgium.
FIRST = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
ELEVENTH = datetime(2026, 7, 11, 7, 5, tzinfo=UTC)
WRITTEN = {
    "nl": ("1 december 2026, 00:30", "11 juli 2026, 09:05", "1 kB", "1.000 kB", "2,9 MB"),
    "fr": ("1er décembre 2026, 00:30", "11 juillet 2026, 09:05", "1 ko", "1 000 ko", "2,9 Mo"),
    "de": ("1. Dezember 2026, 00:30 Uhr", "11. Juli 2026, 09:05 Uhr", "1 kB", "1.000 kB", "2,9 MB"),
    "en": ("1 December 2026, 00:30", "11 July 2026, 09:05", "1 kB", "1,000 kB", "2.9 MB"),
}


@pytest.mark.parametrize("language", OFFERED)
def test_moments_and_sizes_are_written_as_the_language_does(language: str) -> None:
    said = words(language)
    moments = [formats.moment(at, said) for at in (FIRST, ELEVENTH)]
    sizes = [formats.size(octets, said) for octets in (3, 1000 * 1024, 3_000_000)]
    # Spaces that keep number and unit together count as spaces here; that they do so is held below.
    assert tuple(" ".join(each.split()) for each in [*moments, *sizes]) == WRITTEN[language]
    assert not any(" " in each for each in sizes)


@pytest.mark.parametrize("language", OFFERED)
def test_a_day_is_a_moment_without_its_clock(language: str) -> None:
    for at in (FIRST, ELEVENTH):
        assert formats.moment(at, words(language)).startswith(formats.day(at, words(language)) + ", ")


@pytest.mark.parametrize(
    ("language", "first", "eleventh"),
    [
        ("nl", "dinsdag 1 december 2026", "zaterdag 11 juli 2026"),
        ("fr", "mardi 1er décembre 2026", "samedi 11 juillet 2026"),
        ("de", "Dienstag, 1. Dezember 2026", "Samstag, 11. Juli 2026"),
        ("en", "Tuesday, 1 December 2026", "Saturday, 11 July 2026"),
    ],
)
def test_a_last_day_is_written_with_its_day_of_the_week(language: str, first: str, eleventh: str) -> None:
    said = words(language)
    assert [" ".join(formats.weekday(at, said).split()) for at in (FIRST, ELEVENTH)] == [first, eleventh]
