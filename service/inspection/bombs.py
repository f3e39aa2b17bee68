"""Documents that are small on disk and enormous when shown."""

import re
import zlib
from collections.abc import Sequence
from typing import Any, Final

import pikepdf
from pikepdf import Array, Name, Stream

from service.inspection.limits import MIB, InspectionLimits
from service.inspection.opening import Refused

# The most that one byte can become: deflate 1032 (zlib's technical notes); LZW with 12-bit codes of ever longer
# strings stays below 3000; run length 64.
_MOST_PER_BYTE: Final = {"/FlateDecode": 1032, "/Fl": 1032, "/LZWDecode": 3000, "/LZW": 3000, "/RunLengthDecode": 64}
_SEVERAL_FILTERS: Final = re.compile(rb"/Filter(?! */)")
_STEP: Final = MIB


def weigh(pdf: pikepdf.Pdf, size: int, limits: InspectionLimits) -> None:
    """Refuse a document one of whose streams, or all together, unpack to too much; `size` is the file's.

    A stream is unpacked, and its bytes thrown away, only where its length alone cannot rule a bomb out: for most
    documents never.

    Raises:
        Refused: ``too_large_unpacked``.
    """
    harmless = size * _MOST_PER_BYTE["/LZWDecode"] <= limits.stream_bytes
    left = limits.unpacked_bytes
    for held in pdf.objects:
        if not isinstance(held, Stream):
            continue
        described = held.stream_dict
        _weigh_image(described, limits)
        several = _SEVERAL_FILTERS.search(described.unparse(resolved=True)) is not None
        if several or not harmless:
            left -= _unpacked(held, limits)
        if left < 0:
            raise Refused("too_large_unpacked")


def _weigh_image(described: pikepdf.Dictionary, limits: InspectionLimits) -> None:
    if described.get("/Subtype") != Name.Image:
        return
    sides: Sequence[Any] = (described.get("/Width"), described.get("/Height"))
    width, height = sides
    if isinstance(width, int) and isinstance(height, int) and width * height > limits.image_pixels:
        raise Refused("too_large_unpacked")


def _filters(described: pikepdf.Dictionary) -> list[str]:
    filters = described.get("/Filter")
    if isinstance(filters, Array):
        return [str(each) for each in filters]
    return [] if filters is None else [str(filters)]


def _unpacked(stream: Stream, limits: InspectionLimits) -> int:
    """How many bytes a stream becomes; images in formats of their own (JPEG, fax) count as they are."""
    filters = _filters(stream.stream_dict)
    packing = [_MOST_PER_BYTE[name] for name in filters if name in _MOST_PER_BYTE]
    length = len(stream.get_raw_stream_buffer())
    if not packing:
        return length
    if filters == ["/FlateDecode"]:
        return _inflated(memoryview(stream.get_raw_stream_buffer()), limits.stream_bytes)
    most = length
    for factor in packing:
        most *= factor
    if most <= _STEP:
        return most
    try:
        return len(stream.read_bytes())
    except (pikepdf.PdfError, pikepdf.DataDecodingError, RuntimeError) as error:
        if "limit" in str(error):
            raise Refused("too_large_unpacked") from error
        # Not decodable: readers show nothing of it, whatever it was meant to be.
        return length


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
