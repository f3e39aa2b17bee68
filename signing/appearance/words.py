"""What a visible seal says, in each language."""

import re
import tomllib
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec

Language = Literal["nl", "fr", "de", "en"]
Act = Literal["sealed", "signed"]

_FILE: Final = Path(__file__).with_name("words.toml")
_PUT_IN: Final = re.compile(r"\{\w+\}")
_FIGURES: Final = "0123456789 :,.+-/()UTC"


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The words of one language; each is a pattern with the names of what is put in."""

    sealed: str
    signed: str
    time: str
    code: str
    check: str
    described: str
    kept: str
    months: tuple[str, ...]

    def act(self, act: Act) -> str:
        """What was done, up to the name of who did it."""
        return self.sealed if act == "sealed" else self.signed

    def moment(self, at: datetime) -> str:
        """Date and time of day to the second, with the difference from UTC: it is read far from here too."""
        minutes = int(at.utcoffset().total_seconds()) // 60 if at.utcoffset() else 0  # type: ignore[union-attr] # aware
        zone = f"UTC{'+' if minutes >= 0 else '-'}{abs(minutes) // 60}" if minutes else "UTC"
        if minutes % 60:
            zone += f":{abs(minutes) % 60:02}"
        month = self.months[at.month - 1]
        return self.time.format(day=at.day, month=month, year=at.year, clock=at.strftime("%H:%M:%S"), zone=zone)

    def characters(self) -> Iterator[str]:
        """Every character that the words and any time need."""
        for text in (self.sealed, self.signed, self.time, self.code, self.check, _FIGURES, *self.months):
            yield from _PUT_IN.sub("", text)


@cache
def words(language: Language) -> Words:
    """The words of a language."""
    found = msgspec.convert(tomllib.loads(_FILE.read_text(encoding="utf-8")), dict[str, Words])
    assert set(found) == set(get_args(Language))
    return found[language]
