"""Whether the address that a document shows in the window is the recipient's."""

import re
import unicodedata
from collections.abc import Sequence
from itertools import dropwhile
from typing import Final

from printing.errors import Problem

_WORD: Final = re.compile(r"[0-9a-z]+")
_BOX: Final = frozenset({"bus", "bte", "boite", "box"})
_SPREAD: Final = (
    (re.compile(r"\b(bus|bte|boite|box)(?=\d)"), r"\1 "),  # bte3
    (re.compile(r"(?<=\d)\s?/\s?(?=[0-9a-z])"), " box "),  # 12/3
    (re.compile(r"\bb-\s?(?=\d{4}\b)"), ""),  # B-9999
)
_SHORT: Final = {
    "straat": "str",
    "strasse": "str",
    "laan": "ln",
    "steenweg": "stwg",
    "stw": "stwg",
    "stwg": "stwg",
    "plein": "pl",
    "place": "pl",
    "platz": "pl",
    "avenue": "av",
    "ave": "av",
    "boulevard": "bd",
    "boul": "bd",
    "blvd": "bd",
    "bld": "bd",
    "chaussee": "ch",
    "chee": "ch",
    "chaus": "ch",
    "rue": "r",
    "route": "rte",
    "impasse": "imp",
    "square": "sq",
    "dreef": "dr",
    "lei": "lei",
    "saint": "st",
    "sainte": "ste",
    "sint": "st",
}
_JOINED: Final = tuple(sorted((word for word in _SHORT if len(word) > 3), key=len, reverse=True))  # noqa: PLR2004
_COUNTRY: Final = frozenset({"belgie", "belgique", "belgien", "belgium"})
_TITLES: Final = frozenset(
    {"de", "heer", "mevrouw", "mevr", "mw", "dhr", "monsieur", "madame", "m", "mme", "mr", "mrs", "ms", "herr", "frau"}
)


def differs(window_lines: Sequence[str], address_lines: Sequence[str]) -> Problem | None:
    """``ADDR_DIFFERS`` unless the lines in the window are the recipient's address.

    Case, accents, signs, the short forms of street types, the word for a box and where it stands, a title before the
    name and the own country do not count; every other word and every number does, line by line. The sentence repeats
    nothing of either.

    Args:
        window_lines: what stands in the window, from top to bottom.
        address_lines: the recipient's, as they would be printed.
    """
    shown, wanted = _normal(window_lines), _normal(address_lines)
    if shown and shown == wanted:
        return None
    return Problem("ADDR_DIFFERS", "The address in the window of the document is not the recipient's.", 1)


def _normal(lines: Sequence[str]) -> list[tuple[str, ...]]:
    found = [_words(line) for line in lines]
    kept = [words for words in found if words and not set(words) <= _COUNTRY]
    if kept:
        kept[0] = [*dropwhile(_TITLES.__contains__, kept[0])] or kept[0]
    return [_line(words) for words in kept]


def _words(line: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", line.replace("ß", "ss")).casefold()
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    for pattern, instead in _SPREAD:
        plain = pattern.sub(instead, plain)
    return _WORD.findall(plain)


def _line(words: list[str]) -> tuple[str, ...]:
    """The words in short forms; a house number with its box as "number, box" wherever the box stood in the line."""
    line: list[str] = []
    box = ""
    rest = iter(words)
    for word in rest:
        following = next(rest, None) if word in _BOX and not box else None
        if following is not None:
            box = following
        else:
            line.append(_short(word))
    return (*line, f"|{box}") if box else tuple(line)


def _short(word: str) -> str:
    if word in _SHORT:
        return _SHORT[word]
    joined = next((end for end in _JOINED if word.endswith(end) and len(word) > len(end)), None)
    return word if joined is None else word[: -len(joined)] + _SHORT[joined]
