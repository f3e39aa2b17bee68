"""The few DER shapes that are written per signature (ITU-T X.690), so that no object tree is built for each.

Reading keeps the bytes as they were sent: what is hashed and verified is what came, never an encoding made again.
"""

from typing import NamedTuple

BOOLEAN = 0x01
INTEGER = 0x02
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31
CONTEXT = 0xA0
"""Constructed context-specific tag [0]; add the number for others."""

_SHORT = 0x7F
"""Longest length that stands in one octet; the mask of the octet count otherwise."""

_LONG_TAG = 0x1F
_MOST_OCTETS = 4


def tlv(tag: int, *parts: bytes) -> bytes:
    """One DER element: ``tag``, the definite length of the joined ``parts``, and the parts."""
    size = sum(map(len, parts))
    if size <= _SHORT:
        return b"".join((bytes((tag, size)), *parts))
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return b"".join((bytes((tag, 0x80 | len(length))), length, *parts))


def integer(value: int) -> bytes:
    """A non-negative INTEGER in its shortest form."""
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def set_of(elements: list[bytes]) -> bytes:
    """A SET OF in DER order (X.690, 11.6)."""
    return tlv(SET, *sorted(elements))


class Element(NamedTuple):
    """One DER element: its tag, its content, and the whole of it as it was encoded."""

    tag: int
    content: bytes
    whole: bytes


def elements(data: bytes) -> list[Element]:
    """The elements that ``data`` is made of, one level deep.

    Only what a time-stamp needs: definite, shortest lengths and one-byte tags.

    Raises:
        ValueError: anything else.
    """
    found = []
    at, size = 0, len(data)
    while at < size:
        start, tag = at, data[at]
        if tag & _LONG_TAG == _LONG_TAG or at + 1 >= size:
            raise ValueError("not an element we read")
        length, at = data[at + 1], at + 2
        if length > _SHORT:
            octets = length & _SHORT
            length = int.from_bytes(data[at : at + octets], "big")
            if not 1 <= octets <= _MOST_OCTETS or length <= _SHORT or length < 1 << 8 * (octets - 1):
                raise ValueError("not a DER length")
            at += octets
        if at + length > size:
            raise ValueError("an element ends behind its surroundings")
        found.append(Element(tag, data[at : at + length], data[start : at + length]))
        at += length
    return found


def inside(element: Element, tag: int) -> list[Element]:
    """The elements within ``element``, which must bear ``tag``.

    Raises:
        ValueError: it bears another, or its content is not DER.
    """
    if element.tag != tag:
        raise ValueError("another kind of element stands here")
    return elements(element.content)


def only(data: bytes) -> Element:
    """The one element that ``data`` is.

    Raises:
        ValueError: it is none, or more.
    """
    (element,) = elements(data)
    return element


def content_of(element: Element, tag: int) -> bytes:
    """The content of ``element``, which must bear ``tag``.

    Raises:
        ValueError: it bears another.
    """
    if element.tag != tag:
        raise ValueError("another kind of element stands here")
    return element.content


def number_in(element: Element) -> int:
    """The value of an INTEGER.

    Raises:
        ValueError: it is none.
    """
    content = content_of(element, INTEGER)
    if not content:
        raise ValueError("an integer without digits")
    return int.from_bytes(content, "big", signed=True)
