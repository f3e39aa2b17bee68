"""DER written and read by hand: what goes in comes out, and what isn't DER doesn't get in."""

import pytest
from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from signing import der


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_what_is_written_can_be_read(parts: list[bytes]) -> None:
    encoded = der.tlv(der.SEQUENCE, *(der.tlv(der.OCTET_STRING, part) for part in parts))
    read = der.inside(der.only(encoded), der.SEQUENCE)
    assert [element.content for element in read] == parts
    assert b"".join(element.whole for element in read) == der.only(encoded).content


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535, 65536])
def test_lengths_are_written_as_others_read_them(size: int) -> None:
    encoded = der.tlv(der.OCTET_STRING, bytes(size))
    assert encoded == core.OctetString(bytes(size)).dump()
    assert der.content_of(der.only(encoded), der.OCTET_STRING) == bytes(size)


@given(st.integers(0, 2**200))
def test_numbers_are_written_as_others_read_them(number: int) -> None:
    encoded = der.integer(number)
    assert encoded == core.Integer(number).dump()
    assert der.number_in(der.only(encoded)) == number


@given(st.lists(st.binary(min_size=1, max_size=20)))
def test_sets_are_in_order(parts: list[bytes]) -> None:
    elements = [der.tlv(der.OCTET_STRING, part) for part in parts]
    assert der.set_of(elements) == der.set_of(elements[::-1])
    assert sorted(elements) == [element.whole for element in der.inside(der.only(der.set_of(elements)), der.SET)]


@pytest.mark.parametrize(
    "content",
    [
        "1f0101",  # a tag of several octets
        "30",  # no length
        "3080040100",  # indefinite length
        "30810100",  # long form of a short length
        "3082000100",  # a length with a leading zero
        "308501000000010000",  # more octets than any token needs
        "3005040100",  # ends behind its surroundings
        "3081",  # the length itself is cut
    ],
)
def test_what_is_not_der_is_refused(content: str) -> None:
    with pytest.raises(ValueError, match=r"element|length"):
        der.elements(bytes.fromhex(content))


def test_another_kind_of_element_is_refused() -> None:
    null = der.only(b"\x05\x00")
    for read in (der.number_in, lambda element: der.inside(element, der.SEQUENCE)):
        with pytest.raises(ValueError, match="kind"):
            read(null)
    with pytest.raises(ValueError, match="digits"):
        der.number_in(der.only(b"\x02\x00"))
    with pytest.raises(ValueError, match="unpack"):
        der.only(b"")


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    try:
        read = der.elements(content)
    except ValueError:
        return
    assert b"".join(element.whole for element in read) == content
