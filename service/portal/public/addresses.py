"""Which addresses of our own a person may be sent back to."""

from typing import Final

HOME: Final = "/home"
"""Where somebody goes who asked for no page in particular."""
_LONGEST: Final = 500


def local(address: str | None, *, otherwise: str) -> str:
    """A path on this host, or ``otherwise``: nobody is sent to somebody else's site by a link to ours."""
    if (
        address is None
        or not address.startswith("/")
        or address.startswith(("//", "/\\"))
        or len(address) > _LONGEST
        or not address.isascii()
        or any(ord(character) <= ord(" ") or character in "\\\x7f" for character in address)
    ):
        return otherwise
    return address
