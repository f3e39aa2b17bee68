"""Whether the window of a letter that we composed shows what it must: a check of our own work, not of the sender's."""

import unicodedata
from collections.abc import Collection, Iterable, Sequence

from printing.errors import Problem
from printing.profiles import Profile
from printing.sentences import problem


def check_shown(
    window_lines: Sequence[str], address_lines: Sequence[str], profile: Profile, *, own: Collection[str] = ()
) -> Problem | None:
    """``ADDR_DIFFERS`` unless the window shows the address that was printed there, letter by letter.

    Blanks, signs, case and accents do not count: a reader of PDFs may find them otherwise than they were written.

    Args:
        window_lines: what a reader finds in the window, from top to bottom.
        address_lines: what was printed there.
        profile: of the print house.
        own: what marks of ours say that stand above the address; with one, the address is what the window ends with.
    """
    shown, printed = _bare(window_lines), _bare(address_lines)
    if shown == printed or (own and shown.endswith(printed)):
        return None
    return problem("ADDR_DIFFERS", 1, (profile.window,))


def _bare(lines: Iterable[str]) -> str:
    text = unicodedata.normalize("NFKD", "".join(lines)).casefold()
    return "".join(character for character in text if character.isalnum())
