"""The code that a visible seal shows: with it anybody who holds the document, on paper too, can ask who sealed it."""

from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter that is taken for another or for a figure."""

LENGTH: Final = 12
BITS: Final = 5 * LENGTH
_GROUP: Final = 4
_MISREAD: Final = str.maketrans({"O": "0", "I": "1", "L": "1"})
_BETWEEN: Final = " -\u2010\u2011\u2013\u00a0\t"


def written(number: int) -> str:
    """A code as it is shown, from ``BITS`` random bits: ``7Q4K-ZZ2P-9M3T``.

    Raises:
        ValueError: the number has more bits, or is negative.
    """
    if not 0 <= number < 1 << BITS:
        raise ValueError(f"a code has {BITS} bits")
    signs = [ALPHABET[number >> 5 * place & 31] for place in reversed(range(LENGTH))]
    return "-".join("".join(signs[first : first + _GROUP]) for first in range(0, LENGTH, _GROUP))


def read(text: str) -> str | None:
    """A code as somebody typed it, in the form in which it is shown; None when it can't be one.

    Small letters, other separators, and O, I and L for 0 and 1 are taken for what was meant.
    """
    signs = text.upper().translate(_MISREAD)
    signs = "".join(sign for sign in signs if sign not in _BETWEEN)
    if len(signs) != LENGTH or any(sign not in ALPHABET for sign in signs):
        return None
    return "-".join(signs[first : first + _GROUP] for first in range(0, LENGTH, _GROUP))
