"""A question or an answer with the bytes behind it, as it goes through a pipe: length, header, rest."""

import struct
from typing import Final

_LENGTH: Final = struct.Struct(">I")


class Unframed(Exception):
    """What came through the pipe has no header of the length it says."""


def framed(header: bytes, *rest: bytes) -> bytes:
    """The header and what follows it as one message."""
    return b"".join((_LENGTH.pack(len(header)), header, *rest))


def unframed(message: bytes | bytearray | memoryview, longest: int) -> tuple[memoryview, memoryview]:
    """The header and the rest; nothing is copied.

    Raises:
        Unframed: there is no header, or it is longer than `longest`.
    """
    view = memoryview(message)
    if len(view) < _LENGTH.size:
        raise Unframed
    (length,) = _LENGTH.unpack_from(view)
    if length > min(longest, len(view) - _LENGTH.size):
        raise Unframed
    return view[_LENGTH.size : _LENGTH.size + length], view[_LENGTH.size + length :]
