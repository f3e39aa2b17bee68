"""The languages of the pages: catalogs, and which language somebody gets.

Catalogs are gettext's ``.po`` files, read as they are at start: what a translator edits is what people see, with no
compiled copy that could lag behind. English sentences are their own ids, so a missing translation shows in English.
"""

import gettext
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from babel import Locale
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

FOLDER: Final = Path(__file__).with_name("locale")
DEFAULT: Final = "nl"
OFFERED: Final[Mapping[str, str]] = MappingProxyType(
    {"nl": "Nederlands", "fr": "Français", "de": "Deutsch", "en": "English"}
)
"""Languages in which every sentence exists, by their own names."""


def N_(message: str) -> str:  # noqa: N802  gettext's own name for "to be translated later"
    """Mark a sentence for the catalogs."""
    return message


class Words:
    """All sentences of one language.

    Attributes:
        language: its code.
        locale: how it writes dates and numbers.
    """

    def __init__(self, language: str, catalog: Catalog) -> None:
        self.language = language
        self.locale = Locale.parse(f"{language}_BE" if language != "en" else "en_GB")
        self._single: dict[str, str] = {}
        self._plural: dict[str, tuple[str, ...]] = {}
        self._form: Callable[[int], int] = gettext.c2py(catalog.plural_expr)
        for message in catalog:
            if not message.id or message.fuzzy:
                continue
            said = message.string
            if isinstance(message.id, str):
                if isinstance(said, str) and said:
                    self._single[message.id] = said
            elif isinstance(said, tuple | list) and all(said):
                self._plural[str(message.id[0])] = tuple(said)

    def gettext(self, message: str) -> str:
        """A sentence in this language."""
        return self._single.get(message, message)

    def ngettext(self, one: str, many: str, number: int) -> str:
        """A sentence that depends on a number."""
        forms = self._plural.get(one)
        if forms is None:
            return one if number == 1 else many
        return forms[self._form(number)]


@cache
def words(language: str) -> Words:
    """The sentences of an offered language."""
    return Words(language, read_catalog(language))


def catalog_path(language: str) -> Path:
    """Where a language's catalog is."""
    return FOLDER / language / "LC_MESSAGES" / "portal.po"


def read_catalog(language: str) -> Catalog:
    """A language's catalog as its file says."""
    with catalog_path(language).open("rb") as file:
        return read_po(file, locale=language)


def choose(cookie: str | None, accepted: str) -> str:
    """The language of the pages: what the person chose here, else what their browser asks for, else the default.

    Args:
        cookie: value of the language cookie.
        accepted: the header Accept-Language.
    """
    if cookie in OFFERED:
        return str(cookie)
    wishes = []
    for place, part in enumerate(accepted.split(",")[:20]):
        tag, _, weight = part.strip().partition(";q=")
        code = tag.split("-")[0].strip().lower()
        if code in OFFERED:
            wishes.append((-_weight(weight), place, code))
    return min(wishes)[2] if wishes else DEFAULT


def _weight(text: str) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0
