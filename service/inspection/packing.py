"""Filters of streams: what packs the bytes, how much they can become, and the first of several undone alone."""

import math
import zlib
from typing import Final

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream

from service.inspection.limits import MIB
from service.inspection.opening import MOST_FILTERS, Refused

# The most that one byte can become: deflate 1032 (zlib's technical notes); LZW with 12-bit codes of ever longer
# strings stays below 3000; run length 64; a "z" of base 85 stands for four zeros.
_MOST_PER_BYTE: Final = {
    "/FlateDecode": 1032,
    "/Fl": 1032,
    "/LZWDecode": 3000,
    "/LZW": 3000,
    "/RunLengthDecode": 64,
    "/RL": 64,
    "/ASCII85Decode": 4,
    "/A85": 4,
    "/ASCIIHexDecode": 1,
    "/AHx": 1,
}
MOST_OF_ALL: Final = max(_MOST_PER_BYTE.values())
_DEFLATED: Final = (["/FlateDecode"], ["/Fl"])
_STEP: Final = MIB
_FAULTS: Final = (pikepdf.PdfError, pikepdf.DataDecodingError, RuntimeError)


def filters_of(described: Dictionary) -> list[str]:
    """The filters of a stream by its dictionary, the outermost first.

    Raises:
        Refused: ``too_large_unpacked``, there are more than any writer uses.
    """
    filters = described.get("/Filter")
    if not isinstance(filters, Array):
        return [] if filters is None else [str(filters)]
    if len(filters) > MOST_FILTERS:
        raise Refused("too_large_unpacked")
    # In a document that is not encrypted `Crypt` changes nothing (ISO 32000-2, 7.4.10).
    return [name for name in map(str, filters) if name != "/Crypt"]


def unpacked(stream: Stream, filters: list[str], most: int) -> int:
    """How many bytes a stream becomes; what an image's own format (JPEG, fax) makes of them does not count.

    Raises:
        Refused: ``too_large_unpacked``, more than `most`.
    """
    packing = _packing(filters)
    raw = stream.get_raw_stream_buffer()
    length = len(raw)
    if packing in _DEFLATED:
        return _inflated(memoryview(raw), most)
    bound = length * math.prod(_MOST_PER_BYTE[name] for name in packing)
    if not packing or bound <= _STEP:
        return bound
    try:
        return len(_undone(stream, packing))
    except _FAULTS as error:
        if "limit" in str(error):
            raise Refused("too_large_unpacked") from error
        # Not decodable: readers show nothing of it, whatever it was meant to be.
        return length


def beginning(stream: Stream, filters: list[str], size: int) -> bytes:
    """The first `size` bytes of what an image's own format finds under the filters around it; none if they fail."""
    packing = _packing(filters)
    if not packing:
        return bytes(memoryview(stream.get_raw_stream_buffer())[:size])
    try:
        if packing in _DEFLATED:
            return zlib.decompressobj().decompress(bytes(stream.get_raw_stream_buffer()), size)
        return _undone(stream, packing)[:size]
    except (*_FAULTS, zlib.error):
        return b""


def _packing(filters: list[str]) -> list[str]:
    for number, name in enumerate(filters):
        if name not in _MOST_PER_BYTE:
            return filters[:number]
    return filters


def _undone(stream: Stream, packing: list[str]) -> bytes:
    """The bytes under the first filters only: qpdf undoes none of them when it does not know the last."""
    with pikepdf.new() as pdf:
        part = Stream(pdf, stream.read_raw_bytes())
        part.stream_dict.Filter = Array([Name(name) for name in packing])
        part.stream_dict.DecodeParms = Array(_parameters(stream, packing))
        return part.read_bytes(pikepdf.StreamDecodeLevel.specialized)


def _parameters(stream: Stream, packing: list[str]) -> list[Dictionary | None]:
    """Of all parameters the only one that decides how much a stream becomes."""
    given = stream.stream_dict.get("/DecodeParms")
    each = list(given) if isinstance(given, Array) else [given]
    found: list[Dictionary | None] = []
    for number, name in enumerate(packing):
        own = each[number] if number < len(each) else None
        early = own.get("/EarlyChange") if isinstance(own, Dictionary) else None
        found.append(Dictionary(EarlyChange=0) if name.startswith("/LZW") and early == 0 else None)
    return found


def _inflated(raw: memoryview, most: int) -> int:
    if len(raw) * _MOST_PER_BYTE["/FlateDecode"] <= _STEP:
        return len(raw) * _MOST_PER_BYTE["/FlateDecode"]
    inflater, size, rest = zlib.decompressobj(), 0, bytes(raw)
    while rest and not inflater.eof:
        try:
            size += len(inflater.decompress(rest, _STEP))
        except zlib.error:
            break
        if size > most:
            raise Refused("too_large_unpacked")
        rest = inflater.unconsumed_tail
    return size
