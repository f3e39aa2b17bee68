"""The sentences of a page, one file per language; what is missing in a file is told when it is read."""

import tomllib
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from babel import Locale
from babel.dates import format_date

from service.domain.evidence import EvidenceEvent
from service.domain.states import Actor

LANGUAGES: Final = ("nl", "fr", "de", "en")
_FOLDER: Final = Path(__file__).with_name("words")
_BRUSSELS: Final = ZoneInfo("Europe/Brussels")


class EventWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event in words: its name, what happened in one sentence, and what that leaves open."""

    title: str
    sentence: str
    limit: str


class Wording(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All sentences of one language, by section and key."""

    language: str
    page: dict[str, str]
    headings: dict[str, str]
    labels: dict[str, str]
    facts: dict[str, str]
    kinds: dict[str, str]
    numbers: dict[str, str]
    levels: dict[str, str]
    actors: dict[Actor, str]
    proves: dict[str, str]
    proves_not: dict[str, str]
    verify: dict[str, str]
    events: dict[EvidenceEvent, EventWords]
    reasons: dict[str, str]

    @property
    def region(self) -> str:
        """The country whose usage the page follows."""
        return "GB" if self.language == "en" else "BE"

    def moment(self, at: datetime) -> str:
        """A moment as people in Belgium read it off their clocks, to the second."""
        local = at.astimezone(_BRUSSELS)
        return self.page["moment"].format(
            date=format_date(local, "full", locale=Locale(self.language, self.region)),
            time=f"{local:%H:%M:%S}",
            offset=f"{local:%z}"[:3] + ":" + f"{local:%z}"[3:],
        )


@cache
def wording(language: str) -> Wording:
    """The sentences of a language that deliveries can have."""
    with (_FOLDER / f"{language}.toml").open("rb") as file:
        return msgspec.convert({**tomllib.load(file), "language": language}, Wording)
