"""Text of others as it can be shown: every character visible, nothing that turns or covers what stands beside it."""

import re
import unicodedata
from typing import Final

from printing.typeset import face

MARK: Final = "[U+"
_BREAK: Final = "\u200b"
_LONG_WORD: Final = re.compile(r"\S{25,}")
_PIECE: Final = 8


def shown(text: str) -> str:
    """The text with each character that has no glyph of its own as ``[U+…]``, and places to break in long words.

    Marks for the direction of writing, control characters and accents without a letter are among those: a name must
    not be able to rearrange or cover other words of the page.
    """
    known = face("Regular", "wide").glyphs
    visible = "".join(
        character if character in known and not unicodedata.combining(character) else f"{MARK}{ord(character):04X}]"
        for character in unicodedata.normalize("NFC", text)
    )
    return _LONG_WORD.sub(lambda word: _breakable(word[0]), visible)


def _breakable(word: str) -> str:
    return _BREAK.join(word[at : at + _PIECE] for at in range(0, len(word), _PIECE))
